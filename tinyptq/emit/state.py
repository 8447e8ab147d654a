"""The struct in which a model keeps what it remembers between runs: states of layers, then variables."""

from __future__ import annotations

from dataclasses import dataclass

from tinyptq.emit.render import CTYPES
from tinyptq.graph import Array
from tinyptq.ops import BY_NAME
from tinyptq.program import Program


@dataclass(frozen=True, eq=False)
class StateField:
    """One array of the struct. layer: whose state it is, None for a variable. symbol: of the constant it begins with,
    where its elements are not all alike.
    """

    layer: int | None
    name: str
    title: str
    symbol: str
    initial: Array

    @property
    def ctype(self) -> str:
        return CTYPES[str(self.initial.dtype)]

    @property
    def size(self) -> int:
        return int(self.initial.size)

    @property
    def bytes(self) -> int:
        return int(self.initial.nbytes)

    @property
    def fill(self) -> int | None:
        """What every element begins with, None where they differ."""
        first = self.initial.flat[0]
        return int(first) if (self.initial == first).all() else None


def state_fields(program: Program) -> tuple[StateField, ...]:
    """Fields of the struct; those of a layer in the order in which its kernel takes them."""
    layers = tuple(
        state_field(program, index, f"layer{index}_{argument}", f"layer {index} '{layer.name}'", state.initial)
        for index, layer in enumerate(program.layers)
        for argument, state in BY_NAME[layer.op].state(layer.params).items()
    )
    variables = tuple(
        state_field(program, None, f"variable{index}", f"variable '{variable.name}'", variable.initial)
        for index, variable in enumerate(program.variables)
    )
    return (*layers, *variables)


def state_field(program: Program, layer: int | None, name: str, title: str, initial: Array) -> StateField:
    return StateField(layer, name, title, f"{program.name}_{name}_initial", initial)


def variable_field(program: Program, before: str) -> str | None:
    """Field of the variable that is read as this value, None where it is no variable's."""
    names = [variable.before for variable in program.variables]
    return f"variable{names.index(before)}" if before in names else None


def state_bytes(program: Program) -> int:
    """Of the whole struct, gaps between fields of different types included."""
    end, widest = 0, 1
    for field in state_fields(program):
        align = field.initial.itemsize
        end = -(-end // align) * align + field.bytes
        widest = max(widest, align)
    return -(-end // widest) * widest
