"""Operators that add up: reductions, pools, rows to shares, convolutions and matrix products."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from math import prod

import numpy as np
from hypothesis import strategies as st

from tests.conformance.draws import (
    Draw,
    activation,
    clamp,
    constant,
    inner_axes,
    numbers,
    qparams,
    run_time,
    scaled,
    scales,
    seeds,
    shape,
    window,
)
from tests.conformance.trial import Single
from tinyptq.graph import QParams, Shape
from tinyptq.ops.arg_max import ArgMax
from tinyptq.ops.arg_min import ArgMin
from tinyptq.ops.average_pool_2d import AveragePool2D
from tinyptq.ops.base import Operand
from tinyptq.ops.batch_matmul import BatchMatMul
from tinyptq.ops.conv_2d import Conv2D
from tinyptq.ops.depthwise_conv_2d import DepthwiseConv2D
from tinyptq.ops.fully_connected import FullyConnected
from tinyptq.ops.l2_normalization import L2Normalization
from tinyptq.ops.log_softmax import LogSoftmax
from tinyptq.ops.max_pool_2d import MaxPool2D
from tinyptq.ops.mean import Mean
from tinyptq.ops.reduce_max import ReduceMax
from tinyptq.ops.reduce_min import ReduceMin
from tinyptq.ops.softmax import Softmax
from tinyptq.ops.sum import Sum
from tinyptq.ops.transpose_conv import TransposeConv, cropping

ROW_RANKS = (2, 3, 4)
LONGEST_ROW = 300  # of equal exponentials tflite-micro's softmax holds 511


def reduction(make: Callable[..., object], free: bool, draw: Draw, dtype: str) -> Single:
    """Any axes but the batch, kept or not; a free output has a scale of its own."""
    x = activation(draw, shape(draw, ROW_RANKS), dtype)
    attrs = make(inner_axes(draw, len(x.shape)), draw(st.booleans()))
    output = scaled(draw, dtype, float(x.qparams.scale[0]), 0.1, 100.0) if free else None
    return Single(attrs, (x,), output, seed=draw(seeds))


def index(make: Callable[[int], object], draw: Draw, dtype: str) -> Single:
    x = activation(draw, shape(draw, ROW_RANKS), dtype)
    return Single(make(draw(st.integers(1, len(x.shape) - 1))), (x,), seed=draw(seeds))


def row(attrs: st.SearchStrategy[object], output: QParams | None, draw: Draw, dtype: str) -> Single:
    """Shares of a last axis that may be long."""
    size = shape(draw, ROW_RANKS)
    size = (1, draw(st.integers(1, LONGEST_ROW))) if draw(st.booleans()) else size
    x = activation(draw, size, dtype, 1e-5, 1e2)
    return Single(draw(attrs), (x,), output if dtype == "int16" else None, seed=draw(seeds))


def softmax(draw: Draw, dtype: str) -> Single:
    """int16 inputs want scales whose steps of 10 / 65535 stay in range."""
    attrs = scales(0.05, 20.0).map(Softmax)
    drawn = row(attrs, QParams.per_tensor(2.0**-15), draw, dtype)
    if dtype == "int8":
        return drawn
    x = run_time(drawn.operands[0].shape, qparams(draw, dtype, 1e-7, 0.1), dtype)
    return Single(drawn.attrs, (x,), drawn.output, seed=drawn.seed)


def pool(make: Callable[..., object], draw: Draw, dtype: str) -> Single:
    x = activation(draw, shape(draw, (4,)), dtype, 1e-3, 1e2)
    return Single(make(window(draw, x.shape[1:3], False), clamp(draw)), (x,), seed=draw(seeds))


def weights(draw: Draw, size: Shape, axis: int) -> Operand:
    """int8 weights, one scale or one per output channel, of the whole range or small; -128 is outside of TFLite's."""
    count = size[axis] if draw(st.booleans()) else 1
    spread = np.random.default_rng(draw(seeds)).uniform(0.2, 5.0, count) if count > 1 else np.ones(1)
    scale = (draw(scales(1e-5, 1.0)) * spread).astype(np.float32)
    q = QParams(scale, np.zeros(count, np.int32), axis if count > 1 else None)
    most = draw(st.sampled_from([127, 127, 15, 2]))
    data = numbers(draw, size, "int8", -127)
    return Operand(size, q, np.clip(data, -127, 127) if most == 127 else np.fmod(data, most + 1).astype(np.int8))


def bias(draw: Draw, x: Operand, weight: Operand, channels: int) -> Operand:
    """int32 behind int8 inputs, int64 behind int16 ones; scale s_in · s_w."""
    scale = (x.qparams.scale.astype(np.float64) * weight.qparams.scale).astype(np.float32)
    zeros, reach = np.zeros(len(scale), np.int32), draw(st.sampled_from([0, 100, 1 << 10, 1 << 15]))
    data = np.random.default_rng(draw(seeds)).integers(-reach, reach + 1, channels)
    wide = np.int64 if x.dtype == np.int16 else np.int32
    axis = None if weight.qparams.axis is None else 0
    return Operand((channels,), QParams(scale, zeros, axis), data.astype(wide), np.dtype(wide))


def weighted(
    draw: Draw, attrs: object, x: Operand, weight: Operand, channels: int, per_output: int, biased: bool = False
) -> Single:
    """An output scale near what random sums of `per_output` products reach. biased: a bias must be there."""
    operands = [x, weight]
    if biased or draw(st.booleans()):
        operands.append(bias(draw, x, weight, channels))
    output = scaled(draw, str(x.dtype), natural(x, weight, per_output), 0.1, 30.0)
    return Single(attrs, tuple(operands), output, seed=draw(seeds))


def natural(x: Operand, weight: Operand, per_output: int) -> float:
    """The scale of random sums of this many products; a power of two where both factors' are."""
    assert weight.data is not None
    product = float(x.qparams.scale[0]) * float(weight.qparams.scale.max())
    return product * 2.0 ** round(math.log2(max(1, int(np.abs(weight.data).max())) * per_output**0.5))


def conv_2d(draw: Draw, dtype: str) -> Single:
    x = activation(draw, shape(draw, (4,), 6), dtype, 1e-5, 1e2)
    slide, depth = window(draw, x.shape[1:3], True), x.shape[3]
    groups = draw(st.sampled_from([g for g in range(1, depth + 1) if depth % g == 0]))
    channels = groups * draw(st.integers(1, 8 if groups == 1 else 2))
    weight = weights(draw, (channels, *slide.kernel, depth // groups), 0)
    return weighted(draw, Conv2D(slide, clamp(draw)), x, weight, channels, prod(slide.kernel) * depth // groups)


def depthwise_conv_2d(draw: Draw, dtype: str) -> Single:
    x = activation(draw, shape(draw, (4,)), dtype, 1e-5, 1e2)
    slide, multiplier = window(draw, x.shape[1:3], True), draw(st.integers(1, 3))
    channels = x.shape[3] * multiplier
    weight = weights(draw, (1, *slide.kernel, channels), 3)
    return weighted(draw, DepthwiseConv2D(slide, multiplier, clamp(draw)), x, weight, channels, prod(slide.kernel))


def transpose_conv(draw: Draw, dtype: str) -> Single:
    """The output has the size Keras gives it; tflite-micro wants a bias beside int16."""
    x = activation(draw, shape(draw, (4,), 5), dtype, 1e-5, 1e2)
    kernel, stride = ((draw(st.integers(1, 4)), draw(st.integers(1, 3))) for _ in range(2))
    padding, channels = draw(st.sampled_from(["same", "valid"])), draw(st.integers(1, 5))
    over = [0 if padding == "same" else max(k - s, 0) for k, s in zip(kernel, stride, strict=True)]
    size = x.shape[1] * stride[0] + over[0], x.shape[2] * stride[1] + over[1]
    attrs = TransposeConv(stride, cropping(padding, size, kernel, stride), size, clamp(draw))
    weight = weights(draw, (channels, *kernel, x.shape[3]), 0)
    return weighted(draw, attrs, x, weight, channels, prod(kernel) * x.shape[3], dtype == "int16")


def fully_connected(draw: Draw, dtype: str) -> Single:
    """Flattened or over the last axis; wide enough, now and then, for every vector kernel."""
    size = shape(draw, ROW_RANKS)
    size = (1, draw(st.integers(1, 200))) if draw(st.booleans()) else size
    keep, channels = draw(st.booleans()), draw(st.integers(1, 12))
    x = activation(draw, size, dtype, 1e-5, 1e2)
    depth = size[-1] if keep else prod(size)
    weight = weights(draw, (channels, depth), 0)
    return weighted(draw, FullyConnected(clamp(draw), keep), x, weight, channels, depth)


def batch_matmul(draw: Draw, dtype: str) -> Single:
    """Both at run time, or one constant with fewer axes."""
    batches = draw(st.lists(st.integers(1, 3), max_size=2))
    rows, depth, columns = (draw(st.integers(1, 6)) for _ in range(3))
    attrs = BatchMatMul(draw(st.booleans()), draw(st.booleans()))
    left = (1, *batches, *((depth, rows) if attrs.adj_x else (rows, depth)))
    right = (*batches, *((columns, depth) if attrs.adj_y else (depth, columns)))
    first, q = activation(draw, left, dtype, 1e-5, 1e2), qparams(draw, dtype, 1e-5, 1e2)
    second = run_time((1, *right), q, dtype) if draw(st.booleans()) else constant(draw, right, q, dtype)
    reach = 2.0 ** round(math.log2(np.iinfo(dtype).max * depth**0.5))
    output = scaled(draw, dtype, float(first.qparams.scale[0]) * float(q.scale[0]) * reach, 0.1)
    return Single(attrs, (first, second), output, seed=draw(seeds))


DRAWS: dict[str, Callable[[Draw, str], Single]] = {
    "arg_max": partial(index, ArgMax),
    "arg_min": partial(index, ArgMin),
    "average_pool_2d": partial(pool, AveragePool2D),
    "batch_matmul": batch_matmul,
    "conv_2d": conv_2d,
    "depthwise_conv_2d": depthwise_conv_2d,
    "fully_connected": fully_connected,
    "l2_normalization": partial(row, st.just(L2Normalization()), QParams.per_tensor(2.0**-15)),
    "log_softmax": partial(row, st.just(LogSoftmax()), None),
    "max_pool_2d": partial(pool, MaxPool2D),
    "mean": partial(reduction, Mean, True),
    "reduce_max": partial(reduction, ReduceMax, False),
    "reduce_min": partial(reduction, ReduceMin, False),
    "softmax": softmax,
    "sum": partial(reduction, Sum, True),
    "transpose_conv": transpose_conv,
}
