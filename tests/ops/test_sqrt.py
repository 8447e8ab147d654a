"""SQRT: values on paper, every byte within half a step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings

from tests.laws import Case, c_law, draw, int_law, parametrize, widened
from tests.ops.exhaustive import exhaustive_law, scales, zero_points
from tests.ops.unary import assert_float_equals_litert, every_output, half_step_law, interpolated_law, reads_back
from tinyptq.graph import Array, QParams
from tinyptq.ops import sqrt
from tinyptq.ops.base import TfliteCode
from tinyptq.ops.sqrt import Sqrt

per_tensor = QParams.per_tensor

CASES = (
    Case("vector", Sqrt(), ((1, 50),), "both signs", spread=2.0),
    Case("image", Sqrt(), ((1, 3, 4, 5),), "any shape", spread=0.5),
)
WIDE = widened(CASES)
CODE = TfliteCode("SQRT")


def real(x: Array) -> Array:
    return np.sqrt(np.maximum(x, 0.0))


def test_on_paper() -> None:
    # 4, 9, 16 are 2, 3, 4, and 6.25 rounds away from zero: √6.25 = 2.5 -> 3
    y = every_output(sqrt.OP, Sqrt(), per_tensor(0.25), per_tensor(1.0))
    assert y[[0, 128, 128 + 16, 128 + 36, 128 + 64, 128 + 25]].tolist() == [0, 0, 2, 3, 4, 3]


def test_float_equals_litert() -> None:
    assert_float_equals_litert(sqrt.OP, Sqrt(), CODE, np.abs(draw("sqrt", 1, 60)))


def test_negative_floats_count_as_zero() -> None:
    assert sqrt.run_float(Sqrt(), np.float32([[-4.0, 4.0]])).tolist() == [[0.0, 2.0]]


def test_reading() -> None:
    assert reads_back(sqrt.OP, CODE) == Sqrt()


@parametrize(CASES)
def test_the_exported_table_is_tflm_s(case: Case) -> None:
    int_law(sqrt.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(sqrt.OP, (*CASES, *WIDE), tmp_path)


@settings(deadline=None, max_examples=40)
@given(scale=scales(1e-5, 1e2), zero_point=zero_points, ratio=scales(1e-3, 1e3), output_zero_point=zero_points)
@example(scale=0.02, zero_point=-128, ratio=1.0, output_zero_point=0)
@example(scale=0.05, zero_point=127, ratio=1.0, output_zero_point=127)
def test_every_input_is_half_a_step_off_at_most(
    scale: float, zero_point: int, ratio: float, output_zero_point: int
) -> None:
    source, result = per_tensor(scale, zero_point), per_tensor(scale * ratio, output_zero_point)
    half_step_law(sqrt.OP, Sqrt(), real, source, result)
    exhaustive_law(sqrt.OP, Sqrt(), (source,), result)


@pytest.mark.parametrize("pair", [(2.0**-12, 2.9 / 2**15), (2.0**-5, 32 / 2**15)])
def test_int16_is_near_the_function(pair: tuple[float, float]) -> None:
    """Below 1/16 of the range the root is steeper than a table can follow."""
    interpolated_law(sqrt.OP, Sqrt(), real, pair, 2.0, 2048)
