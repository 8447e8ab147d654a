"""FULLY_CONNECTED: one product on paper, then the laws per channel and per tensor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.laws import (
    Case,
    Lowered,
    c_law,
    draw,
    file_law,
    float_law,
    int8_model,
    int_law,
    parametrize,
    run_tflm,
    step_law,
)
from tests.ops.refusals import broken, sentences, types_law
from tinyptq.fixedpoint import quantize_multiplier
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
    case("tensor", (1, 17), 10, 17, FullyConnected(RELU), "one weight scale: product in double"),
    case("tensor-2", (1, 64), 33, 64, FullyConnected(RELU6), "ReLU6 on top"),
    case("tensor-3", (1, 5), 3, 5, FullyConnected(), "and another"),
    case("image", (1, 2, 3, 4), 5, 24, FullyConnected(), "an image is flattened"),
    case("last-axis", (1, 6, 4), 5, 4, FullyConnected(keep_dims=True), "Keras Dense on a sequence"),
    case("one", (1, 1), 1, 1, FullyConnected(), "the smallest layer"),
    case("wide", (1, 640), 128, 640, FullyConnected(RELU), "the autoencoder's widest layer"),
    Case("no-bias", FullyConnected(), ((1, 9), draw("nb", 4, 9)), "the bias operand is optional"),
)
HEAVY = np.float32([[0.5] * 700, [-0.5] * 700, [0.001] * 700])
WIDE = (
    *(replace(c, id=f"int16-{c.id}", dtype="int16") for c in CASES),
    Case("int16-heavy", FullyConnected(), ((1, 700), HEAVY), "sums leave 32 bits", dtype="int16"),
)
COARSE: dict[int | str, QParams] = {0: QParams.per_tensor(0.01), "output": QParams.per_tensor(0.02)}
BIAS_32 = tuple(
    replace(c, id=f"int16-bias-32-{c.id}", why="32-bit sums", dtype="int16", bias="int32", qparams=COARSE)
    for c in CASES
    if c.id in ("channel", "tensor", "last-axis")
)


def test_on_paper() -> None:
    """(4-1)·2 + (0-1)·3 - 10 = -7; · 0.5 · 1/1 = -3.5, and SRDHM's tie goes up: -3; + 1 = -2."""
    weights = np.array([[2, 3]], np.int8)
    x = Operand((1, 2), QParams.per_tensor(0.5, 1))
    weight = Operand((1, 2), QParams(np.ones(1, np.float32), np.zeros(1, np.int32), 0), weights)
    bias = Operand((1,), QParams.per_tensor(0.5), np.array([-10], np.int32))
    params = fully_connected.lower(FullyConnected(), (x, weight, bias), (Operand((1, 1), QParams.per_tensor(1.0, 1)),))
    assert fully_connected.run_int(params, np.array([[4, 0]], np.int8)).tolist() == [[-2]]


@pytest.mark.parametrize("axis", [None, 0])
def test_scales_are_multiplied_in_double(axis: int | None) -> None:
    """Biases next to the edge between two outputs: a multiplier off by 10^-8 puts many on the wrong side.

    So TFLM multiplies in double, with one weight scale as with one per channel (its sources once did in float32).
    """
    scale_x, scale_w, scale_y = (float(np.float32(s)) for s in (0.77, 0.83, 0.77 * 0.83 / 1.7e-7))
    multiplier, shift = quantize_multiplier(scale_x * scale_w / scale_y)
    edges = (np.arange(5, 120) + 0.5) * 2.0 ** (31 - shift) / multiplier
    bias = np.concatenate([np.floor(edges), np.ceil(edges)]).astype(np.int32)
    count = 1 if axis is None else len(bias)
    weight_scale = QParams(np.full(count, scale_w, np.float32), np.zeros(count, np.int32), axis)
    operands = (
        Operand((1, 1), QParams.per_tensor(scale_x)),
        Operand((len(bias), 1), weight_scale, np.zeros((len(bias), 1), np.int8)),
        Operand(bias.shape, QParams.per_tensor(scale_x * scale_w), bias),
    )
    output = Operand((1, len(bias)), QParams.per_tensor(scale_y))
    params = fully_connected.lower(FullyConnected(), operands, (output,))
    low = Lowered(params, operands, (output,), (np.zeros((1, 1), np.int8),))
    found = run_tflm(int8_model(OP, low), low)
    assert np.array_equal(found, fully_connected.run_int(params, low.inputs[0]))
    single, _ = quantize_multiplier(float(np.float32(scale_x) * np.float32(scale_w)) / scale_y)
    off = replace(params, multiplier=np.full_like(params.multiplier, single))
    assert not np.array_equal(found, fully_connected.run_int(off, low.inputs[0]))


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(OP, case)


@parametrize((*CASES, *WIDE, *BIAS_32))
def test_integers_equal_tflm(case: Case) -> None:
    int_law(OP, case)


@parametrize((*CASES, *WIDE[:-1], *BIAS_32))
def test_integers_are_near_the_floats(case: Case) -> None:
    step_law(OP, case, 1.5 if case.dtype == "int16" else 1.0)  # of 15 bits of multiplier


@parametrize((*CASES, *WIDE))
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(OP, (*CASES, *WIDE, *BIAS_32), tmp_path)


@pytest.mark.parametrize(("kind", "expected"), [("int64", -3501), ("int32", -3501), ("int64", -3500)])
def test_int16_on_paper(kind: str, expected: int) -> None:
    """2000·2 - 3666·3 - 4 = -7002, · 1/2 = -3501; with a bias of -3, -3500.5 is a tie of one rounding: up, to -3500."""
    x = Operand((1, 2), QParams.per_tensor(0.5), dtype=np.dtype(np.int16))
    weight = Operand((1, 2), QParams(np.ones(1, np.float32), np.zeros(1, np.int32), 0), np.array([[2, 3]], np.int8))
    bias = Operand((1,), QParams.per_tensor(0.5), np.array([-4 if expected == -3501 else -3], kind))
    output = Operand((1, 1), QParams.per_tensor(1.0), dtype=x.dtype)
    params = fully_connected.lower(FullyConnected(), (x, weight, bias), (output,))
    assert fully_connected.run_int(params, np.array([[2000, -3666]], np.int16)).tolist() == [[expected]]


def test_refusals() -> None:
    weights = draw("w", 5, 24)
    assert broken(OP, FullyConnected(), (1, 2, 3, 4), weights) == []
    assert broken(OP, FullyConnected(), (1, 7, 24), weights) == ["matching_depth"]  # would mix the batch axis in
    assert broken(OP, FullyConnected(keep_dims=True), (1, 7, 24), weights) == []
    assert broken(OP, FullyConnected(), (1, 24), (5, 24)) == ["constant_weights"]
    assert all(sentence.endswith(".") for sentence in sentences(OP))


def test_types_of_quantized_constants() -> None:
    types_law(OP, FullyConnected(), (1, 24), (5, 24), ("int64", "int32"))
