"""SILU: values on paper, float = LiteRT's LOGISTIC and MUL, every byte within half a step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import example, given, settings

from tests.laws import Case, c_law, draw, int_law, parametrize
from tests.ops.exhaustive import exhaustive_law, scales, zero_points
from tests.ops.unary import every_output, half_step_law, run_litert
from tinyptq.graph import Array, QParams
from tinyptq.ops import silu
from tinyptq.ops.base import TfliteCode
from tinyptq.ops.silu import Silu

per_tensor = QParams.per_tensor

CASES = (
    Case("vector", Silu(), ((1, 50),), "both signs"),
    Case("image", Silu(), ((1, 3, 4, 5),), "both tails", spread=8.0),
)


def real(x: Array) -> Array:
    return x * (0.5 + 0.5 * np.tanh(x / 2))


def test_on_paper() -> None:
    # logistic(ln 3) = 3/4 and logistic(−ln 3) = 1/4: with steps of ln 3 / 4 the results are 3 and −1
    y = every_output(silu.OP, Silu(), per_tensor(np.log(3)), per_tensor(np.log(3) / 4))
    assert y[127:130].tolist() == [-1, 0, 3]


def test_float_equals_litert() -> None:
    x = 5 * draw("silu", 1, 60)
    np.testing.assert_allclose(
        silu.run_float(Silu(), x), x * run_litert(TfliteCode("LOGISTIC"), x), rtol=1e-6, atol=1e-7
    )
    assert silu.run_float(Silu(), np.float32([[-1e30, 1e30]])).tolist() == [[0.0, float(np.float32(1e30))]]


@parametrize(CASES)
def test_the_exported_table_is_tflm_s(case: Case) -> None:
    int_law(silu.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(silu.OP, CASES, tmp_path)


@settings(deadline=None, max_examples=40)
@given(scale=scales(1e-5, 1e2), zero_point=zero_points, ratio=scales(1e-3, 1e3), output_zero_point=zero_points)
@example(scale=50.0, zero_point=0, ratio=1.0, output_zero_point=0)
def test_every_input_is_half_a_step_off_at_most(
    scale: float, zero_point: int, ratio: float, output_zero_point: int
) -> None:
    source, result = per_tensor(scale, zero_point), per_tensor(scale * ratio, output_zero_point)
    half_step_law(silu.OP, Silu(), real, source, result)
    exhaustive_law(silu.OP, Silu(), (source,), result)
