"""The gemmlowp arithmetic in NumPy: twin of templates/runtime/tq_math.h, bit for bit.

All functions take and return int64 arrays (values in int32 range) unless they say otherwise, and are written so
that no intermediate leaves int64. No flag chooses the rounding: gemmlowp's double rounding for accumulators of 32 bits,
TFLite's single one for those beyond.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinyptq.graph import Array

INT32_MIN = -(2**31)
INT32_MAX = 2**31 - 1


def quantize_multiplier(real: float) -> tuple[int, int]:
    """(m, s) with real ≈ m · 2^(s − 31), m in [2^30, 2^31) or 0.

    Ties round away from zero; s < −31 becomes (0, 0). Source: TFLite QuantizeMultiplier.
    """
    if real == 0.0:
        return 0, 0
    fraction, shift = math.frexp(real)
    mantissa = round_half_away(fraction * 2.0**31)
    if mantissa == 2**31:
        mantissa, shift = 2**30, shift + 1
    return (0, 0) if shift < -31 else (mantissa, shift)


def quantize_multipliers(reals: Array) -> tuple[Array, Array]:
    """quantize_multiplier over a 1-D float64 array -> (int32 multipliers, int8 shifts)."""
    pairs = [quantize_multiplier(float(r)) for r in reals]
    return np.array([m for m, _ in pairs], np.int32), np.array([s for _, s in pairs], np.int8)


def round_half_away(x: float) -> int:
    """Nearest integer, ties away from zero (std::round); Python's round ties to even."""
    truncated = math.trunc(x)
    if abs(x - truncated) < 0.5:  # exact, where x + 0.5 would round the largest float below one half up to 1
        return truncated
    return truncated + (1 if x > 0 else -1)


def round_half_away_array(x: Array) -> Array:
    """round_half_away over a float array, as int64; exact for |x| < 2^52."""
    truncated = np.trunc(x)
    away = np.abs(x - truncated) >= 0.5
    rounded: Array = (truncated + np.where(away, np.sign(x), 0)).astype(np.int64)
    return rounded


def wrap32(x: Array) -> Array:
    """x modulo 2^32 into int32 range: what C does on two's complement hardware."""
    wrapped: Array = x.astype(np.int32).astype(np.int64)
    return wrapped


def saturating_rounding_doubling_high_mul(a: Array, b: Any) -> Array:
    """(a · b · 2) / 2^32 rounded half up in the sense of gemmlowp; saturates only for both INT32_MIN."""
    product = (a * b + (1 << 30)) >> 31
    high: Array = np.minimum(product, INT32_MAX)
    return high


def rounding_divide_by_power_of_two(x: Array, exponent: Any) -> Array:
    """x / 2^exponent, ties away from zero; 0 <= exponent <= 31. Source: gemmlowp RoundingDivideByPOT."""
    half = (np.int64(1) << np.asarray(exponent, np.int64)) >> 1
    quotient: Array = (x + (half - ((x < 0) & (half > 0)))) >> exponent
    return quotient


def multiply_by_quantized_multiplier(x: Array, multiplier: Any, shift: Any) -> Array:
    """x · multiplier · 2^(shift − 31) with gemmlowp's two roundings.

    x: int64 array of int32 values; multiplier, shift: integers or arrays that broadcast against x.
    """
    shape = np.broadcast_shapes(np.shape(x), np.shape(multiplier), np.shape(shift))
    out = np.array(np.broadcast_to(x, shape), np.int64)
    rescale(out, np.empty_like(out), multiplier, shift)
    return out


def reduce_multipliers(multiplier: Array, shift: Array) -> tuple[Array, Array]:
    """(m, n) of accumulators beyond 32 bits, x · m / 2^n: 15 bits of each 31-bit multiplier, and the whole right shift.

    multiplier >= 0 and shift < 15, arrays or scalars; both results int64. Source: TFLite
    MultiplyByQuantizedMultiplier(int64_t).
    """
    wide = np.asarray(multiplier, np.int64)
    return np.minimum((wide + (1 << 15)) >> 16, 0x7FFF), 15 - np.asarray(shift, np.int64)


def multiply_by_reduced_multiplier(x: Array, multiplier: Any, right: Any) -> Array:
    """x · multiplier / 2^right, rounded once, ties up: what reduce_multipliers returned.

    x: int64, |x| < 2^47; 1 <= right <= 46. Source: TFLite MultiplyByQuantizedMultiplier(int64_t).
    """
    shape = np.broadcast_shapes(np.shape(x), np.shape(multiplier), np.shape(right))
    out = np.array(np.broadcast_to(x, shape), np.int64)
    rescale_reduced(out, out, multiplier, right)
    return out


def rescale_reduced(x: Array, scratch: Array, multiplier: Any, right: Any) -> None:
    """multiply_by_reduced_multiplier in place, called like rescale; scratch is left alone."""
    right = np.asarray(right, np.int64)
    x *= np.asarray(multiplier, np.int64)
    x += np.int64(1) << (right - 1)
    x >>= right


def rescale(x: Array, scratch: Array, multiplier: Any, shift: Any) -> None:
    """multiply_by_quantized_multiplier in place: no temporary larger than multiplier and shift.

    x: int64 of int32 values; scratch: int64 of x's shape, overwritten; multiplier, shift: broadcast against x.
    """
    multiplier, shift = np.asarray(multiplier, np.int64), np.asarray(shift, np.int64)
    if (shift > 0).any():
        np.copyto(x, wrap32(x << np.maximum(shift, 0)))
    x *= multiplier
    x += 1 << 30
    x >>= 31
    if (multiplier == INT32_MIN).any():
        np.minimum(x, INT32_MAX, out=x)
    right = np.maximum(-shift, 0)
    np.right_shift(x, 63, out=scratch)  # −1 where negative: what turns "half up" into "half away from zero"
    if (right == 0).any():
        scratch &= -(right > 0).astype(np.int64)
    x += scratch
    x += (np.int64(1) << right) >> 1
    x >>= right
