"""SUM over any axes but the batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from tinyptq.graph import Array, Shape
from tinyptq.ops.base import FREE, Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.reduce import Loops, few_runs, loops, read_axes, reduced_shape, reduces_no_batch, write_axes
from tinyptq.ops.requantize import prove_no_overflow
from tinyptq.program import Work


@dataclass(frozen=True)
class Sum:
    """axes: ascending, counted from the front, never 0."""

    axes: tuple[int, ...]
    keep_dims: bool = False


@dataclass(frozen=True, eq=False)
class SumInt8:
    """y = clamp(MBQM(Σx − count · input_zero_point) + output_zero_point)."""

    input_shape: Shape
    output_shape: Shape
    axes: tuple[int, ...]
    keep_dims: bool
    count: int  # elements that are added up
    input_zero_point: int
    output_zero_point: int
    multiplier: int
    shift: int

    @property
    def loops(self) -> Loops:
        return loops(self.input_shape, self.axes)

    @property
    def bias(self) -> int:
        """What the sum starts with."""
        return -self.count * self.input_zero_point


def read_tflite(operator: TfliteOperator) -> Sum:
    return Sum(*read_axes(operator))


def write_tflite(params: SumInt8) -> tuple[TfliteCode, ...]:
    return write_axes("SUM", params.axes, params.keep_dims)


def infer_shapes(attrs: Sum, x: Shape) -> tuple[Shape, ...]:
    return (reduced_shape(x, attrs.axes, attrs.keep_dims),)


def run_float(attrs: Sum, x: Array) -> Array:
    return np.asarray(np.sum(x, axis=attrs.axes, keepdims=attrs.keep_dims, dtype=np.float32))


def lower(attrs: Sum, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> SumInt8:
    """Multiplier s_in / s_out in double; measured against tflite-micro (LiteRT's own kernel multiplies floats)."""
    x, y = inputs[0], outputs[0]
    count = elements(tuple(x.shape[axis] for axis in attrs.axes))
    multiplier, shift = quantize_multiplier(float(x.qparams.scale[0]) / float(y.qparams.scale[0]))
    prove_no_overflow(np.array([count * 255]), np.array([shift]))
    return SumInt8(
        input_shape=x.shape,
        output_shape=y.shape,
        axes=attrs.axes,
        keep_dims=attrs.keep_dims,
        count=count,
        input_zero_point=int(x.qparams.zero_point[0]),
        output_zero_point=int(y.qparams.zero_point[0]),
        multiplier=multiplier,
        shift=shift,
    )


def run_int(params: SumInt8, x: Array) -> Array:
    total = np.asarray(np.sum(x, axis=params.axes, keepdims=params.keep_dims, dtype=np.int64)) + params.bias
    scaled = multiply_by_quantized_multiplier(total, params.multiplier, params.shift)
    y: Array = np.clip(scaled + params.output_zero_point, -128, 127)
    return y.astype(np.int8)


def work(params: SumInt8) -> Work:
    return Work(0, 0, elements(params.input_shape) + elements(params.output_shape))


OP = Op(
    name="sum",
    summary="sum over any axes",
    builtins=("SUM",),
    attrs=Sum,
    params=SumInt8,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(reduces_no_batch, few_runs),
    quantization=FREE,
    lower=lower,
    run_int=run_int,
    work=work,
)
