"""DEPTHWISE_CONV_2D: one sum on paper, then the laws over multipliers, strides, dilations and paddings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.laws import Case, c_law, draw, file_law, float_law, int_law, parametrize, step_law
from tests.ops.refusals import broken, types_law
from tinyptq.graph import QParams
from tinyptq.ops import depthwise_conv_2d
from tinyptq.ops.activation import RELU, RELU6, RELU_N1_TO_1
from tinyptq.ops.base import Operand
from tinyptq.ops.depthwise_conv_2d import DepthwiseConv2D
from tinyptq.ops.window import Window, make_window

OP = depthwise_conv_2d.OP


def case(name: str, shape: tuple[int, ...], attrs: DepthwiseConv2D, why: str) -> Case:
    channels = shape[3] * attrs.multiplier
    weights = draw(f"{name}/w", 1, *attrs.window.kernel, channels)
    return Case(name, attrs, (shape, weights, draw(f"{name}/b", channels)), why)


def same(size: tuple[int, int], kernel: tuple[int, int], stride: int = 1, dilation: int = 1) -> Window:
    return make_window("same", size, kernel, (stride, stride), (dilation, dilation))


CASES = (
    case("3x3-same", (1, 7, 5, 6), DepthwiseConv2D(same((7, 5), (3, 3)), 1, RELU), "the MobileNet block"),
    case("3x3-s2", (1, 8, 8, 5), DepthwiseConv2D(same((8, 8), (3, 3), 2), 1, RELU6), "padding only below and right"),
    case("valid", (1, 6, 6, 3), DepthwiseConv2D(Window((3, 2))), "lines point straight into the input"),
    case("1-to-8", (1, 9, 7, 1), DepthwiseConv2D(same((9, 7), (4, 3), 2), 8), "micro_speech: one channel, 8 filters"),
    case("3-to-6", (1, 6, 5, 3), DepthwiseConv2D(same((6, 5), (3, 3)), 2, RELU_N1_TO_1), "channel c·2 + m reads c"),
    case("dilated", (1, 9, 9, 4), DepthwiseConv2D(same((9, 9), (3, 3), 1, 2)), "ring of five lines, every second read"),
    case("wide-stride", (1, 9, 9, 2), DepthwiseConv2D(same((9, 9), (2, 2), 4)), "lines between windows are skipped"),
    case("1d", (1, 30, 1, 10), DepthwiseConv2D(make_window("same", (30, 1), (5, 1))), "the streaming wake word"),
    case("explicit", (1, 5, 5, 2), DepthwiseConv2D(Window((3, 3), pad_top=2, pad_left=1)), "a PAD is exported"),
    case("1x1", (1, 4, 3, 5), DepthwiseConv2D(Window((1, 1))), "a scale per channel"),
)
HEAVY = np.full((1, 24, 24, 3), 0.5, np.float32) * np.float32([1, -0.9, 0.01])
WIDE = (
    *(replace(c, id=f"int16-{c.id}", dtype="int16") for c in CASES),
    Case("int16-heavy", DepthwiseConv2D(Window((24, 24))), ((1, 25, 24, 3), HEAVY), "beyond 32 bits", dtype="int16"),
)


def test_on_paper() -> None:
    """Channel 1: (5-1)·2 + (6-1)·(-1) + 4 = 7; 7 · 0.25·1/0.5 = 3.5 -> 4; + 10 = 14."""
    weights = np.array([[[[3, 2]], [[1, -1]]]], np.int8).reshape(1, 2, 1, 2)
    image = Operand((1, 2, 1, 2), QParams.per_tensor(0.25, 1))
    weight = Operand(weights.shape, QParams(np.ones(2, np.float32), np.zeros(2, np.int32), 3), weights)
    bias = Operand((2,), QParams.per_tensor(0.25), np.array([0, 4], np.int32))
    output = Operand((1, 1, 1, 2), QParams.per_tensor(0.5, 10))
    params = depthwise_conv_2d.lower(DepthwiseConv2D(Window((2, 1))), (image, weight, bias), (output,))
    y = depthwise_conv_2d.run_int(params, np.array([2, 5, 3, 6], np.int8).reshape(1, 2, 1, 2))
    # channel 0: (2-1)·3 + (3-1)·1 = 5; · 0.5 = 2.5, ties away from zero -> 3; + 10 = 13
    assert y.ravel().tolist() == [13, 14]


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(OP, case)


@parametrize((*CASES, *WIDE))
def test_integers_equal_tflm(case: Case) -> None:
    int_law(OP, case)


@parametrize((*CASES, *WIDE[:-1]))
def test_integers_are_near_the_floats(case: Case) -> None:
    step_law(OP, case, 1.5 if case.dtype == "int16" else 1.0)  # of 15 bits of multiplier


@parametrize([c for c in (*CASES, *WIDE) if "explicit" not in c.id])
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(OP, (*CASES, *WIDE), tmp_path)


def test_int16_on_paper() -> None:
    """1000·3 + 2·1 = 3002, · 1/4 = 750.5 -> 751; 500·2 - 2503 + 4 = -1499, · 1/4 = -374.75 -> -375."""
    weights = np.array([[3, 2], [1, -1]], np.int8).reshape(1, 2, 1, 2)
    image = Operand((1, 2, 1, 2), QParams.per_tensor(0.25), dtype=np.dtype(np.int16))
    weight = Operand(weights.shape, QParams(np.ones(2, np.float32), np.zeros(2, np.int32), 3), weights)
    bias = Operand((2,), QParams.per_tensor(0.25), np.array([0, 4], np.int64))
    output = Operand((1, 1, 1, 2), QParams.per_tensor(1.0), dtype=np.dtype(np.int16))
    params = depthwise_conv_2d.lower(DepthwiseConv2D(Window((2, 1))), (image, weight, bias), (output,))
    y = depthwise_conv_2d.run_int(params, np.array([1000, 500, 2, 2503], np.int16).reshape(1, 2, 1, 2))
    assert y.ravel().tolist() == [751, -375]


def test_batches_larger_than_a_block_are_cut_and_joined() -> None:
    """The cache blocks of run_int are invisible in its result."""
    from tests.laws import lower_case

    lowered = lower_case(OP, CASES[0])
    x = np.tile(lowered.inputs[0], (300, 1, 1, 1))
    y = OP.run_int(lowered.params, x)
    assert np.array_equal(y, np.tile(OP.run_int(lowered.params, lowered.inputs[0]), (300, 1, 1, 1)))


def test_refusals() -> None:
    attrs = DepthwiseConv2D(Window((2, 2)), 2)
    assert broken(OP, attrs, (1, 5, 5, 3), draw("w", 1, 2, 2, 6)) == []
    assert broken(OP, attrs, (1, 5, 5, 3), draw("w", 1, 2, 2, 7)) == ["whole_multiplier"]
    assert broken(OP, attrs, (1, 5, 5, 3), (1, 2, 2, 6)) == ["constant_weights"]


def test_types_of_quantized_constants() -> None:
    """tflite-micro reads a bias of 32 bits beside int16 activations as one of 64: garbage, so it is refused."""
    types_law(OP, DepthwiseConv2D(Window((2, 2)), 2), (1, 5, 5, 3), (1, 2, 2, 6), ("int64",))
