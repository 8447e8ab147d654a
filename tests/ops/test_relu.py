"""RELU and its kin: a clamp on paper, the laws, and clamps that TFLite has no name for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.laws import Case, c_law, float_law, int_law, parametrize, step_law, widened
from tests.ops.exhaustive import exhaustive_law, scales, zero_points
from tests.tiny_tflite import write_layer
from tinyptq.errors import TinyptqError
from tinyptq.graph import QParams, Tensor
from tinyptq.ops import relu
from tinyptq.ops.activation import RELU, RELU6, RELU_N1_TO_1, Clamp
from tinyptq.ops.base import Operand, TfliteCode, TfliteOperator
from tinyptq.ops.relu import Relu
from tinyptq.tflm import run_tensors

per_tensor = QParams.per_tensor

NAMED = (
    Case("relu", Relu(RELU), ((1, 5, 4, 3),), "the usual one"),
    Case("relu6", Relu(RELU6), ((1, 50),), "values beyond six", spread=8.0),
)
N1_TO_1 = Case("n1-to-1", Relu(RELU_N1_TO_1), ((1, 50),), "LiteRT has it, tflite-micro has not", spread=2.0)
RELU_3 = Case("relu-3", Relu(Clamp(0.0, 3.0)), ((1, 50),), "Keras' ReLU(max_value=3)", spread=5.0)
CASES = (*NAMED, N1_TO_1, RELU_3)
TWO_SCALES = tuple(
    Case(f"{name}-two-scales", Relu(clamp), ((1, 300),), "other people's files", qparams={0: first, "output": second})
    for name, clamp in (("relu", RELU), ("relu6", RELU6))
    for first, second in (
        (per_tensor(0.05, -10), per_tensor(0.03, -128)),
        (per_tensor(0.02, 3), per_tensor(0.11, 40)),
    )
)
WIDE = widened(CASES)


def test_on_paper() -> None:
    # scale 0.05, zero point −10: 0 is −10, and 6 would be −10 + 120 = 110
    operand = Operand((1, 4), per_tensor(0.05, -10))
    params = relu.lower(Relu(RELU6), (operand,), (operand,))
    assert relu.run_int(params, np.int8([[-128, -9, 109, 127]])).tolist() == [[-10, -9, 109, 110]]
    params = relu.lower(Relu(Clamp(-1.0, 2.0)), (operand,), (operand,))
    assert (params.activation_min, params.activation_max) == (-30, 30)


def test_a_clamp_of_more_steps_than_any_integer_has_is_no_clamp() -> None:
    operand = Operand((1, 4), per_tensor(1e-40))
    params = relu.lower(Relu(RELU6), (operand,), (operand,))
    assert (params.activation_min, params.activation_max) == (0, 127)
    wide = replace(operand, dtype=np.dtype(np.int16))
    with pytest.raises(TinyptqError, match="int16 of scale"):
        relu.lower(Relu(RELU6), (wide,), (wide,))


@parametrize(NAMED)
def test_float_equals_litert(case: Case) -> None:
    float_law(relu.OP, case)


def test_reading() -> None:
    clamps = {name: relu.read_tflite(TfliteOperator(name, None, (), ())).clamp for name in relu.OP.builtins}
    assert clamps == {"RELU": RELU, "RELU6": RELU6, "RELU_N1_TO_1": RELU_N1_TO_1, "RELU_0_TO_1": Clamp(0.0, 1.0)}


def test_float_of_n1_to_1_equals_litert() -> None:
    float_law(replace(relu.OP, write_tflite=lambda params: (TfliteCode("RELU_N1_TO_1"),)), N1_TO_1)


def test_float_of_an_unnamed_clamp() -> None:
    x = np.float32([[-1.0, 0.5, 3.0, 7.0]])
    assert relu.run_float(Relu(Clamp(0.0, 3.0)), x).tolist() == [[0.0, 0.5, 3.0, 3.0]]


@parametrize((*CASES, *WIDE, *TWO_SCALES))
def test_integers_equal_tflm(case: Case) -> None:
    int_law(relu.OP, case)


@parametrize((*CASES, *WIDE))
def test_integers_stay_near_float(case: Case) -> None:
    step_law(relu.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(relu.OP, (*CASES, *TWO_SCALES), tmp_path)


@settings(deadline=None, max_examples=50)
@given(
    scale=scales(1e-4, 1e2),
    zero_point=zero_points,
    clamp=st.sampled_from([RELU, RELU6, RELU_N1_TO_1, Clamp(0.0, 4.5)]),
)
@example(scale=1e-4, zero_point=-128, clamp=RELU6)
@example(scale=1e-4, zero_point=127, clamp=RELU6)
@example(scale=6 / 255, zero_point=-128, clamp=RELU6)
def test_every_input_equals_tflm(scale: float, zero_point: int, clamp: Clamp) -> None:
    exhaustive_law(relu.OP, Relu(clamp), (per_tensor(scale, zero_point),))


def test_the_quotient_of_two_scales_is_taken_in_double() -> None:
    """25/128 to 30/128: multiples of 2.5 are ties, which a float32 quotient of the scales rounds elsewhere."""
    source, target = per_tensor(25 / 128), per_tensor(30 / 128, 64)
    x = np.arange(-128, 128).astype(np.int8)[None]
    params = relu.lower(Relu(RELU), (Operand(x.shape, source),), (Operand(x.shape, target),))
    tensors = [Tensor(name, x.shape, x.dtype, None, q) for name, q in (("x", source), ("y", target))]
    model = write_layer(relu.write_tflite(params), (tensors[0],), (tensors[1],))
    (expected,) = run_tensors(model, [x], [1])
    np.testing.assert_array_equal(relu.run_int(params, x), expected)
