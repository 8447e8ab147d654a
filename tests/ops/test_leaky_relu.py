"""LEAKY_RELU: values on paper, the laws, and all 256 inputs against tflite-micro for many scales and slopes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.laws import Case, c_law, file_law, float_law, int_law, parametrize, step_law
from tests.ops.exhaustive import exhaustive_law, scales, zero_points
from tests.ops.unary import every_output
from tinyptq.errors import TinyptqError
from tinyptq.graph import QParams
from tinyptq.ops import leaky_relu
from tinyptq.ops.leaky_relu import LeakyRelu

per_tensor = QParams.per_tensor
TENTH = float(np.float32(0.1))

CASES = (
    Case("tenth", LeakyRelu(TENTH), ((1, 50),), "the usual slope"),
    Case("half", LeakyRelu(0.5), ((1, 3, 4, 5),), "any shape"),
    Case("steep", LeakyRelu(1.5), ((1, 50),), "steeper left of zero than right of it"),
    Case("down", LeakyRelu(-0.25), ((1, 50),), "a negative slope"),
    Case("relu", LeakyRelu(0.0), ((1, 50),), "no slope"),
)


def test_on_paper() -> None:
    # scales 1/2 and 1/4, zero points 10 and −20: x = −8 is −4.0, a quarter of it −1.0, which is −4 steps: −24
    y = every_output(leaky_relu.OP, LeakyRelu(0.25), per_tensor(0.5, 2), per_tensor(0.25, -20))
    assert y[[128 - 6, 128 + 2, 128 + 5]].tolist() == [-24, -20, -14]


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(leaky_relu.OP, case)


@parametrize(CASES)
def test_integers_equal_tflm(case: Case) -> None:
    int_law(leaky_relu.OP, case)


@parametrize(CASES)
def test_integers_stay_near_float(case: Case) -> None:
    step_law(leaky_relu.OP, case)


@parametrize(CASES)
def test_file_round_trip(case: Case) -> None:
    file_law(leaky_relu.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(leaky_relu.OP, CASES, tmp_path)


@settings(deadline=None, max_examples=80)
@given(
    scale=scales(1e-5, 1e3),
    zero_point=zero_points,
    ratio=scales(1e-5, 1e5),
    output_zero_point=zero_points,
    alpha=st.one_of(st.sampled_from([0.0, 0.01, 0.1, 0.2, 0.3, 1.0]), st.floats(-2.0, 2.0, width=32)),
)
@example(scale=1.0, zero_point=-128, ratio=2.0**-22, output_zero_point=0, alpha=0.3)
@example(scale=1.0, zero_point=127, ratio=1.0, output_zero_point=127, alpha=0.3)
def test_every_input_equals_tflm(
    scale: float, zero_point: int, ratio: float, output_zero_point: int, alpha: float
) -> None:
    result = per_tensor(scale * ratio, output_zero_point)
    exhaustive_law(leaky_relu.OP, LeakyRelu(alpha), (per_tensor(scale, zero_point),), result)


def test_an_output_scale_too_fine_is_refused() -> None:
    with pytest.raises(TinyptqError, match="millions of times finer"):
        every_output(leaky_relu.OP, LeakyRelu(), per_tensor(1.0), per_tensor(2.0**-24))
    with pytest.raises(TinyptqError, match="scale ratio"):
        every_output(leaky_relu.OP, LeakyRelu(float("inf")), per_tensor(1.0), per_tensor(1.0))
