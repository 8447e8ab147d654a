"""EXP: values on paper, every byte within half a step, and near LiteRT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings

from tests.laws import Case, c_law, draw, int_law, parametrize, widened
from tests.ops.exhaustive import exhaustive_law, scales, zero_points
from tests.ops.unary import (
    assert_float_equals_litert,
    assert_near_litert_int8,
    every_output,
    half_step_law,
    interpolated_law,
    reads_back,
)
from tinyptq.graph import Array, QParams
from tinyptq.ops import exp
from tinyptq.ops.base import TfliteCode
from tinyptq.ops.exp import Exp

per_tensor = QParams.per_tensor

CASES = (
    Case("vector", Exp(), ((1, 50),), "both signs", spread=2.0),
    Case("image", Exp(), ((1, 3, 4, 5),), "any shape", spread=0.5),
)
WIDE = widened(CASES)
CODE = TfliteCode("EXP")


def real(x: Array) -> Array:
    y: Array = np.exp(x)
    return y


def test_on_paper() -> None:
    # in steps of ln 2 the values −1, 0, 1, 2 are 1/2, 1, 2, 4: with steps of 1/4 that is 2, 4, 8, 16
    y = every_output(exp.OP, Exp(), per_tensor(np.log(2)), per_tensor(0.25))
    assert y[127:131].tolist() == [2, 4, 8, 16]
    # e^127 is far beyond: saturated, though the input's scale overflows exp itself
    assert every_output(exp.OP, Exp(), per_tensor(100.0), per_tensor(0.25))[-1] == 127


def test_float_equals_litert() -> None:
    assert_float_equals_litert(exp.OP, Exp(), CODE, 4 * draw("exp", 1, 60))


def test_reading() -> None:
    assert reads_back(exp.OP, CODE) == Exp()


@parametrize(CASES)
def test_the_exported_table_is_tflm_s(case: Case) -> None:
    int_law(exp.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(exp.OP, (*CASES, *WIDE), tmp_path)


@settings(deadline=None, max_examples=40)
@given(scale=scales(1e-5, 1e2), zero_point=zero_points, ratio=scales(1e-3, 1e3), output_zero_point=zero_points)
@example(scale=0.02, zero_point=-128, ratio=1.0, output_zero_point=0)
@example(scale=0.05, zero_point=127, ratio=1.0, output_zero_point=127)
def test_every_input_is_half_a_step_off_at_most(
    scale: float, zero_point: int, ratio: float, output_zero_point: int
) -> None:
    source, result = per_tensor(scale, zero_point), per_tensor(scale * ratio, output_zero_point)
    half_step_law(exp.OP, Exp(), real, source, result)
    exhaustive_law(exp.OP, Exp(), (source,), result)


@settings(deadline=None, max_examples=25)
@given(scale=scales(1e-3, 1e-1), zero_point=zero_points, ratio=scales(0.1, 10.0), output_zero_point=zero_points)
def test_every_input_is_near_litert_s(scale: float, zero_point: int, ratio: float, output_zero_point: int) -> None:
    source, result = per_tensor(scale, zero_point), per_tensor(scale * ratio, output_zero_point)
    assert_near_litert_int8(exp.OP, Exp(), TfliteCode("EXP", version=2), source, result, 1)


@pytest.mark.parametrize("pair", [(2.0**-13, 2.0**-9), (2.0**-14, 2.0**-12), (4 / 2**15, 54.6 / 2**15)])
def test_int16_is_near_the_function(pair: tuple[float, float]) -> None:
    interpolated_law(exp.OP, Exp(), real, pair)
