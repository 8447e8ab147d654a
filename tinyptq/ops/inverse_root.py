"""1 / √x of an integer as a fixed-point multiplier: what RSQRT and L2_NORMALIZATION rest on."""

from __future__ import annotations

from tinyptq.fixedpoint import INT32_MAX, INT32_MIN

NEWTON_STEPS = 5
ONE = 1 << 28  # in Q3.28
THREE_HALVES = 3 << 27  # in Q3.28
HALF_ROOT_TWO = 1518500250  # √2 / 2 in Q0.31


def inverse_root_multiplier(x: int) -> tuple[int, int]:
    """(m, s) with 1 / √x ≈ m · 2^(s − 31); x in [0, 2^31), 0 counts as 1.

    x is brought to [1/2, 2) by whole pairs of bits, the root found by Newton's y ← y · (3 − x · y²) / 2.
    Source: TFLite GetInvSqrtQuantizedMultiplierExp, every rounding included.
    """
    if x <= 1:
        return INT32_MAX, 0
    shift = 11
    while x >= 1 << 29:
        x, shift = x // 4, shift + 1
    pairs = (31 - x.bit_length()) // 2 - 1
    x <<= 2 * pairs
    root = high_mul(newton(x >> 1), HALF_ROOT_TWO)
    shift -= pairs
    return (root << -shift, 0) if shift < 0 else (root, -shift)


def newton(x: int) -> int:
    """1 / √x in Q3.28 of x in Q3.28."""
    half = (x + (x > 0)) >> 1  # ties away from zero
    y = ONE
    for _ in range(NEWTON_STEPS):
        cube = shift_left(high_mul(high_mul(y, y), y), 6)
        y = shift_left(high_mul(THREE_HALVES, y) - high_mul(half, cube), 3)
    return y


def high_mul(a: int, b: int) -> int:
    """saturating_rounding_doubling_high_mul of Python integers."""
    return min((a * b + (1 << 30)) >> 31, INT32_MAX)


def shift_left(x: int, exponent: int) -> int:
    return min(max(x << exponent, INT32_MIN), INT32_MAX)
