"""Sums of two int8 tensors as one affine function, proved by trying all 65,536 pairs of bytes.

ADD and SUB rescale both operands, combine them and rescale again, each time rounding. What comes out is nearly
(a·x0 + b·x1 + c) >> shift; with a and b of many bits there is a c that makes it exactly that for every pair. The range
of such c is computed, not searched: every pair bounds it from both sides. Ties away from zero, too: slopes a hair
steeper than the real ones move those above zero up and those below it down.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tinyptq.graph import Array
from tinyptq.ops.add import AddInt
from tinyptq.ops.sub import SubInt

SHIFTS = tuple(range(24, 16, -1))  # tried in turn; the instructions of Helium shift by 17 to 24
STEEPER = tuple(2**i for i in range(10))  # both slopes times 1 + this · 2^-shift
NEIGHBOURS = (0, 1, -1)  # a and b rounded otherwise
LIMIT = 2**31 - 2**24  # of sums: constants that make up for a rounding may be taken off


@dataclass(frozen=True)
class Affine:
    """y = clamp((a · x0 + b · x1 + c) >> shift), int32 throughout."""

    a: int
    b: int
    c: int
    shift: int


def affine(params: AddInt | SubInt) -> Affine | None:
    """The function that equals the layer for every pair of bytes, if there is one."""
    pair, sign = params.pair, -1 if isinstance(params, SubInt) else 1
    gains = tuple(
        multiplier * 2.0 ** (shift - 31 + pair.left_shift + pair.output_shift - 31) * pair.output_multiplier
        for multiplier, shift in zip(pair.input_multipliers, pair.input_shifts, strict=True)
    )
    return proved(gains[0], sign * gains[1], pair.activation_min, pair.activation_max, params.table.tobytes())


@lru_cache(maxsize=64)
def proved(first: float, second: float, low: int, high: int, table: bytes) -> Affine | None:
    """table: the output for every pair of inputs, int8 [256, 256], indexed by bytes."""
    expected = np.frombuffer(table, np.int8).reshape(256, 256).astype(np.int64)
    x = np.arange(256).astype(np.int8).astype(np.int64)
    for shift in SHIFTS:
        for a, b in slopes(first, second, 2**shift):
            c = constant(a * x[:, None] + b * x, expected, (low, high), shift)
            if c is not None:
                return Affine(a, b, c, shift)
    return None


def slopes(first: float, second: float, one: int) -> list[tuple[int, int]]:
    """Integers near both gains · one; those a hair steeper keep the proportion."""
    a, b = round(first * one), round(second * one)
    near = [(a + da, b + db) for da in NEIGHBOURS for db in NEIGHBOURS]
    return near + [(round(first * (one + more)), round(second * (one + more))) for more in STEEPER]


def constant(products: Array, expected: Array, clamps: tuple[int, int], shift: int) -> int | None:
    """c with clamp((products + c) >> shift) = expected everywhere and no sum beyond LIMIT; the middle one."""
    least = ((expected << shift) - products)[expected > clamps[0]].max(initial=-LIMIT - int(products.min()))
    most = (((expected + 1) << shift) - 1 - products)[expected < clamps[1]].min(initial=LIMIT - int(products.max()))
    return int(least + most) // 2 if least <= most else None
