"""A program's inputs and outputs as its C knows them: names, sizes, the signature, one buffer for several."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.emit.render import CTYPES, c_float, dimensions
from tinyptq.ops import BY_NAME
from tinyptq.program import Program

IO_ALIGNMENT = 16


@dataclass(frozen=True)
class Port:
    """A program input or output as the header describes it."""

    role: str
    label: str
    macro: str
    title: str
    dtype: str
    shape: str
    size: int
    size_bytes: int
    scale: str
    zero_point: int

    @property
    def ctype(self) -> str:
        return CTYPES[self.dtype]

    @property
    def bounds(self) -> tuple[int, int]:
        """Smallest and largest value of the type."""
        info = np.iinfo(self.dtype)
        return int(info.min), int(info.max)


def ports(program: Program, names: tuple[str, ...], role: str) -> tuple[Port, ...]:
    result = []
    for index, name in enumerate(names):
        value = program.values[name]
        assert value.qparams is not None
        label = argument_name(role, index, len(names))
        result.append(
            Port(
                role=role,
                label=label,
                macro=f"{program.name.upper()}_{label.upper()}",
                title=name,
                dtype=str(value.dtype),
                shape=dimensions(value.shape),
                size=int(np.prod(value.shape, dtype=np.int64)),
                size_bytes=value.size_bytes,
                scale=c_float(float(value.qparams.scale[0])),
                zero_point=int(value.qparams.zero_point[0]),
            )
        )
    return tuple(result)


def unread(program: Program, inputs: tuple[Port, ...]) -> tuple[Port, ...]:
    """Inputs that no layer reads: C wants to hear that this is meant."""
    read = {name for layer in program.layers for name in layer.inputs}
    return tuple(port for port in inputs if port.title not in read)


def remembers(program: Program) -> bool:
    """Is something kept from one run to the next?"""
    return bool(program.variables) or any(BY_NAME[layer.op].state(layer.params) for layer in program.layers)


def run_signature(program: Program, inputs: tuple[Port, ...], outputs: tuple[Port, ...]) -> str:
    state = (f"{program.name}_state *state",) if remembers(program) else ()
    reads = [f"const {CTYPES[p.dtype]} {p.label}[{p.macro}_SIZE]" for p in inputs]
    writes = [f"{CTYPES[p.dtype]} {p.label}[{p.macro}_SIZE]" for p in outputs]
    return ", ".join((*state, *reads, *writes))


def glue_arguments(program: Program, inputs: tuple[Port, ...], outputs: tuple[Port, ...]) -> str:
    arguments = ["&tq_model_state"] if remembers(program) else []
    for buffer, group, const in (("inputs", inputs, "const "), ("outputs", outputs, "")):
        offsets, _ = io_layout([p.size_bytes for p in group])
        for port, offset in zip(group, offsets, strict=True):
            cast = "" if port.dtype == "int8" else f"({const}{CTYPES[port.dtype]} *)({const}void *)"
            arguments.append(f"{cast}&{buffer}[{offset}]")
    return ", ".join(arguments)


def io_layout(sizes: list[int]) -> tuple[list[int], int]:
    """(offset of each buffer, rounded up to 16; total bytes) of several tensors in one buffer."""
    offsets, end = [], 0
    for size in sizes:
        start = -(-end // IO_ALIGNMENT) * IO_ALIGNMENT
        offsets.append(start)
        end = start + size
    return offsets, end


def argument_name(role: str, index: int, count: int) -> str:
    return role if count == 1 else f"{role}{index}"
