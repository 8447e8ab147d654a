"""int8 functions of one element by their table, on Arm cores: sixteen bytes at a time by a gathering load of Helium,
eight in two words otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyptq.graph import Array
from tinyptq.kernels.base import Cost, Kernel, Part
from tinyptq.ops import BY_NAME
from tinyptq.ops.base import in_place

TABLE_OPS = (
    "abs",
    "elu",
    "exp",
    "function",
    "gelu",
    "hard_swish",
    "leaky_relu",
    "log",
    "logistic",
    "neg",
    "quantize",
    "relu",
    "rsqrt",
    "silu",
    "sqrt",
    "square",
    "tanh",
)
LANES = {"arm_mve": 16, "arm_dsp": 8}  # bytes at a time
LEAST = {"arm_mve": 4, "arm_dsp": 17}  # bytes: portable C is faster with fewer, compilers unroll it then
PER_PASS = {"arm_mve": 4, "arm_dsp": 28}
CODE_BYTES = {"arm_mve": 60, "arm_dsp": 140}


def table_of(op: str, params: Any) -> Array | None:
    """int8 [256], when that is what the portable kernel looks up."""
    table = BY_NAME[op].constants(params).get("table")
    return table if table is not None and table.shape == (256,) and table.dtype == np.int8 else None


def cost(params: Any, isa: str) -> Cost:
    """Instructions of the loop, counted, and of what surrounds it (measured)."""
    passes, rest = divmod(params.size, LANES[isa])
    after = (PER_PASS[isa] * (rest > 0) + 8) if isa == "arm_mve" else 3 * rest + 9
    return Cost(PER_PASS[isa] * passes + after, CODE_BYTES[isa])


def kernel(op: str, isa: str) -> Kernel:
    return Kernel(
        op=op,
        isa=isa,
        template=f"function/{isa}_table.c.j2",
        supports=lambda params: table_of(op, params) is not None and params.size >= LEAST[isa],
        pack=BY_NAME[op].constants,
        scratch=lambda params: 0,
        by_rows=lambda params: False,
        cost=lambda params: cost(params, isa),
        leads=in_place,
        parts=lambda params: {"look_up": Part(f"function/{isa}_look_up.c.j2", None)},
    )


KERNELS = tuple(kernel(op, isa) for op in TABLE_OPS for isa in LANES)
