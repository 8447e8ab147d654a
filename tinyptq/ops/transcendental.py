"""exp, logistic and tanh in gemmlowp's fixed point, over int64 arrays of int32 values.

Qm.f has m integer and f = 31 − m fraction bits. Source: gemmlowp fixedpoint/fixedpoint.h; every constant below is a
rounded real number and every operation a rounding of gemmlowp's, so the result is TFLite Micro's, bit for bit.
"""

from __future__ import annotations

import numpy as np

from tinyptq.fixedpoint import (
    INT32_MAX,
    INT32_MIN,
    rounding_divide_by_power_of_two,
    saturating_rounding_doubling_high_mul,
)
from tinyptq.graph import Array

ONE = INT32_MAX  # one in Q0.31, as near as it gets
ONE_Q2 = 1 << 29
EXP_MINUS_ONE_EIGHTH = 1895147668  # Q0.31
ONE_THIRD = 715827883  # Q0.31
FORTY_EIGHT_SEVENTEENTHS = 1515870810  # 48/17 in Q2.29, Newton's first guess
MINUS_THIRTY_TWO_SEVENTEENTHS = -1010580540  # −32/17 in Q2.29

# (k, exp(−2^k) in Q0.31): what each bit of the exponent above one quarter contributes
EXP_OF_BIT = (
    (-2, 1672461947),
    (-1, 1302514674),
    (0, 790015084),
    (1, 290630308),
    (2, 39332535),
    (3, 720401),
    (4, 242),
)


def saturating_shift_left(x: Array, exponent: int) -> Array:
    """x · 2^exponent within int32. Source: gemmlowp SaturatingRoundingMultiplyByPOT, positive exponent."""
    shifted: Array = np.clip(x << exponent, INT32_MIN, INT32_MAX)
    return shifted


def exp_near_zero(a: Array) -> Array:
    """exp(a) in Q0.31 for a in [−1/4, 0), Q0.31: Taylor's fourth order around −1/8."""
    multiply = saturating_rounding_doubling_high_mul
    x = a + (1 << 28)
    x2 = multiply(x, x)
    x3 = multiply(x2, x)
    x4_over_4 = rounding_divide_by_power_of_two(multiply(x2, x2), 2)
    tail = rounding_divide_by_power_of_two(multiply(x4_over_4 + x3, ONE_THIRD) + x2, 1)
    return EXP_MINUS_ONE_EIGHTH + multiply(x + tail, EXP_MINUS_ONE_EIGHTH)


def exp_on_negative_values(a: Array, integer_bits: int) -> Array:
    """exp(a) in Q0.31 for a <= 0 with integer_bits integer bits: last quarter by Taylor, the rest bit by bit."""
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    last_quarter = (a & (quarter - 1)) - quarter
    result = exp_near_zero(saturating_shift_left(last_quarter, integer_bits))
    remainder = last_quarter - a
    for exponent, factor in EXP_OF_BIT:
        if exponent < integer_bits:
            has_bit = (remainder & (1 << (fraction_bits + exponent))) != 0
            result = np.where(has_bit, saturating_rounding_doubling_high_mul(result, factor), result)
    return np.where(a == 0, ONE, result)


def two_over_one_plus(x: Array) -> Array:
    """2 / (1 + x) in Q2.29 for x in [0, 1], Q0.31: three Newton steps."""
    multiply = saturating_rounding_doubling_high_mul
    half_denominator = (x + ONE + 1) >> 1  # gemmlowp RoundingHalfSum of non-negative numbers
    y = FORTY_EIGHT_SEVENTEENTHS + multiply(half_denominator, MINUS_THIRTY_TWO_SEVENTEENTHS)
    for _ in range(3):
        error = ONE_Q2 - multiply(half_denominator, y)
        y = y + saturating_shift_left(multiply(y, error), 2)
    return y


def one_over_one_plus(x: Array) -> Array:
    """1 / (1 + x) in Q0.31 for x in [0, 1], Q0.31."""
    return saturating_shift_left(two_over_one_plus(x), 1)


def logistic(a: Array, integer_bits: int) -> Array:
    """1 / (1 + exp(−a)) in Q0.31."""
    positive = one_over_one_plus(exp_on_negative_values(-np.abs(a), integer_bits))
    return np.where(a == 0, 1 << 30, np.where(a > 0, positive, ONE - positive))


def tanh(a: Array, integer_bits: int) -> Array:
    """tanh(a) in Q0.31: (1 − exp(−2|a|)) / (1 + exp(−2|a|)) with a's sign."""
    exponential = exp_on_negative_values(-np.abs(a), integer_bits + 1)  # the same integer read as 2·a
    magnitude = saturating_shift_left(two_over_one_plus(exponential) - ONE_Q2, 2)
    return np.sign(a) * magnitude
