"""ADD of equal shapes for cores with the DSP extension where it is no affine function: two tables, SMMLAR, SSAT."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array
from tinyptq.kernels.base import Cost, Kernel
from tinyptq.ops.add import AddInt

DOUBLED_LIMIT = 1 << 30  # |sum| below this: 2·sum fits int32
MAX_RIGHT = 22
MIN_COUNT = 128  # elements: for fewer, 2 KB of tables cost more than they save


@dataclass(frozen=True)
class TableSum:
    """What templates/kernels/add/arm_dsp_tables.c.j2 looks up. rounding: 2^(right − 1) + zero point · 2^right."""

    count: int
    right: int
    rounding: int
    half_up: bool


def details(params: AddInt) -> TableSum:
    pair = params.pair
    right = -pair.output_shift
    return TableSum(
        count=int(np.prod(pair.output_shape)),
        right=right,
        rounding=(1 << (right - 1)) + pair.output_zero_point * (1 << right),
        half_up=pair.activation_min >= pair.output_zero_point,
    )


def supports(params: AddInt) -> bool:
    """int8 of equal shapes, not tiny; a right shift and sums that the short requantization covers."""
    pair = params.pair
    right = -pair.output_shift
    if pair.element != "int8" or int(np.prod(pair.output_shape)) < MIN_COUNT:
        return False
    if pair.input_shapes[0] != pair.input_shapes[1] or not 1 <= right <= MAX_RIGHT or pair.output_multiplier < 0:
        return False
    bound = sum(int(np.abs(table).max()) for table in pair.rescaled)
    reach = (2 * abs(pair.output_zero_point) + 1) * (1 << (right - 1))
    return bound < DOUBLED_LIMIT and bound + reach < 2**31


def pack(params: AddInt) -> Mapping[str, Array]:
    """int32 [512]: twice the rescaled operand, of the first for −128 ... 127, then of the second."""
    # rescaled lies as bytes do: 0 ... 127, then −128 ... −1
    tables = [2 * table.reshape(-1) for table in params.pair.rescaled]
    return {"table": np.concatenate([ordered(table) for table in tables]).astype(np.int32)}


def ordered(table: Array) -> Array:
    """[256] indexed by the int8's bits -> indexed by value + 128."""
    return np.roll(table, 128)


def cost(params: AddInt) -> Cost:
    """Measured."""
    tile = details(params)
    return Cost(instructions=tile.count * (12 + (not tile.half_up)) + 30, code_bytes=120)


KERNELS = (
    Kernel(
        op="add",
        isa="arm_dsp",
        template="add/arm_dsp_tables.c.j2",
        supports=supports,
        pack=pack,
        scratch=lambda params: 0,
        by_rows=lambda params: False,
        cost=cost,
        leads=lambda params: (0, 0),
        details=details,
    ),
)
