"""1 / √x of integers as a fixed-point multiplier: what RSQRT and L2_NORMALIZATION rest on."""

from __future__ import annotations

import numpy as np

from tinyptq.fixedpoint import (
    INT32_MAX,
    rounding_divide_by_power_of_two,
    saturating_rounding_doubling_high_mul,
)
from tinyptq.graph import Array
from tinyptq.ops.transcendental import saturating_shift_left

NEWTON_STEPS = 5
ONE_Q3 = 1 << 28
THREE_HALVES_Q3 = ONE_Q3 + (ONE_Q3 >> 1)
HALF_SQRT_2 = 1518500250  # sqrt(2) / 2 in Q0.31


def inverse_root(total: Array) -> tuple[Array, Array]:
    """(m, s) with 1 / sqrt(total) = m · 2^(s − 31), for 0 <= total < 2^31; of 0 as of 1. Newton, five steps from 1.

    Source: TFLite GetInvSqrtQuantizedMultiplierExp.
    """
    large = total >= 1 << 29
    value = np.where(large, total >> 2, np.maximum(total, 2))
    pairs = (31 - np.frexp(value.astype(np.float64))[1].astype(np.int64)) // 2 - 1
    right = 11 + large.astype(np.int64) - pairs
    root = newton((value << (2 * pairs)) >> 1) << np.maximum(-right, 0)
    small = total <= 1
    return np.where(small, INT32_MAX, root), np.where(small, 0, -np.maximum(right, 0))


def newton(value: Array) -> Array:
    """sqrt(1/2) / sqrt(value) in Q3.28, read as Q0.31 by the caller's exponent. value in Q3.28, near one."""
    multiply = saturating_rounding_doubling_high_mul
    half = rounding_divide_by_power_of_two(value, 1)
    x = np.full_like(value, ONE_Q3)
    for _ in range(NEWTON_STEPS):
        cube = saturating_shift_left(multiply(multiply(x, x), x), 6)
        x = saturating_shift_left(multiply(x, THREE_HALVES_Q3) - multiply(half, cube), 3)
    return multiply(x, HALF_SQRT_2)
