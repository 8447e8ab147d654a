"""MAX_POOL_2D: the largest value of a window; taps in the padding do not take part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array, Shape
from tinyptq.ops import window as win
from tinyptq.ops.activation import NONE, Clamp, integer_bounds, tflite_code
from tinyptq.ops.base import SAME, Op, Operand, Rows, TfliteCode, TfliteOperator, elements
from tinyptq.ops.pool import nameable_padding, read_pool, undilated, window_parts, write_pool
from tinyptq.ops.window import Window
from tinyptq.program import Work


@dataclass(frozen=True)
class MaxPool2D:
    window: Window
    activation: Clamp = NONE


@dataclass(frozen=True, eq=False)
class MaxPool2DInt8:
    """y = clamp(max x): input and output share their quantization."""

    input_shape: Shape  # [1, h, w, c]
    output_shape: Shape  # [1, out_h, out_w, c]
    window: Window
    activation_min: int
    activation_max: int
    activation_code: int

    @property
    def output_row_bytes(self) -> int:
        return self.output_shape[2] * self.output_shape[3]

    @property
    def row_bytes(self) -> int:
        return self.input_shape[2] * self.input_shape[3]


def read_tflite(operator: TfliteOperator) -> MaxPool2D:
    return MaxPool2D(*read_pool(operator))


def write_tflite(params: MaxPool2DInt8) -> tuple[TfliteCode, ...]:
    return write_pool("MAX_POOL_2D", params.window, params.activation_code)


def infer_shapes(attrs: MaxPool2D, image: Shape) -> tuple[Shape, ...]:
    return ((image[0], *attrs.window.output_size(image[1], image[2]), image[3]),)


def maxima(x: Array, window: Window, shape: Shape, least: float) -> Array:
    """Maximum over every window, padding left out: [n, out_h, out_w, c] in x's dtype; least is below everything."""
    largest = np.full((len(x), *shape[1:]), least, x.dtype)
    for rows, columns, source in window_parts(x, window, shape):
        part = largest[:, rows, columns]
        np.maximum(part, source, out=part)
    return largest


def run_float(attrs: MaxPool2D, x: Array) -> Array:
    (shape,) = infer_shapes(attrs, x.shape)
    return attrs.activation.apply(maxima(x, attrs.window, shape, -np.inf))


def lower(attrs: MaxPool2D, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> MaxPool2DInt8:
    low, high = integer_bounds(attrs.activation, outputs[0].qparams)
    return MaxPool2DInt8(
        input_shape=inputs[0].shape,
        output_shape=outputs[0].shape,
        window=attrs.window,
        activation_min=low,
        activation_max=high,
        activation_code=tflite_code(attrs.activation),
    )


def run_int(params: MaxPool2DInt8, x: Array) -> Array:
    largest = maxima(x, params.window, params.output_shape, -128)
    return np.clip(largest, params.activation_min, params.activation_max).astype(np.int8)


def rows(params: MaxPool2DInt8) -> Rows:
    return win.rows(params.window, params.input_shape, params.output_shape)


def work(params: MaxPool2DInt8) -> Work:
    return Work(0, 0, elements(params.input_shape) + elements(params.output_shape))


OP = Op(
    name="max_pool_2d",
    summary="max pooling",
    builtins=("MAX_POOL_2D",),
    attrs=MaxPool2D,
    params=MaxPool2DInt8,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(nameable_padding, undilated),
    quantization=SAME,
    lower=lower,
    run_int=run_int,
    rows=rows,
    work=work,
)
