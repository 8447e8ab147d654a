"""What a fast kernel must prove about a convolution before it may take a short cut, and shared packing helpers."""

from __future__ import annotations

import numpy as np

from tinyptq.graph import Array
from tinyptq.ops.conv_2d import Conv2DInt8


def is_pointwise(params: Conv2DInt8) -> bool:
    """1x1 kernel, stride 1, no padding: every pixel on its own."""
    window = params.window
    return window.kernel == (1, 1) and window.stride == (1, 1) and not window.padded


def accumulator_range(params: Conv2DInt8) -> tuple[Array, Array]:
    """(lowest, highest) value the accumulator can end with, per output channel, over every int8 input. int64 [out]"""
    weights = params.weights.reshape(len(params.weights), -1).astype(np.int64)
    low, high = -128 - params.input_zero_point, 127 - params.input_zero_point
    bias = params.bias.astype(np.int64)
    return (
        bias + np.minimum(weights * low, weights * high).sum(axis=1),
        bias + np.maximum(weights * low, weights * high).sum(axis=1),
    )


def accumulator_bound(params: Conv2DInt8) -> Array:
    """max |accumulator| per output channel. int64 [out]"""
    lowest, highest = accumulator_range(params)
    return np.maximum(np.abs(lowest), np.abs(highest))


def right_shifts(params: Conv2DInt8) -> Array:
    """−shift; a zero multiplier gives 0 at any shift, so it gets 1 where it had none. int64 [out]"""
    right = -params.shift.astype(np.int64)
    return np.where((params.multiplier == 0) & (right < 1), 1, right)


def rounds_half_up(params: Conv2DInt8) -> bool:
    """May ties below zero round either way?

    gemmlowp's last rounding takes ties away from zero, the instructions take them up; the two differ only for
    negative numbers. Under a clamp at or above the zero point (fused ReLU) every negative number ends as the clamp.
    """
    return params.activation_min >= params.output_zero_point


def group_starts(channels: int, size: int) -> list[int]:
    """First channel of each group of `size`; the last group is moved back to end with the last channel.

    Where groups overlap, a channel is computed twice with equal results: no tail code, no write outside the tensor.
    """
    assert channels >= size
    return [min(start, channels - size) for start in range(0, channels, size)]
