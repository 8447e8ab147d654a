"""The Kernel record: one way in which one ISA does one operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinyptq.graph import Array


@dataclass(frozen=True)
class Cost:
    """Predicted by a small model: retired instructions of one inference, bytes of code."""

    instructions: int
    code_bytes: int


@dataclass(frozen=True)
class Part:
    """A function below a kernel's own, shared by all kernels that render it alike; its template sees `k` alone."""

    template: str
    details: Any


@dataclass(frozen=True)
class Kernel:
    """How an ISA does an operator.

    op        operator name.  isa: flavour a board lists ("arm_mve", "arm_dsp", "portable").
    template  below templates/kernels, "conv_2d/portable.c.j2".
    supports  params -> are the kernel's preconditions proved for this layer?
    pack      params -> {argument name: array}: constants in the order the kernel reads and takes them.
    scratch   params -> bytes borrowed from the arena, read slack included.
    by_rows   params -> does the function take (first_row, end_row) and compute a block of output rows?
    cost      params -> Cost; the cheapest supported kernel of the board's ISA list wins.
    leads     params -> per input: bytes by which the output must begin before it so that it may lie over it, for the
              kernel reads nothing that it has written over by then; None: never. () means None for all.
    details   params -> what the template looks up as `k` besides the params `p` (a scheduled tile, loop counts).
    parts     params -> {name: function} that the template calls as parts[name]; the name is the function's, numbered.
    closer    share -> the same kernel and constants with smaller leads, for at most that share of instructions more.
    """

    op: str
    isa: str
    template: str
    supports: Callable[[Any], bool]
    pack: Callable[[Any], Mapping[str, Array]]
    scratch: Callable[[Any], int]
    by_rows: Callable[[Any], bool]
    cost: Callable[[Any], Cost]
    details: Callable[[Any], Any] = lambda params: None
    leads: Callable[[Any], Sequence[int | None]] = lambda params: ()
    parts: Callable[[Any], Mapping[str, Part]] = lambda params: {}
    closer: Callable[[float], Kernel] | None = None

    @property
    def name(self) -> str:
        """Unique among the operator's kernels: "arm_mve_kxk"."""
        return self.template.rpartition("/")[2].removesuffix(".c.j2")
