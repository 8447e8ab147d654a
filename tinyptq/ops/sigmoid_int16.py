"""Sigmoid and tanh from int16 to int16 (scale 2^-15), interpolated in one table of 256 entries.

Both functions are odd about their centre and tanh(x) = 2·sigmoid(2x) − 1, so one table of sigmoid(i / 24), i >= 0, in
0.16 fixed point serves both. Source: TFLite reference_integer_ops Logistic and Tanh for int16, whose input is Q3.12
times 3: [−8, 8) stretched to the table's [−10.7, 10.7].
"""

from __future__ import annotations

import math

import numpy as np

from tinyptq.graph import Array

STEPS_PER_UNIT = 24  # table entries per unit of x
SATURATED = 255  # from this entry on the functions are flat
INT16_MIN, INT16_MAX = -(2**15), 2**15 - 1


def make_table() -> Array:
    """uint16 [256]: sigmoid(x) − h² / 16 · sigmoid''(x) in 0.16 at x = i·h, h = 1 / 24; the last entry is one.

    A chord lies below the curve by up to h² / 8 · |sigmoid''|; half of that, added to its ends, leaves the least error
    on both sides. Found from tflite-micro's outputs, which it reproduces for every int16.
    """
    step = 1.0 / STEPS_PER_UNIT
    values = []
    for i in range(SATURATED):
        y = 1.0 / (1.0 + math.exp(-i * step))
        curvature = y * (1.0 - y) * (1.0 - 2.0 * y)
        values.append(round(2.0**16 * (y - step * step / 16.0 * curvature)))
    return np.array([*values, 2**16 - 1], np.uint16)


TABLE = make_table()
CENTRED_TABLE = (TABLE.astype(np.int32) - 2**15).astype(np.int16)  # as C holds it: tanh(i / 48) in 1.15


def stretch(x: Array, power: int) -> Array:
    """x · 2^power in Q3.12, times 3, ties up: int64. The table's argument; |result| < 2^31 for power <= 2."""
    shift = power + 12
    if shift >= 0:
        return x.astype(np.int64) * (3 << shift)
    stretched: Array = (x.astype(np.int64) * 3 + (1 << (-shift - 1))) >> -shift
    return stretched


def interpolate(magnitude: Array, bits: int, saturated: int) -> Array:
    """The table at magnitude / 2^bits, linear between entries, in 0.(16 + bits); `saturated` beyond its end."""
    entry = magnitude >> bits
    low = TABLE[np.minimum(entry, SATURATED)].astype(np.int64)
    high = TABLE[np.minimum(entry + 1, SATURATED)].astype(np.int64)
    value = (low << bits) + (magnitude & ((1 << bits) - 1)) * (high - low)
    return np.where(entry >= SATURATED, saturated, value)


def sigmoid(x: Array, power: int = -12) -> Array:
    """sigmoid(x · 2^power) · 2^15, int64 in [0, 32767]. x: integers in int16 range."""
    return sigmoid_at(stretch(x, power))


def sigmoid_at(stretched: Array) -> Array:
    """sigmoid · 2^15 of what `stretch` makes of a number."""
    half = 1 << 9
    value = interpolate(np.abs(stretched), 9, 0x7FFF << 10)
    rounded: Array = np.where(stretched >= 0, value + half, (1 << 25) - value + half - 1) >> 10
    return rounded


def tanh(x: Array, power: int = -12) -> Array:
    """tanh(x · 2^power) · 2^15, int64 in int16 range. x: integers in int16 range."""
    return tanh_at(stretch(x, power))


def tanh_at(stretched: Array) -> Array:
    """tanh · 2^15 of what `stretch` makes of a number."""
    value = interpolate(np.abs(stretched), 8, 0xFFFF << 8) - (1 << 23)
    rounded: Array = np.where(stretched >= 0, value + (1 << 7), (1 << 7) - 1 - value) >> 8
    return rounded
