"""GELU, exact and by tanh: values from the literature, every byte within half a step, and near LiteRT."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings

from tests.laws import Case, c_law, draw, int_law, parametrize, widened
from tests.ops.exhaustive import exhaustive_law, scales, zero_points
from tests.ops.unary import (
    assert_float_equals_litert,
    assert_near_litert_int8,
    half_step_law,
    interpolated_law,
    reads_back,
)
from tinyptq.graph import Array, QParams
from tinyptq.ops import gelu
from tinyptq.ops.base import TfliteCode
from tinyptq.ops.gelu import Gelu

per_tensor = QParams.per_tensor

CASES = (
    Case("exact", Gelu(), ((1, 50),), "by the error function"),
    Case("tanh", Gelu(True), ((1, 3, 4, 5),), "by tanh", spread=4.0),
)
WIDE = widened(CASES)
BOTH = pytest.mark.parametrize("approximate", [False, True], ids=["exact", "tanh"])


def code(approximate: bool) -> TfliteCode:
    return TfliteCode("GELU", "GeluOptions", {"Approximate": approximate}, version=2)


def real(x: Array) -> Array:
    return x * np.array([0.5 * (1 + math.erf(value / math.sqrt(2))) for value in x])


def real_tanh(x: Array) -> Array:
    return x / (1 + np.exp(-2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def test_on_paper() -> None:
    # Φ(1) = 0.841345, Φ(−2) = 0.0227501 (any table of the normal distribution)
    y = gelu.run_float(Gelu(), np.float32([[0.0, 1.0, -2.0]]))
    np.testing.assert_allclose(y, [[0.0, 0.841345, -0.0455003]], rtol=2e-6)
    # the two differ by 0.0002 at most near one
    assert 1e-5 < abs(float(gelu.run_float(Gelu(True), np.float32([[1.0]]))[0, 0]) - 0.841345) < 3e-4


@BOTH
def test_float_equals_litert(approximate: bool) -> None:
    x = 3 * draw("gelu", 1, 60)
    assert_float_equals_litert(gelu.OP, Gelu(approximate), code(approximate), x, 2e-6)


@BOTH
def test_reading(approximate: bool) -> None:
    assert reads_back(gelu.OP, code(approximate)) == Gelu(approximate)


@parametrize(CASES)
def test_the_exported_table_is_tflm_s(case: Case) -> None:
    int_law(gelu.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(gelu.OP, (*CASES, *WIDE), tmp_path)


@BOTH
@settings(deadline=None, max_examples=25)
@given(scale=scales(1e-5, 1e2), zero_point=zero_points, ratio=scales(1e-3, 1e3), output_zero_point=zero_points)
@example(scale=0.05, zero_point=0, ratio=0.6, output_zero_point=-120)
def test_every_input_is_half_a_step_off_at_most(
    approximate: bool, scale: float, zero_point: int, ratio: float, output_zero_point: int
) -> None:
    source, result = per_tensor(scale, zero_point), per_tensor(scale * ratio, output_zero_point)
    half_step_law(gelu.OP, Gelu(approximate), real_tanh if approximate else real, source, result)
    exhaustive_law(gelu.OP, Gelu(approximate), (source,), result)


@BOTH
@settings(deadline=None, max_examples=20)
@given(scale=scales(1e-3, 1e-1), zero_point=zero_points, ratio=scales(0.1, 10.0), output_zero_point=zero_points)
def test_every_input_is_near_litert_s(
    approximate: bool, scale: float, zero_point: int, ratio: float, output_zero_point: int
) -> None:
    source, result = per_tensor(scale, zero_point), per_tensor(scale * ratio, output_zero_point)
    assert_near_litert_int8(gelu.OP, Gelu(approximate), code(approximate), source, result, 1)


@pytest.mark.parametrize("pair", [(2.0**-12, 2.0**-12), (2.0**-11, 2.0**-11), (2.0**-14, 2.0**-14)])
def test_int16_is_near_the_function(pair: tuple[float, float]) -> None:
    interpolated_law(gelu.OP, Gelu(), real, pair)
