"""MAXIMUM: the larger of two tensors that broadcast, element by element."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array, Shape
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.broadcast import CONSTRAINTS, Loop, loop_nest
from tinyptq.program import Work


@dataclass(frozen=True)
class Maximum:
    """The float operator has no attributes."""


@dataclass(frozen=True, eq=False)
class MaximumInt8:
    """y = max(x0, x1): inputs and output share their quantization."""

    input_shapes: tuple[Shape, Shape]
    output_shape: Shape

    @property
    def loops(self) -> tuple[Loop, ...]:
        return loop_nest(*self.input_shapes)


def read_tflite(operator: TfliteOperator) -> Maximum:
    return Maximum()


def write_tflite(params: MaximumInt8) -> tuple[TfliteCode, ...]:
    return (TfliteCode("MAXIMUM", "MaximumMinimumOptions", version=2),)


def infer_shapes(attrs: Maximum, first: Shape, second: Shape) -> tuple[Shape, ...]:
    return (np.broadcast_shapes(first, second),)


def run_float(attrs: Maximum, first: Array, second: Array) -> Array:
    y: Array = np.maximum(first, second)
    return y


def lower(attrs: Maximum, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> MaximumInt8:
    """TFLite Micro compares integers as they are: imported files whose scales differ get the same bytes from it."""
    return MaximumInt8((inputs[0].shape, inputs[1].shape), outputs[0].shape)


def run_int(params: MaximumInt8, first: Array, second: Array) -> Array:
    y: Array = np.maximum(first, second)
    return y


def work(params: MaximumInt8) -> Work:
    return Work(0, 0, sum(elements(s) for s in params.input_shapes) + elements(params.output_shape))


OP = Op(
    name="maximum",
    summary="the larger of two, element by element, broadcasting, one operand may be constant",
    builtins=("MAXIMUM",),
    attrs=Maximum,
    params=MaximumInt8,
    operands=2,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=CONSTRAINTS,
    quantization=SAME,
    lower=lower,
    run_int=run_int,
    work=work,
)
