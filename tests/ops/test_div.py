"""DIV: one quotient on paper, the laws, every pair of bytes against tflite-micro where its shifts are defined."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.laws import (
    Case,
    Lowered,
    c_law,
    draw,
    file_law,
    float_law,
    int8_model,
    lower_case,
    parametrize,
    run_tflm,
    step_law,
    widened,
)
from tests.ops.exhaustive import ALL_BYTES, scales, wide_integers, zero_points
from tests.ops.refusals import broken
from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, QParams
from tinyptq.ops import div
from tinyptq.ops.activation import RELU, RELU6
from tinyptq.ops.base import Operand
from tinyptq.ops.div import Div

OP = div.OP
per_tensor = QParams.per_tensor
DIVISORS = np.float32([0.5, -0.75, 1.5])
FINE = {"output": per_tensor(1 / 64, 3)}  # an output fine enough for all of TFLite's shifts to be defined

CASES = (
    Case("flat", Div(), ((1, 4, 5, 3), (1, 4, 5, 3)), "equal shapes are one loop"),
    Case("constant", Div(), ((1, 4, 5, 3), DIVISORS), "a constant per channel"),
    Case("reciprocal", Div(), (np.float32(1).reshape(()), (1, 7)), "1 / x"),
    Case("attention", Div(RELU), ((1, 4, 6), (1, 4, 1)), "a row by its sum"),
    Case("both", Div(RELU6), ((1, 4, 1, 3), (1, 1, 5, 1)), "both operands are repeated"),
)
CONSTANT = (
    Case("per-channel", Div(), ((1, 4, 5, 3), DIVISORS), "a constant per channel", qparams=FINE, spread=0.2),
    Case("clamped", Div(RELU), ((1, 30), np.float32(0.3).reshape(())), "a scalar", qparams=FINE, spread=0.2),
)
WIDE = widened(CASES)  # beyond tflite-micro


def lowered(first: QParams, second: QParams, output: QParams) -> div.DivInt:
    shape = (1, 1)
    return div.lower(Div(), (Operand(shape, first), Operand(shape, second)), (Operand(shape, output),))


def test_on_paper() -> None:
    # (10 − 2) · 0.5 / ((−4 + 6) · 0.25) = 8, and 8 / 0.125 + 3 = 67; divided by (−7 + 6) · 0.25 it is −16 / 0.125 + 3
    params = lowered(per_tensor(0.5, 2), per_tensor(0.25, -6), per_tensor(0.125, 3))
    assert div.run_int(params, np.int8([[10, 10]]), np.int8([[-4, -7]])).tolist() == [[67, -125]]


def test_division_by_zero_saturates() -> None:
    params = lowered(per_tensor(0.5, 2), per_tensor(0.25, -6), per_tensor(0.125, 3))
    assert div.run_int(params, np.int8([[3, 1, 2]]), np.int8([[-6, -6, -6]])).tolist() == [[127, -128, 3]]


def test_reciprocals_are_within_a_step_of_2_to_minus_28() -> None:
    params = lowered(per_tensor(0.5), per_tensor(0.5), per_tensor(0.5))
    divisor = np.arange(1, 256)
    real = 2.0 ** np.floor(np.log2(divisor)) / divisor
    assert np.abs(params.reciprocals[1:] / 2.0**31 - real).max() < 2.0**-28


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(OP, case)


@parametrize(CONSTANT)
def test_integers_equal_tflm(case: Case) -> None:
    """Every element but those for which TFLite shifts by more than 31."""
    low = lower_case(OP, case)
    assert not ((run_tflm(int8_model(OP, low), low) != run(low)) & defined(low)).any()


def integers(low: Lowered) -> list[Array]:
    """Both operands, constants included."""
    waiting = iter(low.inputs)
    return [next(waiting) if o.data is None else o.data for o in low.operands]


def run(low: Lowered) -> Array:
    return div.run_int(low.params, *integers(low))


def defined(low: Lowered) -> Array:
    """For which pairs TFLite's own arithmetic is defined; broadcasts to the output."""
    dividend, divisor = (
        q.astype(int) - o.qparams.zero_point[0] for q, o in zip(integers(low), low.operands, strict=True)
    )
    dividend, divisor = np.where(divisor < 0, -dividend, dividend), np.abs(divisor)
    headroom = 31 - np.frexp(np.where(dividend < 0, ~dividend, dividend).astype(float))[1]
    right = headroom + np.frexp(divisor.astype(float))[1] - 1 - low.params.shift
    mask: Array = (divisor > 0) & (right <= 31)
    return mask


@parametrize(CONSTANT)
def test_integers_stay_near_float(case: Case) -> None:
    step_law(OP, case)


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(OP, (*CASES, *CONSTANT, *WIDE), tmp_path)


@settings(deadline=None, max_examples=15)
@given(
    first=st.builds(per_tensor, scales(1e-2, 1e2), zero_points),
    second=st.builds(per_tensor, scales(1e-2, 1e2), zero_points),
    ratio=scales(2.0**-20, 4.0),
    zero_point=zero_points,
    activation=st.sampled_from([Div(), Div(RELU), Div(RELU6)]),
)
@example(per_tensor(1.0, -128), per_tensor(1.0, 127), 2.0**-7, 0, Div())
def test_every_defined_pair_equals_tflm(
    first: QParams, second: QParams, ratio: float, zero_point: int, activation: Div
) -> None:
    """All pairs but those that divide by zero or shift right by more than 31, undefined in TFLite's C++."""
    output = per_tensor(float(first.scale[0] / second.scale[0]) * ratio, zero_point)
    x = tuple(column.reshape(1, -1) for column in np.meshgrid(ALL_BYTES, ALL_BYTES, indexing="ij"))
    operands = tuple(Operand(x[0].shape, qparams) for qparams in (first, second))
    outputs = (Operand(x[0].shape, output),)
    low = Lowered(div.lower(activation, operands, outputs), operands, outputs, x)
    wrong = (run_tflm(int8_model(OP, low), low) != run(low)) & defined(low)
    assert not wrong.any()


@pytest.mark.parametrize("ratio", [0.01, 0.1, 1.0])
def test_every_pair_is_near_the_quotient(ratio: float) -> None:
    """Also where TFLite's shifts are not defined: half a step off, at most."""
    params = lowered(per_tensor(0.1, 7), per_tensor(0.1, -30), per_tensor(ratio, 3))
    first, second = np.meshgrid(ALL_BYTES, ALL_BYTES, indexing="ij")
    with np.errstate(divide="ignore", invalid="ignore"):
        real = (first.astype(float) - 7) / (second.astype(float) + 30) / ratio + 3
    off = np.abs(div.run_int(params, first, second) - np.clip(real, -128, 127))[second != -30]
    assert off.max() < 0.5 + 1e-6


@pytest.mark.parametrize("ratio", [0.01, 1.0, 100.0])
def test_int16_is_near_the_quotient(ratio: float) -> None:
    """Half a step off, at most, and a little for a reciprocal of 28 bits."""
    x, y = wide_integers(20000), wide_integers(20000, 1)
    operands = tuple(Operand(x.shape, per_tensor(scale), dtype=x.dtype) for scale in (0.1, 0.1, ratio))
    params = div.lower(Div(), operands[:2], operands[2:])
    with np.errstate(divide="ignore", invalid="ignore"):
        real = x.astype(float) / y.astype(float) / ratio
    off = np.abs(div.run_int(params, x, y) - np.clip(real, -(2**15), 2**15 - 1))[y != 0]
    assert off.max() < 0.5 + 1e-4
    assert set(div.run_int(params, x, np.zeros_like(x))[0].tolist()) == {-(2**15), 0, 2**15 - 1}


def test_refusals() -> None:
    with pytest.raises(TinyptqError, match="times finer than the inputs' quotient"):
        lowered(per_tensor(1.0), per_tensor(1.0), per_tensor(2.0**-23))
    divisor = Operand((2,), per_tensor(1.0, 4), np.int8([5, 4]))
    with pytest.raises(TinyptqError, match="a constant divisor is zero"):
        div.lower(Div(), (Operand((1, 2), per_tensor(1.0)), divisor), (Operand((1, 2), per_tensor(1.0)),))


def test_constraints() -> None:
    assert broken(OP, Div(), (1, 4, 5, 3), draw("c", 3)) == []
    assert broken(OP, Div(), (1, 4, 5, 3), (1, 4, 5, 2)) == ["broadcastable"]
