"""Layers with weights and int16 activations: drawn shapes and scales against tflite-micro, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.laws import Case, c_law, draw, int_law
from tests.ops.exhaustive import scales
from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, QParams
from tinyptq.ops import conv_2d, depthwise_conv_2d, fully_connected, transpose_conv
from tinyptq.ops.activation import NONE, RELU, RELU6, RELU_N1_TO_1
from tinyptq.ops.base import Op, Operand
from tinyptq.ops.conv_2d import Conv2D
from tinyptq.ops.depthwise_conv_2d import DepthwiseConv2D
from tinyptq.ops.fully_connected import FullyConnected
from tinyptq.ops.transpose_conv import TransposeConv, cropping
from tinyptq.ops.window import make_window

INT16 = np.dtype(np.int16)
per_tensor = QParams.per_tensor

small = st.integers(1, 3)
pairs = st.tuples(small, small)
activations = st.sampled_from([NONE, RELU, RELU6, RELU_N1_TO_1])
paddings = st.sampled_from(["same", "valid"])


def drawn(op: Op, attrs: Any, shape: tuple[int, ...], weights: Array, draws: st.DataObject) -> None:
    """Equal to tflite-micro with scales from where everything saturates to where nothing is left."""
    with_bias = draws.draw(st.booleans(), "bias")
    narrow = with_bias and op.name in ("conv_2d", "fully_connected") and draws.draw(st.booleans(), "bias of 32 bits")
    operands = (shape, weights, draw("b", weights.shape[op.weight_axis or 0])) if with_bias else (shape, weights)
    qparams: dict[int | str, QParams] = {
        0: per_tensor(draws.draw(scales(1e-4, 1e-1), "input scale")),
        "output": per_tensor(draws.draw(scales(1e-4, 10.0), "output scale")),
    }
    kind = "int32" if narrow else "int64"
    per_tensor_weights = draws.draw(st.booleans(), "one scale")
    int_law(op, Case("drawn", attrs, operands, "drawn", qparams, 2.0, per_tensor_weights, 4, "int16", kind))


@settings(deadline=None, max_examples=60)
@given(
    kernel=pairs, stride=pairs, dilation=pairs, room=pairs, sizes=st.tuples(small, small, small),
    padding=paddings, activation=activations, data=st.data(),
)  # fmt: skip
def test_drawn_convolutions_equal_tflm(
    kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int], room: tuple[int, int],
    sizes: tuple[int, int, int], padding: str, activation: Any, data: st.DataObject,
) -> None:  # fmt: skip
    groups, depth, filters = sizes
    height, width = ((k - 1) * d + more for k, d, more in zip(kernel, dilation, room, strict=True))
    window = make_window(padding, (height, width), kernel, stride, dilation)
    weights = draw("w", groups * filters, *kernel, depth)
    drawn(conv_2d.OP, Conv2D(window, activation), (1, height, width, groups * depth), weights, data)


@settings(deadline=None, max_examples=60)
@given(
    kernel=pairs, stride=small, dilation=pairs, room=pairs, channels=st.integers(1, 9), multiplier=small,
    padding=paddings, activation=activations, data=st.data(),
)  # fmt: skip
def test_drawn_depthwise_convolutions_equal_tflm(
    kernel: tuple[int, int], stride: int, dilation: tuple[int, int], room: tuple[int, int], channels: int,
    multiplier: int, padding: str, activation: Any, data: st.DataObject,
) -> None:  # fmt: skip
    height, width = ((k - 1) * d + more for k, d, more in zip(kernel, dilation, room, strict=True))
    window = make_window(padding, (height, width), kernel, (stride, stride), dilation)
    weights = draw("w", 1, *kernel, channels * multiplier)
    attrs = DepthwiseConv2D(window, multiplier, activation)
    drawn(depthwise_conv_2d.OP, attrs, (1, height, width, channels), weights, data)


@settings(deadline=None, max_examples=40)
@given(shape=st.lists(small, min_size=1, max_size=3), outputs=small, activation=activations, data=st.data())
def test_drawn_matrices_equal_tflm(shape: list[int], outputs: int, activation: Any, data: st.DataObject) -> None:
    keep = data.draw(st.booleans(), "last axis")
    depth = shape[-1] if keep else int(np.prod(shape))
    attrs = FullyConnected(activation, keep)
    drawn(fully_connected.OP, attrs, (1, *shape), draw("w", outputs, depth), data)


@settings(deadline=None, max_examples=40)
@given(kernel=pairs, stride=pairs, image=st.tuples(small, small, small), padding=paddings, data=st.data())
def test_drawn_transposed_convolutions_equal_tflm(
    kernel: tuple[int, int], stride: tuple[int, int], image: tuple[int, int, int], padding: str, data: st.DataObject
) -> None:
    rest = [0 if padding == "same" else max(kernel[i] - stride[i], 0) for i in (0, 1)]
    size = image[0] * stride[0] + rest[0], image[1] * stride[1] + rest[1]
    attrs = TransposeConv(stride, cropping(padding, size, kernel, stride), size)
    drawn(transpose_conv.OP, attrs, (1, *image), draw("w", 2, *kernel, image[2]), data)


def test_c_equals_numpy_for_drawn_windows(tmp_path: Path) -> None:
    """Rings of two-byte lines: every mixture of odd widths, strides, dilations and one-sided paddings."""
    generator, cases = np.random.default_rng(16), []
    for index in range(24):
        kernel, stride, dilation = (tuple(int(n) for n in generator.integers(1, 4, 2)) for _ in range(3))
        size = int(generator.integers(1, 9)) + 2, int(generator.integers(1, 9)) + 2
        window = make_window("same", size, (kernel[0], kernel[1]), (stride[0], stride[1]), (dilation[0], dilation[1]))
        depth, filters = (int(n) for n in generator.integers(1, 5, 2))
        weights = draw(f"w{index}", filters, *kernel, depth)
        cases.append(Case(f"{index}", Conv2D(window), ((1, *size, depth), weights), "drawn", dtype="int16"))
    c_law(conv_2d.OP, cases, tmp_path)


def matrix(bias: Array, scale_y: float, scale_w: float = 1.0) -> tuple[tuple[Operand, ...], Operand]:
    """Operands of one multiplication by 127, and an output."""
    weights = np.full((len(bias), 1), 127, np.int8)
    qparams = QParams(np.full(len(bias), scale_w, np.float32), np.zeros(len(bias), np.int32), 0)
    operands = (
        Operand((1, 1), per_tensor(1.0), dtype=INT16),
        Operand(weights.shape, qparams, weights),
        Operand(bias.shape, qparams, bias),
    )
    return operands, Operand((1, len(bias)), per_tensor(scale_y), dtype=INT16)


@pytest.mark.parametrize(
    ("bias", "scale", "why"),
    [
        (2**47 - 127 * 2**15 - 1, 2.0**33, None),
        (2**47 - 127 * 2**15, 2.0**33, "can reach 1.41e[+]14"),
        (-(2**63), 2.0**33, "can reach 9.22e[+]18"),
        (0, 2.0**-6, None),
        (0, 2.0**-8, "1.07e[+]09 steps"),
        (2**40, 2.0**6, "1.72e[+]10 steps"),
    ],
)
def test_what_tflite_cannot_rescale_is_refused(bias: int, scale: float, why: str | None) -> None:
    """Sums of 47 bits, shifts to the left of 7, results of 32 bits."""
    operands, output = matrix(np.array([0, bias], np.int64), scale)
    if why is None:
        assert fully_connected.lower(FullyConnected(), operands, (output,)).bias.tolist() == [0, bias]
        return
    with pytest.raises(TinyptqError, match=why):
        fully_connected.lower(FullyConnected(), operands, (output,))


def test_a_bias_of_32_bits_needs_sums_of_32_bits() -> None:
    operands, output = matrix(np.array([2**31 - 2**23], np.int32), 2.0**18)
    assert fully_connected.lower(FullyConnected(), operands, (output,)).accumulator == "int32"
    operands, output = matrix(np.array([2**31 - 2**21], np.int32), 2.0**18)
    with pytest.raises(TinyptqError, match="beyond a 32-bit accumulator"):
        fully_connected.lower(FullyConnected(), operands, (output,))


def test_activations_are_of_one_type_and_symmetric() -> None:
    operands, _ = matrix(np.array([1], np.int64), 1.0)
    narrow = Operand((1, 1), per_tensor(1.0))
    with pytest.raises(TinyptqError, match="int8 beside int16"):
        fully_connected.lower(FullyConnected(), operands, (narrow,))
    with pytest.raises(TinyptqError, match="zero point 1, not 0"):
        fully_connected.lower(FullyConnected(), operands, (Operand((1, 1), per_tensor(1.0, 1), dtype=INT16),))
