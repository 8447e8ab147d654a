"""LEAKY_RELU: values on paper, the laws, and all 256 inputs against tflite-micro for many scales and slopes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.laws import (
    Case,
    Lowered,
    assert_same_bytes,
    c_law,
    file_law,
    float_law,
    int8_model,
    int_law,
    parametrize,
    run_tflm,
    step_law,
)
from tests.ops.exhaustive import exhaustive_law, scales, zero_points
from tests.ops.unary import every_output
from tinyptq.errors import TinyptqError
from tinyptq.graph import QParams
from tinyptq.ops import leaky_relu
from tinyptq.ops.base import Operand
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

SYMMETRIC = {0: per_tensor(2.0**-13), "output": per_tensor(1.5 * 2.0**-14)}
WIDE = (
    Case("int16", LeakyRelu(TENTH), ((1, 3, 4, 5),), "finer than the input", qparams=SYMMETRIC, dtype="int16"),
    Case("int16-steep", LeakyRelu(-1.5), ((1, 50),), "a negative slope", qparams=SYMMETRIC, dtype="int16"),
)


def test_on_paper() -> None:
    # scales 1/2 and 1/4, zero points 10 and −20: x = −8 is −4.0, a quarter of it −1.0, which is −4 steps: −24
    y = every_output(leaky_relu.OP, LeakyRelu(0.25), per_tensor(0.5, 2), per_tensor(0.25, -20))
    assert y[[128 - 6, 128 + 2, 128 + 5]].tolist() == [-24, -20, -14]


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(leaky_relu.OP, case)


@parametrize((*CASES, *WIDE))
def test_integers_equal_tflm(case: Case) -> None:
    int_law(leaky_relu.OP, case)


@parametrize(CASES)
def test_integers_stay_near_float(case: Case) -> None:
    step_law(leaky_relu.OP, case)


@parametrize(CASES)
def test_file_round_trip(case: Case) -> None:
    file_law(leaky_relu.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(leaky_relu.OP, (*CASES, *WIDE), tmp_path)


@settings(deadline=None, max_examples=80)
@given(
    scale=scales(1e-5, 1e3),
    zero_point=zero_points,
    ratio=scales(1e-5, 1e5),
    output_zero_point=zero_points,
    alpha=st.one_of(st.sampled_from([0.0, 0.01, 0.1, 0.2, 0.3, 1.0]), st.floats(-2.0, 2.0, width=32)),
)
@example(scale=1.0, zero_point=-128, ratio=2.0**-22, output_zero_point=0, alpha=0.3)
@example(scale=6.196147441864014, zero_point=-128, ratio=3.457627073266779, output_zero_point=-128, alpha=0.3)
@example(scale=1.0309219360351562, zero_point=-128, ratio=2.98734170070986, output_zero_point=-128, alpha=0.3)
@example(scale=1.0, zero_point=127, ratio=1.0, output_zero_point=127, alpha=0.3)
def test_every_input_equals_tflm(
    scale: float, zero_point: int, ratio: float, output_zero_point: int, alpha: float
) -> None:
    """(With odd scales: products in float32 would be a step off there.)"""
    result = per_tensor(scale * ratio, output_zero_point)
    exhaustive_law(leaky_relu.OP, LeakyRelu(alpha), (per_tensor(scale, zero_point),), result)


def test_an_output_scale_too_fine_is_refused() -> None:
    with pytest.raises(TinyptqError, match="millions of times finer"):
        every_output(leaky_relu.OP, LeakyRelu(), per_tensor(1.0), per_tensor(2.0**-24))
    with pytest.raises(TinyptqError, match="scale ratio"):
        every_output(leaky_relu.OP, LeakyRelu(float("inf")), per_tensor(1.0), per_tensor(1.0))


@settings(deadline=None, max_examples=20)
@given(scale=scales(1e-5, 1e1), ratio=scales(1e-4, 1e4), alpha=st.floats(-2.0, 2.0, width=32))
@example(scale=1.0, ratio=2.0**-14, alpha=0.3)
@example(scale=0.3, ratio=1.7, alpha=0.7)
def test_every_int16_equals_tflm(scale: float, ratio: float, alpha: float) -> None:
    """Wide enough to tell multipliers computed in double from those of float32."""
    inputs = np.arange(-(2**15), 2**15).astype(np.int16).reshape(1, -1)
    operands = (Operand(inputs.shape, per_tensor(scale), dtype=inputs.dtype),)
    outputs = (Operand(inputs.shape, per_tensor(scale * ratio), dtype=inputs.dtype),)
    lowered = Lowered(leaky_relu.lower(LeakyRelu(alpha), operands, outputs), operands, outputs, (inputs,))
    expected = run_tflm(int8_model(leaky_relu.OP, lowered), lowered)
    assert_same_bytes(expected, leaky_relu.OP.run_int(lowered.params, inputs), WIDE[0])


def test_int16_is_symmetric() -> None:
    wide = Operand((1, 3), per_tensor(1.0, 5), dtype=np.dtype(np.int16))
    with pytest.raises(TinyptqError, match="zero point 5, not 0"):
        leaky_relu.lower(LeakyRelu(), (wide,), (wide,))
    with pytest.raises(TinyptqError, match="int8 beside int16"):
        leaky_relu.lower(LeakyRelu(), (replace(wide, qparams=per_tensor(1.0)),), (Operand((1, 3), per_tensor(1.0)),))
