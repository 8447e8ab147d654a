"""LOG: values on paper, every byte within half a step, and near LiteRT."""

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
from tinyptq.ops import log
from tinyptq.ops.base import TfliteCode
from tinyptq.ops.log import Log

per_tensor = QParams.per_tensor

CASES = (
    Case("vector", Log(), ((1, 50),), "both signs", spread=2.0),
    Case("image", Log(), ((1, 3, 4, 5),), "any shape", spread=0.5),
)
WIDE = widened(CASES)
CODE = TfliteCode("LOG")


def real(x: Array) -> Array:
    return np.log(np.maximum(x, 0.0))  # −infinity at and below zero


def test_on_paper() -> None:
    # 1, 2, 4 are 0, ln 2, 2 ln 2: in steps of ln 2 that is 0, 1, 2; zero and what lies below saturate
    y = every_output(log.OP, Log(), per_tensor(1.0), per_tensor(np.log(2)))
    assert y[[0, 127, 128, 129, 130, 132]].tolist() == [-128, -128, -128, 0, 1, 2]


def test_float_equals_litert() -> None:
    assert_float_equals_litert(log.OP, Log(), CODE, np.exp(draw("log", 1, 60)))


def test_float_stays_finite() -> None:
    y = log.run_float(Log(), np.float32([[-1.0, 0.0, 1.0]]))
    assert np.isfinite(y).all() and y[0, 2] == 0.0 and y[0, 0] == y[0, 1] < -87


def test_reading() -> None:
    assert reads_back(log.OP, CODE) == Log()


@parametrize(CASES)
def test_the_exported_table_is_tflm_s(case: Case) -> None:
    int_law(log.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(log.OP, (*CASES, *WIDE), tmp_path)


@settings(deadline=None, max_examples=40)
@given(scale=scales(1e-5, 1e2), zero_point=zero_points, ratio=scales(1e-3, 1e3), output_zero_point=zero_points)
@example(scale=0.02, zero_point=-128, ratio=1.0, output_zero_point=0)
@example(scale=0.05, zero_point=127, ratio=1.0, output_zero_point=127)
def test_every_input_is_half_a_step_off_at_most(
    scale: float, zero_point: int, ratio: float, output_zero_point: int
) -> None:
    source, result = per_tensor(scale, zero_point), per_tensor(scale * ratio, output_zero_point)
    half_step_law(log.OP, Log(), real, source, result)
    exhaustive_law(log.OP, Log(), (source,), result)


@settings(deadline=None, max_examples=25)
@given(scale=scales(1e-3, 1e-1), zero_point=zero_points, ratio=scales(0.1, 10.0), output_zero_point=zero_points)
def test_every_input_is_near_litert_s(scale: float, zero_point: int, ratio: float, output_zero_point: int) -> None:
    source, result = per_tensor(scale, zero_point), per_tensor(scale * ratio, output_zero_point)
    assert_near_litert_int8(log.OP, Log(), TfliteCode("LOG", version=2), source, result, 1)


@pytest.mark.parametrize("pair", [(2.0**-12, 2.0**-12), (2.0**-5, 2.0**-12)])
def test_int16_is_near_the_function(pair: tuple[float, float]) -> None:
    """Below 1/16 of the range the logarithm is steeper than a table can follow."""
    interpolated_law(log.OP, Log(), real, pair, 2.0, 2048)
