"""ABS: values on paper, the laws, and all 256 inputs against tflite-micro for many scales."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings

from tests.laws import Case, c_law, file_law, float_law, int_law, parametrize, step_law, widened
from tests.ops.exhaustive import exhaustive_law, scales, wide_law, zero_points
from tests.ops.unary import every_output
from tinyptq.errors import TinyptqError
from tinyptq.graph import QParams
from tinyptq.ops import abs as absolute
from tinyptq.ops.abs import Abs

per_tensor = QParams.per_tensor

CASES = (
    Case("vector", Abs(), ((1, 50),), "both signs"),
    Case("image", Abs(), ((1, 3, 4, 5),), "any shape"),
)
WIDE = widened(CASES)


def test_on_paper() -> None:
    # scale 1/2 and zero point 4; −6 is −5.0 and 6 is 1.0; in steps of 1/4 from −100: 20 and 4 steps
    y = every_output(absolute.OP, Abs(), per_tensor(0.5, 4), per_tensor(0.25, -100))
    assert y[[122, 132, 134]].tolist() == [-80, -100, -96]


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(absolute.OP, case)


@parametrize((*CASES, *WIDE))
def test_integers_equal_tflm(case: Case) -> None:
    int_law(absolute.OP, case)


@parametrize((*CASES, *WIDE))
def test_integers_stay_near_float(case: Case) -> None:
    step_law(absolute.OP, case)


@parametrize(CASES)
def test_file_round_trip(case: Case) -> None:
    file_law(absolute.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(absolute.OP, (*CASES, *WIDE), tmp_path)


@settings(deadline=None, max_examples=60)
@given(scale=scales(1e-5, 1e3), zero_point=zero_points, ratio=scales(1e-5, 1e5), output_zero_point=zero_points)
@example(scale=0.1, zero_point=127, ratio=1.0, output_zero_point=-128)
@example(scale=1.0, zero_point=-128, ratio=2.0**-22, output_zero_point=0)
def test_every_input_equals_tflm(scale: float, zero_point: int, ratio: float, output_zero_point: int) -> None:
    exhaustive_law(absolute.OP, Abs(), (per_tensor(scale, zero_point),), per_tensor(scale * ratio, output_zero_point))


def test_an_output_scale_too_fine_is_refused() -> None:
    with pytest.raises(TinyptqError, match="millions of times finer"):
        every_output(absolute.OP, Abs(), per_tensor(1.0), per_tensor(2.0**-24))


@settings(deadline=None, max_examples=20)
@given(scale=scales(1e-6, 1e2), ratio=scales(1e-4, 1e4))
@example(scale=0.1, ratio=1.0)
def test_every_int16_equals_tflm(scale: float, ratio: float) -> None:
    wide_law(absolute.OP, Abs(), (scale,), scale * ratio)
