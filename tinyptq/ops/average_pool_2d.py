"""AVERAGE_POOL_2D: the mean over a window; taps in the padding are not counted."""

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
class AveragePool2D:
    window: Window
    activation: Clamp = NONE


@dataclass(frozen=True, eq=False)
class AveragePool2DInt8:
    """y = clamp(Σx / count), ties away from zero; no zero point: input and output share their quantization."""

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

    @property
    def taps(self) -> int:
        return self.window.kernel[0] * self.window.kernel[1]


def read_tflite(operator: TfliteOperator) -> AveragePool2D:
    return AveragePool2D(*read_pool(operator))


def write_tflite(params: AveragePool2DInt8) -> tuple[TfliteCode, ...]:
    return write_pool("AVERAGE_POOL_2D", params.window, params.activation_code)


def infer_shapes(attrs: AveragePool2D, image: Shape) -> tuple[Shape, ...]:
    return ((image[0], *attrs.window.output_size(image[1], image[2]), image[3]),)


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


def run_float(attrs: AveragePool2D, x: Array) -> Array:
    (shape,) = infer_shapes(attrs, x.shape)
    total = sums(x, attrs.window, shape)
    total /= counts(attrs.window, x.shape, shape).astype(np.float32)
    return attrs.activation.apply(total)


def lower(attrs: AveragePool2D, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> AveragePool2DInt8:
    low, high = integer_bounds(attrs.activation, outputs[0].qparams)
    return AveragePool2DInt8(
        input_shape=inputs[0].shape,
        output_shape=outputs[0].shape,
        window=attrs.window,
        activation_min=low,
        activation_max=high,
        activation_code=tflite_code(attrs.activation),
    )


def run_int(params: AveragePool2DInt8, x: Array) -> Array:
    """(|Σ| + count // 2) // count with Σ's sign: TFLite's rounding, ties away from zero."""
    total = sums(x.astype(np.int32), params.window, params.output_shape)
    count = counts(params.window, params.input_shape, params.output_shape)
    mean: Array = np.sign(total) * ((np.abs(total) + count // 2) // count)
    y: Array = np.clip(mean, params.activation_min, params.activation_max)
    return y.astype(np.int8)


def rows(params: AveragePool2DInt8) -> Rows:
    return win.rows(params.window, params.input_shape, params.output_shape)


def work(params: AveragePool2DInt8) -> Work:
    return Work(0, 0, elements(params.input_shape) + elements(params.output_shape))


OP = Op(
    name="average_pool_2d",
    summary="average pooling, padded taps not counted",
    builtins=("AVERAGE_POOL_2D",),
    attrs=AveragePool2D,
    params=AveragePool2DInt8,
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
