"""What fast kernels of matrix-like layers reason from: the layer as one matrix, and proofs that permit short cuts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from tinyptq.fixedpoint import multiply_by_quantized_multiplier
from tinyptq.graph import Array
from tinyptq.ops.conv_2d import Conv2DInt
from tinyptq.ops.depthwise_conv_2d import DepthwiseConv2DInt
from tinyptq.ops.fully_connected import FullyConnectedInt


@dataclass(frozen=True, eq=False)
class Pointwise:
    """A matrix [outputs, inputs] applied to every pixel: a 1x1 convolution, or a fully connected layer.

    rows, row_pixels: what a call computes is a multiple of row_pixels; by_rows: it is told which rows, else it is all.
    """

    rows: int
    row_pixels: int
    by_rows: bool
    weights: Array  # int8 [outputs, inputs]
    bias: Array  # int32 [outputs]
    folded_bias: Array  # int32 [outputs], the input's zero point taken in
    multiplier: Array  # int32 [outputs]
    shift: Array  # int8 [outputs], positive is left
    input_zero_point: int
    output_zero_point: int
    activation_min: int

    @property
    def outputs(self) -> int:
        return int(self.weights.shape[0])

    @property
    def inputs(self) -> int:
        return int(self.weights.shape[1])

    @property
    def pixels(self) -> int:
        return self.rows * self.row_pixels


@lru_cache(maxsize=1024)
def pointwise(params: Conv2DInt | FullyConnectedInt) -> Pointwise:
    """The matrix of a layer for which is_pointwise holds."""
    if isinstance(params, Conv2DInt):
        return without_dead_channels(conv_matrix(params), params.activation_max)
    layer = Pointwise(
        rows=1,
        row_pixels=params.vectors,
        by_rows=False,
        weights=params.weights.reshape(len(params.weights), -1),
        bias=params.bias,
        folded_bias=params.folded_bias,
        multiplier=params.multiplier,
        shift=params.shift,
        input_zero_point=params.input_zero_point,
        output_zero_point=params.output_zero_point,
        activation_min=params.activation_min,
    )
    return without_dead_channels(layer, params.activation_max)


def conv_matrix(params: Conv2DInt) -> Pointwise:
    """The filters of any kernel as rows of a matrix [out, kernel_h · kernel_w · in / groups]."""
    return image_matrix(params, params.weights.reshape(len(params.weights), -1))


def depthwise_matrix(params: DepthwiseConv2DInt) -> Pointwise:
    """The filters as rows of a matrix [channels, taps]."""
    return image_matrix(params, params.weights.reshape(-1, params.output_shape[3]).T)


def image_matrix(params: Conv2DInt | DepthwiseConv2DInt, weights: Array) -> Pointwise:
    return Pointwise(
        rows=params.output_shape[1],
        row_pixels=params.output_shape[2],
        by_rows=True,
        weights=weights,
        bias=params.bias,
        folded_bias=params.folded_bias,
        multiplier=params.multiplier,
        shift=params.shift,
        input_zero_point=params.input_zero_point,
        output_zero_point=params.output_zero_point,
        activation_min=params.activation_min,
    )


def without_dead_channels(layer: Pointwise, activation_max: int) -> Pointwise:
    """Channels that give one value whatever the input: weights of zero, and numbers any short requantization covers.

    Training leaves such channels behind, with scales so small that bias and shift are extreme. 4 · (value − zero
    point), times one half, shifted right by one, is exact.
    """
    if bool((layer.multiplier < 0).any()):
        return layer
    lowest, highest = (
        np.clip(
            multiply_by_quantized_multiplier(acc, layer.multiplier, layer.shift) + layer.output_zero_point,
            layer.activation_min,
            activation_max,
        )
        for acc in accumulator_range(layer)
    )
    dead = lowest == highest
    if not dead.any():
        return layer
    constant = (4 * (lowest - layer.output_zero_point)).astype(np.int32)
    return replace(
        layer,
        weights=np.where(dead[:, None], np.int8(0), layer.weights),
        bias=np.where(dead, constant, layer.bias),
        folded_bias=np.where(dead, constant, layer.folded_bias),
        multiplier=np.where(dead, np.int32(1 << 30), layer.multiplier),
        shift=np.where(dead, np.int8(-1), layer.shift),
    )


def is_pointwise(params: Conv2DInt | FullyConnectedInt) -> bool:
    """Fully connected, or a 1x1 kernel with stride 1, no padding and one group: every pixel on its own."""
    if isinstance(params, FullyConnectedInt):
        return True
    window = params.window
    return window.kernel == (1, 1) and window.stride == (1, 1) and not window.padded and params.groups == 1


def accumulator_range(layer: Pointwise) -> tuple[Array, Array]:
    """(lowest, highest) value the accumulator can end with, per output channel, over every int8 input. int64 [out]"""
    weights, bias = layer.weights.astype(np.int64), layer.bias.astype(np.int64)
    at_lowest = weights * (-128 - layer.input_zero_point)
    at_highest = weights * (127 - layer.input_zero_point)
    return (
        bias + np.minimum(at_lowest, at_highest).sum(axis=1),
        bias + np.maximum(at_lowest, at_highest).sum(axis=1),
    )


def accumulator_bound(layer: Pointwise) -> Array:
    """max |accumulator| per output channel. int64 [out]"""
    lowest, highest = accumulator_range(layer)
    return np.maximum(np.abs(lowest), np.abs(highest))


def right_shifts(layer: Pointwise) -> Array:
    """−shift per output channel; a zero multiplier gives 0 at any shift, so it gets 1 where it had none. int64 [out]"""
    right = np.broadcast_to(-layer.shift.astype(np.int64), (layer.outputs,))
    return np.where((layer.multiplier == 0) & (right < 1), 1, right)


def rounds_half_up(layer: Pointwise) -> bool:
    """May ties below zero round either way?

    gemmlowp's last rounding takes ties away from zero, the instructions take them up; the two differ only for
    negative numbers. Under a clamp at or above the zero point (fused ReLU) every negative number ends as the clamp.
    """
    return layer.activation_min >= layer.output_zero_point


def group_starts(channels: int, size: int) -> list[int]:
    """First channel of each group of `size`; the last group is moved back to end with the last channel.

    Where groups overlap, a channel is computed twice with equal results: no tail code, no write outside the tensor.
    """
    assert channels >= size
    return [min(start, channels - size) for start in range(0, channels, size)]
