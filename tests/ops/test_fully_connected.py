"""FULLY_CONNECTED: one product on paper, then the laws per channel and per tensor."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.laws import Case, c_law, draw, file_law, float_law, int_law, parametrize, step_law
from tests.ops.refusals import broken, sentences
from tinyptq.graph import QParams
from tinyptq.ops import fully_connected
from tinyptq.ops.activation import RELU, RELU6
from tinyptq.ops.base import Operand
from tinyptq.ops.fully_connected import FullyConnected

OP = fully_connected.OP


def case(name: str, shape: tuple[int, ...], out: int, depth: int, attrs: FullyConnected, why: str) -> Case:
    operands = (shape, draw(f"{name}/w", out, depth), draw(f"{name}/b", out))
    return Case(name, attrs, operands, why, per_tensor_weights="tensor" in name)


CASES = (
    case("channel", (1, 17), 10, 17, FullyConnected(), "a scale per output: product in double"),
    case("tensor", (1, 17), 10, 17, FullyConnected(RELU), "one weight scale: product in float32"),
    case("tensor-2", (1, 64), 33, 64, FullyConnected(RELU6), "another float32 product"),
    case("tensor-3", (1, 5), 3, 5, FullyConnected(), "and another"),
    case("image", (1, 2, 3, 4), 5, 24, FullyConnected(), "an image is flattened"),
    case("last-axis", (1, 6, 4), 5, 4, FullyConnected(keep_dims=True), "Keras Dense on a sequence"),
    case("one", (1, 1), 1, 1, FullyConnected(), "the smallest layer"),
    case("wide", (1, 640), 128, 640, FullyConnected(RELU), "the autoencoder's widest layer"),
    Case("no-bias", FullyConnected(), ((1, 9), draw("nb", 4, 9)), "the bias operand is optional"),
)


def test_on_paper() -> None:
    """(4-1)·2 + (0-1)·3 - 10 = -7; · 0.5 · 1/1 = -3.5, and SRDHM's tie goes up: -3; + 1 = -2."""
    weights = np.array([[2, 3]], np.int8)
    x = Operand((1, 2), QParams.per_tensor(0.5, 1))
    weight = Operand((1, 2), QParams(np.ones(1, np.float32), np.zeros(1, np.int32), 0), weights)
    bias = Operand((1,), QParams.per_tensor(0.5), np.array([-10], np.int32))
    params = fully_connected.lower(FullyConnected(), (x, weight, bias), (Operand((1, 1), QParams.per_tensor(1.0, 1)),))
    assert fully_connected.run_int(params, np.array([[4, 0]], np.int8)).tolist() == [[-2]]


def test_one_weight_scale_is_multiplied_in_float32() -> None:
    """0.1f · 0.3f is 0.030000001192… in float32 and 0.030000001639… in double: different multipliers."""
    scale = np.array([0.3], np.float32)
    x, out = Operand((1, 1), QParams.per_tensor(0.1)), Operand((1, 1), QParams.per_tensor(1.0))
    weights = np.ones((1, 1), np.int8)
    one, _ = fully_connected.multipliers(x, Operand((1, 1), QParams(scale, np.zeros(1, np.int32)), weights), out)
    each, _ = fully_connected.multipliers(x, Operand((1, 1), QParams(scale, np.zeros(1, np.int32), 0), weights), out)
    assert int(one[0]) == round(float(np.float32(0.1) * np.float32(0.3)) * 2**36)
    assert int(each[0]) == round(float(np.float32(0.1)) * float(np.float32(0.3)) * 2**36)
    assert one[0] != each[0]


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(OP, case)


@parametrize(CASES)
def test_integers_equal_tflm(case: Case) -> None:
    int_law(OP, case)


@parametrize(CASES)
def test_integers_are_near_the_floats(case: Case) -> None:
    step_law(OP, case)


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(OP, CASES, tmp_path)


def test_refusals() -> None:
    weights = draw("w", 5, 24)
    assert broken(OP, FullyConnected(), (1, 2, 3, 4), weights) == []
    assert broken(OP, FullyConnected(), (1, 7, 24), weights) == ["matching_depth"]  # would mix the batch axis in
    assert broken(OP, FullyConnected(keep_dims=True), (1, 7, 24), weights) == []
    assert broken(OP, FullyConnected(), (1, 24), (5, 24)) == ["constant_weights"]
    assert all(sentence.endswith(".") for sentence in sentences(OP))
