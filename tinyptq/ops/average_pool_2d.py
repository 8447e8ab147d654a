"""AVERAGE_POOL_2D: the mean over a window; taps in the padding are not counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops import pool
from tinyptq.ops.activation import NONE, Clamp
from tinyptq.ops.base import SAME, Op, TfliteCode, TfliteOperator
from tinyptq.ops.element import SCALED
from tinyptq.ops.pool import PoolInt, nameable_padding, read_pool, undilated, window_parts, write_pool
from tinyptq.ops.window import Window

MAX_TAPS = 65535  # of int16, with half their count: the sum stays in int32


@dataclass(frozen=True)
class AveragePool2D:
    window: Window
    activation: Clamp = NONE


def read_tflite(operator: TfliteOperator) -> AveragePool2D:
    return AveragePool2D(*read_pool(operator))


def write_tflite(params: PoolInt) -> tuple[TfliteCode, ...]:
    return write_pool("AVERAGE_POOL_2D", params.window, params.activation_code)


def sums(x: Array, window: Window, shape: Shape) -> Array:
    """Sum over every window, padding left out: [n, out_h, out_w, c] in x's dtype."""
    total = np.zeros((len(x), *shape[1:]), x.dtype)
    for rows, columns, source in window_parts(x, window, shape):
        total[:, rows, columns] += source
    return total


def counts(window: Window, input_shape: Shape, output_shape: Shape) -> Array:
    """How many taps of every window lie in the image: int32 [1, out_h, out_w, 1]."""
    ones = np.ones((1, *input_shape[1:3], 1), np.int32)
    return sums(ones, window, (1, *output_shape[1:3], 1))


def countable_taps(graph: Graph, node: Node) -> bool:
    """The window of an average pool has fewer than 65535 taps."""
    kernel = node.attrs.window.kernel
    return bool(kernel[0] * kernel[1] < MAX_TAPS)


def run_float(attrs: AveragePool2D, x: Array) -> Array:
    (shape,) = pool.infer_shapes(attrs, x.shape)
    total = sums(x, attrs.window, shape)
    total /= counts(attrs.window, x.shape, shape).astype(np.float32)
    return attrs.activation.apply(total)


def run_int(params: PoolInt, x: Array) -> Array:
    """(|Σ| + count // 2) // count with Σ's sign: TFLite's rounding, ties away from zero."""
    total = sums(x.astype(np.int32), params.window, params.output_shape)
    count = counts(params.window, params.input_shape, params.output_shape)
    mean: Array = np.sign(total) * ((np.abs(total) + count // 2) // count)
    y: Array = np.clip(mean, params.activation_min, params.activation_max)
    return y.astype(x.dtype)


OP = Op(
    name="average_pool_2d",
    summary="average pooling, padded taps not counted",
    builtins=("AVERAGE_POOL_2D",),
    attrs=AveragePool2D,
    params=PoolInt,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=pool.infer_shapes,
    run_float=run_float,
    constraints=(nameable_padding, undilated, countable_taps),
    quantization=SAME,
    dtypes=SCALED,
    lower=pool.lower,
    run_int=run_int,
    rows=pool.rows,
    leads=pool.leads,
    work=pool.work,
)
