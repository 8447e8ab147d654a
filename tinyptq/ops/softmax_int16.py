"""Softmax of int16: two interpolated tables of 513 entries, exp over [-10, 0] and 1 / (1 + x) over [0, 1].

Source: TFLite reference_ops SoftmaxInt16. Tables hold 2^15 times the function.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tinyptq.fixedpoint import multiply_by_quantized_multiplier, round_half_away
from tinyptq.graph import Array
from tinyptq.ops.lookup import interpolate

ENTRIES = 513
INT16_MIN, INT16_MAX = -(2**15), 2**15 - 1
LOWEST_EXPONENT = 10.0  # exp(−10) is nothing
MAX_SHIFT = 15  # 65535 · 2^15 < 2^31: a difference stays in int32 before it is rescaled
DIFFERENCE_STEPS = 65535.0  # x − max in [−10, 0] becomes [−65535, 0]


def make_table(function: Callable[[float], float], low: float, high: float) -> Array:
    """int16 [513]: samples of function · 2^15, each lowered by half the error of the chord at its middle.

    In float32, as TFLM computes them: two entries of the reciprocal are others in double.
    """
    scale, half = np.float32(2.0**15), np.float32(0.5)
    step = (high - low) / (ENTRIES - 1)

    def sample(position: float) -> np.float32:
        return np.float32(function(low + position * step)) * scale

    entries = []
    for i in range(ENTRIES - 1):
        entry = rounded(sample(i))
        middle_error = rounded((sample(i + 1) + entry) * half) - rounded(sample(i + 0.5))
        entries.append(entry - rounded(middle_error * half))
    return np.clip([*entries, rounded(sample(ENTRIES - 1))], INT16_MIN, INT16_MAX).astype(np.int16)


def rounded(x: np.float32) -> np.float32:
    return np.float32(round_half_away(float(x)))


EXPONENTIAL = make_table(math.exp, -LOWEST_EXPONENT, 0.0)
RECIPROCAL = make_table(lambda x: 1.0 / (1.0 + x), 0.0, 1.0)


def softmax(x: Array, multiplier: int, shift: int) -> Array:
    """Shares in Q0.15, int16, of integers along the last axis."""
    difference = x.astype(np.int64) - x.max(axis=-1, keepdims=True)
    scaled = multiply_by_quantized_multiplier(difference, multiplier, shift)
    exponential = interpolate(EXPONENTIAL, np.clip(scaled + INT16_MAX, INT16_MIN, INT16_MAX))
    total = exponential.sum(axis=-1, keepdims=True)  # Q16.15
    bits = np.frexp(total.astype(np.float64))[1].astype(np.int64)  # exact: total < 2^31
    shifted = ((total << (31 - bits)) + (1 << 13)) >> 14  # [2^16, 2^17]: 1 + fraction in Q1.16
    reciprocal = interpolate(RECIPROCAL, np.clip(shifted - (1 << 15) - (1 << 16), INT16_MIN, INT16_MAX))
    share = (exponential * reciprocal + (np.int64(1) << (bits - 2))) >> (bits - 1)
    limited: Array = np.clip(share, 0, INT16_MAX).astype(np.int16)
    return limited
