"""Which kernel runs which layer: the fastest ones, or what is given up for bytes of flash and RAM.

Layers whose integers differ only in arrays share one rendered function, so they are chosen for together: a group.
The list of selections begins with the fastest kernel of every group. Each next one exchanges the kernel that saves the
most flash per predicted instruction added, until nothing smaller is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from tinyptq.kernels import candidates
from tinyptq.kernels.base import Kernel
from tinyptq.program import Layer, Program

SPEED, BALANCED, SIZE = "speed", "balanced", "size"
OPTIMIZE = (SPEED, BALANCED, SIZE)
BALANCED_INSTRUCTIONS = 1.25  # "balanced" may cost a quarter more than "speed"


@dataclass(frozen=True)
class Option:
    """A kernel for a group of layers: predicted instructions and flash (code once, constants exact) of all of them.

    scratch_bytes: the most that one of the layers borrows from the arena.
    """

    kernel: Kernel
    instructions: int
    flash_bytes: int
    scratch_bytes: int


@dataclass(frozen=True)
class Group:
    """Layers (indices) that run the same code, and the kernels that could be it, the board's favourite ISA first."""

    layers: tuple[int, ...]
    options: tuple[Option, ...]

    @property
    def fastest(self) -> Option:
        """The first of those with the fewest predicted instructions."""
        return min(self.options, key=lambda option: option.instructions)


@dataclass(frozen=True)
class Selection:
    """kernels: one per layer; predicted instructions and flash bytes (kernels and their constants) of one model."""

    kernels: tuple[Kernel, ...]
    instructions: int
    flash_bytes: int


Fits = Callable[[int, int], bool]  # (layer index, scratch bytes) -> is there room for it?


def select(found: Sequence[Selection], optimize: str) -> int:
    """Index of the selection that `optimize` asks for, in a list that begins with the fastest."""
    if optimize == SPEED:
        return 0
    if optimize == SIZE:
        return len(found) - 1
    limit = BALANCED_INSTRUCTIONS * found[0].instructions
    return max(i for i, selection in enumerate(found) if selection.instructions <= limit)


def selections(program: Program, isa: Sequence[str], fits: Fits = lambda layer, size: True) -> tuple[Selection, ...]:
    """From the fastest to the smallest; never empty. Kernels whose scratch does not fit count only where all do not."""
    groups = grouped(program, isa, fits)
    chosen = [group.fastest for group in groups]
    found = [selection(program, groups, chosen)]
    while (better := cheapest_saving(groups, chosen)) is not None:
        place, option = better
        chosen[place] = option
        found.append(selection(program, groups, chosen))
    return tuple(found)


def cheapest_saving(groups: Sequence[Group], chosen: Sequence[Option]) -> tuple[int, Option] | None:
    """(group, option) that adds the fewest instructions per byte of flash it saves; None when nothing saves any."""
    savings = [
        ((option.instructions - now.instructions) / (now.flash_bytes - option.flash_bytes), place, option)
        for place, (group, now) in enumerate(zip(groups, chosen, strict=True))
        for option in group.options
        if option.flash_bytes < now.flash_bytes
    ]
    if not savings:
        return None
    _, place, option = min(savings, key=lambda saving: saving[:2])
    return place, option


def selection(program: Program, groups: Sequence[Group], chosen: Sequence[Option]) -> Selection:
    kernels = {index: option.kernel for group, option in zip(groups, chosen, strict=True) for index in group.layers}
    return Selection(
        kernels=tuple(kernels[index] for index in range(len(program.layers))),
        instructions=sum(option.instructions for option in chosen),
        flash_bytes=sum(option.flash_bytes for option in chosen),
    )


def grouped(program: Program, isa: Sequence[str], fits: Fits) -> tuple[Group, ...]:
    """Layers of one operator and form with the same kernels to choose from, in program order."""
    members: dict[tuple[Any, ...], list[int]] = {}
    for index, layer in enumerate(program.layers):
        possible = candidates(layer, isa)
        roomy = tuple(k for k in possible if fits(index, k.scratch(layer.params)))
        least = min(possible, key=lambda k: k.scratch(layer.params))
        members.setdefault((layer.op, form(layer), roomy or (least,)), []).append(index)
    return tuple(
        Group(
            tuple(indices),
            tuple(option(kernel, [program.layers[i] for i in indices]) for kernel in sorted_by_isa(kernels, isa)),
        )
        for (_, _, kernels), indices in members.items()
    )


def sorted_by_isa(kernels: Sequence[Kernel], isa: Sequence[str]) -> list[Kernel]:
    return sorted(kernels, key=lambda kernel: list(isa).index(kernel.isa))


def form(layer: Layer) -> str:
    """All integers of a layer that are no arrays: what decides how its kernel renders."""
    values = ((field.name, getattr(layer.params, field.name)) for field in fields(layer.params))
    return repr([(name, value) for name, value in values if not isinstance(value, np.ndarray)])


def option(kernel: Kernel, layers: Sequence[Layer]) -> Option:
    costs = [kernel.cost(layer.params) for layer in layers]
    return Option(
        kernel=kernel,
        instructions=sum(cost.instructions for cost in costs),
        flash_bytes=max(cost.code_bytes for cost in costs) + sum(constant_bytes(kernel, layer) for layer in layers),
        scratch_bytes=max(kernel.scratch(layer.params) for layer in layers),
    )


def constant_bytes(kernel: Kernel, layer: Layer) -> int:
    """Flash of the arrays a kernel wants packed for a layer."""
    return sum(array.nbytes for array in kernel.pack(layer.params).values())
