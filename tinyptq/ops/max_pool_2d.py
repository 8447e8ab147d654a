"""MAX_POOL_2D: the largest value of a window; taps in the padding do not take part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array, Shape
from tinyptq.ops import pool
from tinyptq.ops.activation import NONE, Clamp
from tinyptq.ops.base import SAME, Op, TfliteCode, TfliteOperator
from tinyptq.ops.element import SCALED
from tinyptq.ops.pool import PoolInt, nameable_padding, read_pool, undilated, window_parts, write_pool
from tinyptq.ops.window import Window


@dataclass(frozen=True)
class MaxPool2D:
    window: Window
    activation: Clamp = NONE


def read_tflite(operator: TfliteOperator) -> MaxPool2D:
    return MaxPool2D(*read_pool(operator))


def write_tflite(params: PoolInt) -> tuple[TfliteCode, ...]:
    return write_pool("MAX_POOL_2D", params.window, params.activation_code)


def maxima(x: Array, window: Window, shape: Shape, least: float) -> Array:
    """Maximum over every window, padding left out: [n, out_h, out_w, c] in x's dtype; least is below everything."""
    largest = np.full((len(x), *shape[1:]), least, x.dtype)
    for rows, columns, source in window_parts(x, window, shape):
        part = largest[:, rows, columns]
        np.maximum(part, source, out=part)
    return largest


def run_float(attrs: MaxPool2D, x: Array) -> Array:
    (shape,) = pool.infer_shapes(attrs, x.shape)
    return attrs.activation.apply(maxima(x, attrs.window, shape, -np.inf))


def run_int(params: PoolInt, x: Array) -> Array:
    largest = maxima(x, params.window, params.output_shape, params.lowest)
    return np.clip(largest, params.activation_min, params.activation_max).astype(x.dtype)


OP = Op(
    name="max_pool_2d",
    summary="max pooling",
    builtins=("MAX_POOL_2D",),
    attrs=MaxPool2D,
    params=PoolInt,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=pool.infer_shapes,
    run_float=run_float,
    constraints=(nameable_padding, undilated),
    quantization=SAME,
    dtypes=SCALED,
    lower=pool.lower,
    run_int=run_int,
    rows=pool.rows,
    leads=pool.leads,
    work=pool.work,
)
