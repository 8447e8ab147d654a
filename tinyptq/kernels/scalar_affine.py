"""ADD and SUB of equal shapes where they are one affine function (affine.py), for cores without SIMD: plain C."""

from __future__ import annotations

from dataclasses import dataclass

from tinyptq.kernels.affine import Affine, affine
from tinyptq.kernels.base import Cost, Kernel
from tinyptq.ops.add import AddInt
from tinyptq.ops.base import elements
from tinyptq.ops.sub import SubInt

Params = AddInt | SubInt

INSTRUCTIONS = {"thumb1": 21, "thumb2": 17, "riscv32": 17, "scalar": 17}  # per element, measured
CODE_BYTES = 80


@dataclass(frozen=True)
class Loop:
    """What templates/kernels/add/scalar_affine.c.j2 looks up besides the params."""

    function: Affine
    count: int


def supports(params: Params) -> bool:
    """int8 of equal shapes, and the proof."""
    pair = params.pair
    shapes = {*pair.input_shapes, pair.output_shape}
    return params.element == "int8" and len(shapes) == 1 and affine(params) is not None


def details(params: Params) -> Loop:
    function = affine(params)
    assert function is not None
    return Loop(function, elements(params.pair.output_shape))


def kernel(op: str, isa: str) -> Kernel:
    return Kernel(
        op=op,
        isa=isa,
        template=f"add/{isa}_affine.c.j2",
        supports=supports,
        pack=lambda params: {},
        scratch=lambda params: 0,
        by_rows=lambda params: False,
        leads=lambda params: (0, 0),
        cost=lambda params: Cost(INSTRUCTIONS[isa] * elements(params.pair.output_shape) + 6, CODE_BYTES),
        details=details,
    )


KERNELS = tuple(kernel(op, isa) for op in ("add", "sub") for isa in INSTRUCTIONS)
