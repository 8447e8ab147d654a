"""MEAN: numbers on paper, then the laws over single, joined and separated axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.laws import Case, c_law, file_law, float_law, int_law, parametrize, step_law, widened
from tests.ops.exhaustive import scales
from tests.ops.reductions import reduction_cases
from tests.ops.refusals import broken
from tinyptq.graph import QParams, Shape
from tinyptq.ops import mean
from tinyptq.ops.base import Operand
from tinyptq.ops.mean import Mean

OP = mean.OP

CASES = reduction_cases(Mean)
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
    """((5-1) + (7-1) + (-2-1) + (9-1)) / 4 · 0.5/0.25 = 15/4 · 2 = 7.5, half away from zero -> 8; - 3 = 5."""
    x = Operand((1, 4), QParams.per_tensor(0.5, 1))
    params = OP.lower(Mean((1,)), (x,), (Operand((1,), QParams.per_tensor(0.25, -3)),))
    assert (params.multiplier, params.shift) == (2**30, 0)  # 2 / 4 = 1/2
    assert OP.run_int(params, np.array([[5, 7, -2, 9]], np.int8)).tolist() == [5]


def test_the_multiplier_is_divided_and_truncated() -> None:
    """1/3: 2^30 · 2^(1 + 0) with two more bits, divided by 3: floor(2^31 / 3) · 2^-31 with shift 0 + 1 - 1."""
    assert mean.mean_multiplier(1.0, 3) == ((2**30 << 1) // 3, 0)
    assert mean.mean_multiplier(1.0, 125) == ((2**30 << 6) // 125, 1 - 6)


def test_scales_of_every_proportion_equal_tflm() -> None:
    """Same, finer and coarser output scales: the oracle has one formula for all of them."""
    for index, (scale, zero_point) in enumerate([(0.1, -3), (0.1, 5), (0.03, 0), (0.004, -128), (0.9, 127)]):
        forced = {0: QParams.per_tensor(0.1, -3), "output": QParams.per_tensor(scale, zero_point)}
        for axes, shape in (((1, 2), (1, 5, 5, 4)), ((1,), (1, 11, 3)), ((3,), (1, 2, 2, 127))):
            int_law(OP, Case(f"scale-{index}", Mean(axes), (shape,), "scales", qparams=forced, spread=8.0))


@settings(deadline=None, max_examples=25)
@given(
    scale=scales(1e-6, 1e2),
    ratio=scales(0.1, 1000.0),
    shape=st.tuples(st.just(1), st.integers(1, 12), st.integers(1, 12), st.integers(1, 6)),
    axes=st.sampled_from([(1,), (2,), (3,), (1, 2), (1, 3), (2, 3), (1, 2, 3)]),
)
def test_drawn_int16_equals_tflm(scale: float, ratio: float, shape: Shape, axes: tuple[int, ...]) -> None:
    forced = {0: QParams.per_tensor(scale), "output": QParams.per_tensor(scale * ratio)}
    int_law(OP, Case("drawn", Mean(axes), (shape,), "drawn", qparams=forced, dtype="int16"))


def test_refusals() -> None:
    assert broken(OP, Mean((1, 2)), (1, 5, 5, 2)) == []
    assert broken(OP, Mean((0, 1)), (1, 5, 5, 2)) == ["reduces_no_batch"]
    assert broken(OP, Mean(()), (1, 5, 5, 2)) == ["reduces_no_batch"]
    assert broken(OP, Mean((1, 3, 5)), (1, 2, 3, 4, 5, 6)) == ["few_runs"]
