"""int8 -> int8 functions of one element: computed once for all 256 inputs, then looked up, here and in C."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, QParams


def tabulate(function: Callable[[Array], Array]) -> Array:
    """int8 [256]: function of every int8 value, at the place of its byte read as unsigned."""
    return function(np.arange(256).astype(np.uint8).view(np.int8).astype(np.int64)).astype(np.int8)


def look_up(table: Array, x: Array) -> Array:
    """table[x] for an int8 array x of any shape."""
    y: Array = table.take(x.view(np.uint8))  # three times as fast as table[…]
    return y


def input_radius(integer_bits: int, left_shift: int) -> int:
    """Largest |x| that stays within integer_bits integer bits of Q(integer_bits) after · 2^left_shift.

    Source: TFLite CalculateInputRadius.
    """
    return ((1 << integer_bits) - 1) * (1 << (31 - integer_bits)) >> left_shift


def require_left_shift(shift: int, qparams: QParams) -> None:
    """TFLite's fixed-point functions only ever shift their input left."""
    if shift < 0:
        raise TinyptqError(
            "scale-out-of-range",
            f"the input's scale {float(qparams.scale[0]):.3g} is too fine for a fixed-point exponential",
            hint="calibrate with data for which this input is not always zero",
        )
