"""What MEAN and SUM share: everything but the multiplier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyptq.fixedpoint import multiply_by_quantized_multiplier
from tinyptq.graph import Array, Shape
from tinyptq.ops.base import FREE, Op, Operand, elements
from tinyptq.ops.element import SCALED, limits, scaled_element, touched
from tinyptq.ops.reduce import Loops, few_runs, loops, read_axes, reduced_shape, reduces_no_batch, write_axes
from tinyptq.ops.requantize import prove_no_overflow
from tinyptq.program import Work

LARGEST = {"int8": 255, "int16": 1 << 15}  # of |x − input_zero_point|
Multiplier = Callable[[float, int], tuple[int, int]]  # (s_in / s_out, elements added up) -> multiplier and shift


@dataclass(frozen=True, eq=False)
class ScaledSumInt:
    """y = clamp(MBQM(Σx − count · input_zero_point) + output_zero_point); MEAN's multiplier holds 1 / count."""

    input_shape: Shape
    output_shape: Shape
    axes: tuple[int, ...]
    keep_dims: bool
    element: str
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

    @property
    def bounds(self) -> tuple[int, int]:
        return limits(self.element)


def infer_shapes(attrs: Any, x: Shape) -> tuple[Shape, ...]:
    return (reduced_shape(x, attrs.axes, attrs.keep_dims),)


def run_int(params: ScaledSumInt, x: Array) -> Array:
    total = np.asarray(np.sum(x, axis=params.axes, keepdims=params.keep_dims, dtype=np.int64)) + params.bias
    scaled = multiply_by_quantized_multiplier(total, params.multiplier, params.shift)
    y: Array = np.clip(scaled + params.output_zero_point, *params.bounds)
    return y.astype(params.element)


def work(params: ScaledSumInt) -> Work:
    return touched(params.element, params.input_shape, params.output_shape)


def scaled_sum_op(name: str, summary: str, attrs: type, add_up: Callable[..., Any], multiplier: Multiplier) -> Op:
    """The record; attrs has axes and keep_dims, as the params. add_up: np.mean or np.sum."""

    def run_float(attrs: Any, x: Array) -> Array:
        return np.asarray(add_up(x, axis=attrs.axes, keepdims=attrs.keep_dims, dtype=np.float32))

    def lower(attrs: Any, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> ScaledSumInt:
        """The ratio of the scales in double; measured against tflite-micro (LiteRT's own SUM multiplies floats)."""
        (x,), (y,) = inputs, outputs
        element = scaled_element(x, y)
        count = elements(tuple(x.shape[axis] for axis in attrs.axes))
        mantissa, shift = multiplier(float(x.qparams.scale[0]) / float(y.qparams.scale[0]), count)
        prove_no_overflow(np.array([count * LARGEST[element]]), np.array([shift]))
        return ScaledSumInt(
            input_shape=x.shape,
            output_shape=y.shape,
            axes=attrs.axes,
            keep_dims=attrs.keep_dims,
            element=element,
            count=count,
            input_zero_point=int(x.qparams.zero_point[0]),
            output_zero_point=int(y.qparams.zero_point[0]),
            multiplier=mantissa,
            shift=shift,
        )

    return Op(
        name=name,
        summary=summary,
        builtins=(name.upper(),),
        attrs=attrs,
        params=ScaledSumInt,
        operands=1,
        read_tflite=lambda operator: attrs(*read_axes(operator)),
        write_tflite=lambda params: write_axes(name.upper(), params.axes, params.keep_dims),
        infer_shapes=infer_shapes,
        run_float=run_float,
        constraints=(reduces_no_batch, few_runs),
        quantization=FREE,
        dtypes=SCALED,
        lower=lower,
        run_int=run_int,
        work=work,
    )
