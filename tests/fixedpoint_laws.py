"""What gemmlowp's arithmetic is, in Python integers, and the laws that hold an implementation to it.

The same laws judge tinyptq/fixedpoint.py, templates/runtime/tq_math.h (compiled for the host) and, in
test_mutations.py, copies of both with one constant altered, which must fail.
"""

from __future__ import annotations

import ctypes
import itertools
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.c_harness import WARNINGS
from tests.shared import ROOT
from tinyptq.fixedpoint import reduce_multipliers
from tinyptq.graph import Array

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
HEADER = ROOT / "templates" / "runtime" / "tq_math.h"

_NEAR = (-1, 0, 1)
EDGES = tuple(
    sorted(
        {INT32_MIN, INT32_MIN + 1, INT32_MAX - 1, INT32_MAX, 1515870810, -1010580540}
        | {sign * 2**k + d for k in (0, 1, 2, 8, 15, 16, 29, 30) for sign in (1, -1) for d in _NEAR}
        | {sign * 3 * 2**k for k in (0, 7, 22, 28) for sign in (1, -1)}
    )
)
EXPONENTS = (0, 1, 2, 7, 15, 29, 30, 31)
SHIFTS = (-31, -30, -16, -8, -2, -1, 0, 1, 2, 8, 30)


# gemmlowp's formulas over unbounded integers.


def exact_wrap32(x: int) -> int:
    return (x + 2**31) % 2**32 - 2**31


def exact_high_mul(a: int, b: int) -> int:
    """gemmlowp SaturatingRoundingDoublingHighMul, with its nudge and its division that truncates."""
    if a == b == INT32_MIN:
        return INT32_MAX
    nudged = a * b + (2**30 if a * b >= 0 else 1 - 2**30)
    return nudged // 2**31 if nudged >= 0 else -(-nudged // 2**31)


def exact_divide(x: int, exponent: int) -> int:
    """x / 2^exponent to the nearest integer, ties away from zero, as the definition says it."""
    magnitude = (2 * abs(x) + 2**exponent) // 2 ** (exponent + 1)
    return magnitude if x >= 0 else -magnitude


def exact_rescale(x: int, multiplier: int, shift: int) -> int:
    return exact_divide(exact_high_mul(exact_wrap32(x << max(shift, 0)), multiplier), max(-shift, 0))


def exact_reduced(x: int, multiplier: int, shift: int) -> int:
    """TFLite's rescaling of 64-bit accumulators by 16 bits of the multiplier, as its source says it; ties up."""
    reduced = (multiplier + 2**15) // 2**16 if multiplier < 0x7FFF0000 else 0x7FFF
    return (2 * x * reduced + 2 ** (15 - shift)) // 2 ** (16 - shift)


def exact_round(x: Fraction) -> int:
    """Nearest integer, ties away from zero."""
    magnitude = (2 * abs(x.numerator) + x.denominator) // (2 * x.denominator)
    return magnitude if x >= 0 else -magnitude


def exact_quantize_multiplier(real: float) -> tuple[int, int]:
    """The (m, s) with m in [2^30, 2^31) nearest to real · 2^(31 − s); (0, 0) for zero or s < −31."""
    if real == 0:
        return 0, 0
    shift, exact = 0, Fraction(real)
    while exact >= 1:
        exact, shift = exact / 2, shift + 1
    while exact < Fraction(1, 2):
        exact, shift = exact * 2, shift - 1
    multiplier = exact_round(exact * 2**31)
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift + 1
    return (multiplier, shift) if shift >= -31 else (0, 0)


# An implementation, and the laws.


@dataclass(frozen=True)
class Arithmetic:
    """One implementation: functions over int64 arrays of int32 values, all of one length."""

    name: str
    high_mul: Callable[[Array, Array], Array]
    divide: Callable[[Array, Array], Array]
    rescale: Callable[[Array, Array, Array], Array]
    reduced: Callable[[Array, Array, Array], Array]  # x beyond int32, 31-bit multiplier, shift


Law = Callable[[Arithmetic, Sequence[tuple[int, ...]]], None]


def high_mul_law(arithmetic: Arithmetic, samples: Sequence[tuple[int, ...]]) -> None:
    assert_equal(arithmetic.name, exact_high_mul, arithmetic.high_mul, samples)


def divide_law(arithmetic: Arithmetic, samples: Sequence[tuple[int, ...]]) -> None:
    assert_equal(arithmetic.name, exact_divide, arithmetic.divide, samples)


def rescale_law(arithmetic: Arithmetic, samples: Sequence[tuple[int, ...]]) -> None:
    assert_equal(arithmetic.name, exact_rescale, arithmetic.rescale, samples)


def reduced_law(arithmetic: Arithmetic, samples: Sequence[tuple[int, ...]]) -> None:
    assert_equal(arithmetic.name, exact_reduced, arithmetic.reduced, samples)


def assert_equal(name: str, exact: Callable[..., int], actual: Any, samples: Sequence[tuple[int, ...]]) -> None:
    columns = [np.array(column, np.int64) for column in zip(*samples, strict=True)]
    for sample, got in zip(samples, actual(*columns).tolist(), strict=True):
        assert got == exact(*sample), f"{name}: {exact.__name__}{sample} is {exact(*sample)}, got {got}"


PAIRS = tuple(itertools.product(EDGES, EDGES))
QUOTIENTS = tuple(itertools.product(EDGES, EXPONENTS))
TRIPLES = tuple(itertools.product(EDGES, (*EDGES[::3], INT32_MIN, 2**30, INT32_MAX), SHIFTS))
WIDE = tuple(sorted({sign * 2**k + d for k in (0, 1, 15, 31, 40, 46) for sign in (1, -1) for d in _NEAR} | {1 - 2**47}))
HALF_STEPS = (0, 2**30 + 2**15 - 1, 2**30 + 2**15, 0x7FFEFFFF, 0x7FFF0000, INT32_MAX)  # of a multiplier's 16 bits
REDUCED = tuple(t for t in itertools.product(WIDE, HALF_STEPS, (-31, -16, -1, 0, 7)) if abs(exact_reduced(*t)) < 2**31)
LAWS: tuple[tuple[Law, tuple[tuple[int, ...], ...]], ...] = (
    (high_mul_law, PAIRS),
    (divide_law, QUOTIENTS),
    (rescale_law, TRIPLES),
    (reduced_law, REDUCED),
)


def check_arithmetic(arithmetic: Arithmetic) -> None:
    """All laws on all edges."""
    for law, samples in LAWS:
        law(arithmetic, samples)


REALS = (
    0.0, 1.0, 0.5, 2.0, 0.75, 1 / 3, 1e-9, 123456.789, 2.0**-31, 2.0**-32, 2.0**-33, 2.0**-34, 1.0 - 2.0**-33,
    1.0 - 2.0**-32, 1.0 - 2.0**-53, 0.5 + 2.0**-32, 0.5 + 3 * 2.0**-32, 2.0**-32 * (1 - 2.0**-40), 0.00117,
)  # fmt: skip
HALVES = (
    0.0, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 0.49999999999999994, -0.49999999999999994, 0.4999, -0.5001, 1e9 + 0.5, -3.7,
)  # fmt: skip


def quantize_multiplier_law(module: Any, reals: Sequence[float]) -> None:
    expected = [exact_quantize_multiplier(real) for real in reals]
    for real, pair in zip(reals, expected, strict=True):
        assert module.quantize_multiplier(real) == pair, real
    multipliers, shifts = module.quantize_multipliers(np.array(reals, np.float64))
    assert list(zip(multipliers.tolist(), shifts.tolist(), strict=True)) == expected


def rounding_law(module: Any, reals: Sequence[float]) -> None:
    rounded = module.round_half_away_array(np.array(reals, np.float64)).tolist()
    for real, from_array in zip(reals, rounded, strict=True):
        assert module.round_half_away(real) == from_array == exact_round(Fraction(real)), real


def check_module(module: Any) -> None:
    """All laws of fixedpoint.py."""
    check_arithmetic(numpy_arithmetic(module))
    quantize_multiplier_law(module, REALS)
    rounding_law(module, HALVES)


def numpy_arithmetic(module: Any) -> Arithmetic:
    return Arithmetic(
        "NumPy",
        module.saturating_rounding_doubling_high_mul,
        module.rounding_divide_by_power_of_two,
        module.multiply_by_quantized_multiplier,
        lambda x, m, s: module.multiply_by_reduced_multiplier(x, *module.reduce_multipliers(m, s)),
    )


# tq_math.h on the host.

NARROW = ("-O2", "-D__ARM_ARCH_6M__")  # as for a core that multiplies 32 by 32 bits to 32

SOURCE = """
#include "tq_math.h"
void high_mul(const int32_t *a, const int32_t *b, int32_t *y, int32_t count);
void divide(const int32_t *x, const int32_t *n, int32_t *y, int32_t count);
void rescale(const int32_t *x, const int32_t *m, const int32_t *s, int32_t *y, int32_t count);
void clamp(const int32_t *x, const int32_t *low, const int32_t *high, int32_t *y, int32_t count);
void reduced(const int64_t *x, const int32_t *m, const int32_t *n, int32_t *y, int32_t count);

void high_mul(const int32_t *a, const int32_t *b, int32_t *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = tq_saturating_rounding_doubling_high_mul(a[i], b[i]);
    }
}

void divide(const int32_t *x, const int32_t *n, int32_t *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = tq_rounding_divide_by_power_of_two(x[i], n[i]);
    }
}

void rescale(const int32_t *x, const int32_t *m, const int32_t *s, int32_t *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = tq_multiply_by_quantized_multiplier(x[i], m[i], s[i]);
    }
}

void clamp(const int32_t *x, const int32_t *low, const int32_t *high, int32_t *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = tq_clamp(x[i], low[i], high[i]);
    }
}

void reduced(const int64_t *x, const int32_t *m, const int32_t *n, int32_t *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = tq_multiply_by_reduced_multiplier(x[i], m[i], n[i]);
    }
}
"""


def compile_math(header: str, folder: Path, name: str = "math", flags: Sequence[str] = ("-O2",)) -> ctypes.CDLL:
    """tq_math.h (its text) as a shared object of the host; the test is skipped without a compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler on this machine: tq_math.h cannot be checked")
    place = folder / name
    place.mkdir()
    (place / "tq_math.h").write_text(header)
    (place / "twin.c").write_text(SOURCE)
    command = [compiler, *WARNINGS, *flags, "-shared", "-fPIC", "-I.", "twin.c", "-o", "twin.so"]
    subprocess.run(command, cwd=place, check=True, capture_output=True, text=True)
    return ctypes.CDLL(str(place / "twin.so"))


def c_arithmetic(library: ctypes.CDLL) -> Arithmetic:
    reduced = c_function(library, "reduced", np.int64)
    high_mul, divide, rescale = (c_function(library, name) for name in ("high_mul", "divide", "rescale"))
    return Arithmetic("C", high_mul, divide, rescale, lambda x, m, s: reduced(x, *reduce_multipliers(m, s)))


def c_function(library: ctypes.CDLL, name: str, first: type[np.signedinteger[Any]] = np.int32) -> Callable[..., Array]:
    """One exported loop as a function over arrays, the first one of its own type."""

    def call(*columns: Array) -> Array:
        arrays = [np.ascontiguousarray(column, np.int32 if i else first) for i, column in enumerate(columns)]
        out = np.empty(len(arrays[0]), np.int32)
        pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (*arrays, out)]
        getattr(library, name)(*pointers, ctypes.c_int32(len(out)))
        return out

    return call
