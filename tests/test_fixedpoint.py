"""Fixed point three ways: NumPy, the C twin, and gemmlowp's formulas in Python integers."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests import fixedpoint_laws as laws
from tests.fixedpoint_laws import EDGES, HEADER, INT32_MAX, INT32_MIN
from tests.shared import ROOT
from tinyptq import fixedpoint
from tinyptq.version import RUNTIME_VERSION

NUMPY = laws.numpy_arithmetic(fixedpoint)

int32 = st.one_of(st.integers(INT32_MIN, INT32_MAX), st.sampled_from(EDGES))
positive_reals = st.floats(1e-12, 1e9, allow_nan=False)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return laws.compile_math(HEADER.read_text(), tmp_path_factory.mktemp("twin"))


@pytest.fixture(scope="module")
def implementations(library: ctypes.CDLL, tmp_path_factory: pytest.TempPathFactory) -> tuple[laws.Arithmetic, ...]:
    narrow = laws.compile_math(HEADER.read_text(), tmp_path_factory.mktemp("narrow"), flags=laws.NARROW)
    return NUMPY, laws.c_arithmetic(library), laws.c_arithmetic(narrow)


def test_on_paper() -> None:
    # 1000 · 0.3 = 300: m = round(0.6 · 2^31), s = −1; SRDHM(1000, m) = 600, and 600 / 2 = 300
    assert fixedpoint.quantize_multiplier(0.3) == (1288490189, -1)
    assert laws.exact_rescale(1000, 1288490189, -1) == 300
    # 5 / 2 and −5 / 2 are ties: away from zero
    assert [laws.exact_divide(x, 1) for x in (5, -5, 4, -3)] == [3, -3, 2, -2]
    # 1 · 2^30 · 2 / 2^32 = 1/2 rounds up; −1/2 rounds up too, to 0
    assert [laws.exact_high_mul(x, 2**30) for x in (1, -1)] == [1, 0]
    # single rounding would give 1 here: 3 · 2^30 / 2^31 = 1.5 → 2, and 2 / 2^2 = 0.5 → 1, but 3/8 → 0
    assert laws.exact_rescale(3, 2**30, -2) == 1
    # 64 bits: ±3/2 are ties, and go up
    assert [laws.exact_reduced(x, 2**30, 0) for x in (3, -3)] == [2, -1]


@settings(deadline=None)
@given(samples=st.lists(st.tuples(int32, int32), min_size=1, max_size=40))
@example(samples=[(INT32_MIN, INT32_MIN)])
@example(samples=[(INT32_MIN, INT32_MAX), (INT32_MAX, INT32_MIN), (INT32_MAX, INT32_MAX), (INT32_MIN, 1)])
@example(samples=[(1, 2**30), (-1, 2**30), (3, 2**30), (-3, 2**30), (1, 2**30 - 1), (-1, 2**30 + 1)])
@example(samples=[(0, INT32_MIN), (-1, INT32_MIN), (1, INT32_MIN), (INT32_MIN + 1, INT32_MIN)])
def test_high_mul(implementations: tuple[laws.Arithmetic, ...], samples: list[tuple[int, ...]]) -> None:
    for arithmetic in implementations:
        laws.high_mul_law(arithmetic, samples)


@settings(deadline=None)
@given(samples=st.lists(st.tuples(int32, st.integers(0, 31)), min_size=1, max_size=40))
@example(samples=[(x, n) for n in (0, 1, 30, 31) for x in (INT32_MIN, INT32_MIN + 1, -1, 0, 1, INT32_MAX)])
@example(samples=[(x, 1) for x in (-3, -2, -1, 1, 2, 3)])
@example(samples=[(-(2**30), 31), (2**30, 31), (-(2**30) + 1, 31), (2**30 - 1, 31)])
def test_divide(implementations: tuple[laws.Arithmetic, ...], samples: list[tuple[int, ...]]) -> None:
    for arithmetic in implementations:
        laws.divide_law(arithmetic, samples)


@settings(deadline=None)
@given(samples=st.lists(st.tuples(int32, int32, st.integers(-31, 30)), min_size=1, max_size=40))
@example(samples=[(INT32_MIN, INT32_MIN, s) for s in (-31, -1, 0, 1, 30)])
@example(samples=[(INT32_MAX, INT32_MAX, s) for s in (-31, -1, 0, 1, 30)])
@example(samples=[(3, 2**30, -2), (-3, 2**30, -2), (1, 2**30, 0), (-1, 2**30, 0)])
def test_rescale(implementations: tuple[laws.Arithmetic, ...], samples: list[tuple[int, ...]]) -> None:
    for arithmetic in implementations:
        laws.rescale_law(arithmetic, samples)


@settings(deadline=None)
@given(
    samples=st.lists(
        st.tuples(st.integers(1 - 2**47, 2**47 - 1), st.integers(2**30, INT32_MAX), st.integers(-31, 7)),
        min_size=1,
        max_size=40,
    )
)
@example(samples=[(1, 2**30, -1), (-1, 2**30, -1), (3, 2**30, 0), (-3, 2**30, 0)])  # ties
@example(samples=[(2**30, m, -1) for m in (0x7FFEFFFF, 0x7FFF0000, 0x7FFFFFFF, 2**30 + 2**15 - 1, 2**30 + 2**15)])
def test_reduced(implementations: tuple[laws.Arithmetic, ...], samples: list[tuple[int, ...]]) -> None:
    fitting = [sample for sample in samples if abs(laws.exact_reduced(*sample)) < 2**31]
    for arithmetic in implementations if fitting else ():
        laws.reduced_law(arithmetic, fitting)


def test_every_edge(implementations: tuple[laws.Arithmetic, ...]) -> None:
    for arithmetic in implementations:
        laws.check_arithmetic(arithmetic)


UBSAN = ("-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all")
CHECK = """
import ctypes, sys
from tests import fixedpoint_laws as laws
laws.check_arithmetic(laws.c_arithmetic(ctypes.CDLL(sys.argv[1])))
"""


def run_under_ubsan(header: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """All laws on a sanitized build, in a child: the first undefined operation ends the process."""
    laws.compile_math(header, folder, "ubsan", UBSAN)
    command = [sys.executable, "-c", CHECK, str(folder / "ubsan" / "twin.so")]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_header_is_free_of_undefined_behaviour(tmp_path: Path) -> None:
    child = run_under_ubsan(HEADER.read_text(), tmp_path)
    assert child.returncode == 0, child.stderr
    assert "runtime error" not in child.stderr


def test_ubsan_would_notice(tmp_path: Path) -> None:
    header = HEADER.read_text().replace("(int32_t)((uint32_t)x << n)", "x << n")
    child = run_under_ubsan(header, tmp_path)
    assert child.returncode != 0
    assert "left shift of negative value" in child.stderr


@settings(deadline=None)
@given(x=int32, low=int32, high=int32)
@example(x=INT32_MIN, low=-128, high=127)
@example(x=INT32_MAX, low=INT32_MIN, high=INT32_MAX)
def test_clamp(library: ctypes.CDLL, x: int, low: int, high: int) -> None:
    low, high = min(low, high), max(low, high)
    columns = [np.array([value]) for value in (x, low, high)]
    assert laws.c_function(library, "clamp")(*columns).tolist() == [sorted((low, x, high))[1]]


@given(real=positive_reals)
@example(real=1.0 - 2.0**-53)
@example(real=2.0**-32)
@example(real=2.0**-33)
def test_quantize_multiplier(real: float) -> None:
    laws.quantize_multiplier_law(fixedpoint, [real])


def test_quantize_multiplier_edges() -> None:
    laws.quantize_multiplier_law(fixedpoint, laws.REALS)


@given(x=st.floats(-(2.0**40), 2.0**40))
@example(x=0.49999999999999994)
@example(x=-0.5)
@example(x=2.5)
def test_rounding(x: float) -> None:
    laws.rounding_law(fixedpoint, [x])


def test_rescale_broadcasts_per_channel() -> None:
    x = np.arange(-6, 6, dtype=np.int64).reshape(3, 4) * 1000
    multiplier, shift = np.array([2**30, 2**31 - 1, 1288490189, 5]), np.array([-3, 0, 2, 0])
    expected = [
        [laws.exact_rescale(int(x[i, c]), int(multiplier[c]), int(shift[c])) for c in range(4)] for i in range(3)
    ]
    assert fixedpoint.multiply_by_quantized_multiplier(x, multiplier, shift).tolist() == expected


def test_header_version_is_the_generators() -> None:
    (version,) = re.findall(r"#define TQ_MATH_VERSION (\d+)", HEADER.read_text())
    assert int(version) == RUNTIME_VERSION
