"""The memory plan: what lies where in the arena, and in which order rows are computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tinyptq.kernels.base import Kernel


@dataclass(frozen=True)
class Slot:
    """Arena bytes [offset, offset + size) belong to `value` from first_step to last_step, both included."""

    value: str
    offset: int
    size: int
    first_step: int
    last_step: int


@dataclass(frozen=True)
class Step:
    """Layer `layer` (index into Program.layers) computes its output rows [first_row, end_row)."""

    layer: int
    first_row: int
    end_row: int


@dataclass(frozen=True)
class Plan:
    """kernels: one per layer. slots: activations. scratch: layer index -> Slot.

    The program's inputs and outputs are the caller's. kept: value -> the variable (by the value read) in whose memory
    it is written at once; the last values of other variables are copied there when the run ends.
    """

    kernels: tuple[Kernel, ...]
    schedule: tuple[Step, ...]
    slots: Mapping[str, Slot]
    scratch: Mapping[int, Slot]
    arena_size: int
    kept: Mapping[str, str] = field(default_factory=dict)
