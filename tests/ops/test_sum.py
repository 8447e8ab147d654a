"""SUM: numbers on paper, then the laws over single, joined and separated axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.laws import Case, c_law, file_law, float_law, int_law, parametrize, step_law, widened
from tests.ops.exhaustive import scales, zero_points
from tests.ops.reductions import reduction_cases
from tests.ops.refusals import broken
from tinyptq.errors import TinyptqError
from tinyptq.graph import QParams, Shape
from tinyptq.ops import sum
from tinyptq.ops.base import Operand
from tinyptq.ops.sum import Sum

OP = sum.OP

CASES = reduction_cases(Sum)
WIDE = widened(CASES)


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(OP, case)


@parametrize((*CASES, *WIDE))
def test_integers_equal_tflm(case: Case) -> None:
    int_law(OP, case)


@parametrize((*CASES, *WIDE))
def test_integers_are_near_the_floats(case: Case) -> None:
    step_law(OP, case)


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(OP, (*CASES, *WIDE), tmp_path)


def test_on_paper() -> None:
    """((5-1) + (7-1) + (-2-1) + (9-1)) · 0.5/2 = 15/4 = 3.75 -> 4; - 3 = 1."""
    x = Operand((1, 4), QParams.per_tensor(0.5, 1))
    params = OP.lower(Sum((1,)), (x,), (Operand((1,), QParams.per_tensor(2.0, -3)),))
    assert (params.multiplier, params.shift) == (2**30, -1)
    assert OP.run_int(params, np.array([[5, 7, -2, 9]], np.int8)).tolist() == [1]


@settings(deadline=None, max_examples=25)
@given(
    scale=scales(1e-4, 1e2),
    ratio=scales(0.01, 100.0),
    points=st.tuples(zero_points, zero_points),
    shape=st.tuples(st.just(1), st.integers(1, 12), st.integers(1, 12), st.integers(1, 6)),
    axes=st.sampled_from([(1,), (2,), (3,), (1, 2), (1, 3), (2, 3), (1, 2, 3)]),
)
def test_drawn_scales_equal_tflm(
    scale: float, ratio: float, points: tuple[int, int], shape: Shape, axes: tuple[int, ...]
) -> None:
    forced = {0: QParams.per_tensor(scale, points[0]), "output": QParams.per_tensor(scale * ratio, points[1])}
    int_law(OP, Case("drawn", Sum(axes), (shape,), "drawn", qparams=forced))


@pytest.mark.parametrize("part", [3, 5, 7])
def test_ties_equal_tflm(part: int) -> None:
    """A multiplier next to part / 8, so that many sums lie half way between two steps: a float32 quotient shows."""
    for scale in (0.1, 0.037, 0.61):
        fine = np.float32(scale)
        output = QParams.per_tensor(float(fine * 8 / np.float32(part)))
        forced = {0: QParams.per_tensor(float(fine), 3), "output": output}
        int_law(OP, Case(f"ties-{part}", Sum((1,)), ((1, 2, 2000),), "ties", qparams=forced))


def test_an_overflow_is_refused() -> None:
    x = Operand((1, 4000), QParams.per_tensor(1.0))
    with pytest.raises(TinyptqError, match="beyond a 32-bit accumulator"):
        OP.lower(Sum((1,)), (x,), (Operand((1,), QParams.per_tensor(1e-4)),))


@settings(deadline=None, max_examples=25)
@given(
    scale=scales(1e-6, 1e2),
    ratio=scales(0.1, 1000.0),
    shape=st.tuples(st.just(1), st.integers(1, 12), st.integers(1, 12), st.integers(1, 6)),
    axes=st.sampled_from([(1,), (2,), (3,), (1, 2), (1, 3), (2, 3), (1, 2, 3)]),
)
def test_drawn_int16_equals_tflm(scale: float, ratio: float, shape: Shape, axes: tuple[int, ...]) -> None:
    forced = {0: QParams.per_tensor(scale), "output": QParams.per_tensor(scale * ratio)}
    int_law(OP, Case("drawn", Sum(axes), (shape,), "drawn", qparams=forced, dtype="int16"))


def test_refusals() -> None:
    assert broken(OP, Sum((1, 2)), (1, 5, 5, 2)) == []
    assert broken(OP, Sum((0, 1)), (1, 5, 5, 2)) == ["reduces_no_batch"]
    assert broken(OP, Sum(()), (1, 5, 5, 2)) == ["reduces_no_batch"]
    assert broken(OP, Sum((1, 3, 5)), (1, 2, 3, 4, 5, 6)) == ["few_runs"]
