"""The portable C kernel every operator has for free: its own constants, scratch and row contract."""

from __future__ import annotations

from typing import Any

from tinyptq.kernels.base import Cost, Kernel
from tinyptq.ops.base import Op, elements

INSTRUCTIONS_PER_MAC = 7
INSTRUCTIONS_PER_BYTE = 12
INSTRUCTIONS_PER_OUTPUT = 90  # of an operator with weights: its requantization
CODE_BYTES = 400


def portable_kernel(op: Op) -> Kernel:
    """The Kernel record of templates/kernels/<op>/portable.c.j2."""

    def cost(params: Any) -> Cost:
        work = op.work(params)
        others = INSTRUCTIONS_PER_BYTE * work.activation_bytes
        if op.weight_axis is not None:
            others = INSTRUCTIONS_PER_OUTPUT * elements(params.output_shape)
        return Cost(instructions=INSTRUCTIONS_PER_MAC * work.macs + others, code_bytes=CODE_BYTES)

    return Kernel(
        op=op.name,
        isa="portable",
        template=f"{op.name}/portable.c.j2",
        supports=lambda params: True,
        pack=op.constants,
        scratch=op.scratch,
        by_rows=lambda params: op.rows(params) is not None,
        cost=cost,
        leads=op.leads,
    )
