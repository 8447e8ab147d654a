"""RSQRT: values on paper, the fixed-point root, and all inputs from zero up against tflite-micro."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.laws import Case, Lowered, assert_same_bytes, c_law, draw, int8_model, run_tflm, widened
from tests.ops.exhaustive import scales, zero_points
from tests.ops.unary import assert_float_equals_litert, every_output, reads_back
from tinyptq.errors import TinyptqError
from tinyptq.graph import QParams
from tinyptq.ops import rsqrt
from tinyptq.ops.base import Operand, TfliteCode
from tinyptq.ops.inverse_root import inverse_root
from tinyptq.ops.rsqrt import Rsqrt

per_tensor = QParams.per_tensor
CASE = Case("image", Rsqrt(), ((1, 3, 4, 5),), "any shape", qparams={"output": per_tensor(0.03, -128)})
CODE = TfliteCode("RSQRT", version=2)


def test_on_paper() -> None:
    # 1, 4, 16 are 1, 1/2, 1/4: in steps of 1/64 that is 64, 32, 16; zero and less saturate
    y = every_output(rsqrt.OP, Rsqrt(), per_tensor(1.0), per_tensor(1 / 64))
    assert y[[0, 128, 129, 132, 144]].tolist() == [127, 127, 64, 32, 16]


@settings(deadline=None)
@given(x=st.integers(0, 2**31 - 1))
@example(0)
@example(1)
@example(2**29)
@example(2**31 - 1)
def test_the_root_is_good_to_19_bits(x: int) -> None:
    multiplier, shift = (int(part[0]) for part in inverse_root(np.array([x])))
    assert 0 < multiplier < 2**31
    assert multiplier * 2.0 ** (shift - 31) == pytest.approx(1 / math.sqrt(max(x, 1)), rel=2.0**-19)


def test_float_equals_litert() -> None:
    assert_float_equals_litert(rsqrt.OP, Rsqrt(), CODE, np.abs(draw("rsqrt", 1, 60)) + np.float32(0.01), 1e-5)
    assert np.isfinite(rsqrt.run_float(Rsqrt(), np.float32([[-1.0, 0.0]]))).all()


def test_reading() -> None:
    assert reads_back(rsqrt.OP, CODE) == Rsqrt()


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(rsqrt.OP, (CASE, *widened((CASE,))), tmp_path)


@settings(deadline=None, max_examples=80)
@given(scale=scales(1e-4, 1e2), zero_point=zero_points, step=scales(1e-3, 1e2), output_zero_point=zero_points)
@example(scale=0.01, zero_point=127, step=0.1, output_zero_point=0)
@example(scale=0.01, zero_point=-128, step=0.05, output_zero_point=-128)
def test_every_input_from_zero_up_equals_tflm(
    scale: float, zero_point: int, step: float, output_zero_point: int
) -> None:
    """(tflite-micro stops at negative ones.)"""
    source, result = per_tensor(scale, zero_point), per_tensor(step, output_zero_point)
    inputs = np.arange(zero_point, 128).astype(np.int8).reshape(1, -1)
    operands, outputs = (Operand(inputs.shape, source),), (Operand(inputs.shape, result),)
    lowered = Lowered(rsqrt.lower(Rsqrt(), operands, outputs), operands, outputs, (inputs,))
    expected = run_tflm(int8_model(rsqrt.OP, lowered), lowered)
    assert_same_bytes(expected, rsqrt.OP.run_int(lowered.params, inputs), CASE)


@settings(deadline=None, max_examples=40)
@given(scale=scales(1e-3, 1e1), zero_point=zero_points, output_zero_point=zero_points)
def test_every_input_is_half_a_step_off(scale: float, zero_point: int, output_zero_point: int) -> None:
    # half a step, and a little for the roundings of the fixed-point root
    source, result = per_tensor(scale, zero_point), per_tensor(1 / (100 * math.sqrt(scale)), output_zero_point)
    y = every_output(rsqrt.OP, Rsqrt(), source, result).astype(float)
    x = (np.arange(-128, 128) - zero_point) * float(source.scale[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.where(x > 0, 1 / np.sqrt(x), np.inf) / float(result.scale[0]) + output_zero_point
    assert np.abs(y - np.clip(expected, -128, 127)).max() <= 0.51


@settings(deadline=None, max_examples=20)
@given(scale=scales(1e-6, 1e1), step=scales(1e-3, 1e2))
@example(scale=2.0**-12, step=2.0**-10)
def test_every_int16_from_zero_up_equals_tflm(scale: float, step: float) -> None:
    inputs = np.arange(2**15).astype(np.int16).reshape(1, -1)
    operands = (Operand(inputs.shape, per_tensor(scale), dtype=inputs.dtype),)
    outputs = (Operand(inputs.shape, per_tensor(step), dtype=inputs.dtype),)
    lowered = Lowered(rsqrt.lower(Rsqrt(), operands, outputs), operands, outputs, (inputs,))
    expected = run_tflm(int8_model(rsqrt.OP, lowered), lowered)
    assert_same_bytes(expected, rsqrt.OP.run_int(lowered.params, inputs), CASE)


def test_scales_that_do_not_fit_are_refused() -> None:
    for step in (1e-12, 1e9):
        with pytest.raises(TinyptqError, match="does not suit"):
            every_output(rsqrt.OP, Rsqrt(), per_tensor(1.0), per_tensor(step))
