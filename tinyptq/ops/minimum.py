"""MINIMUM: the smaller of two tensors that broadcast, element by element."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array, Shape
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.broadcast import CONSTRAINTS, Loop, loop_nest
from tinyptq.program import Work


@dataclass(frozen=True)
class Minimum:
    """The float operator has no attributes."""


@dataclass(frozen=True, eq=False)
class MinimumInt8:
    """y = min(x0, x1): inputs and output share their quantization."""

    input_shapes: tuple[Shape, Shape]
    output_shape: Shape

    @property
    def loops(self) -> tuple[Loop, ...]:
        return loop_nest(*self.input_shapes)


def read_tflite(operator: TfliteOperator) -> Minimum:
    return Minimum()


def write_tflite(params: MinimumInt8) -> tuple[TfliteCode, ...]:
    return (TfliteCode("MINIMUM", "MaximumMinimumOptions", version=2),)


def infer_shapes(attrs: Minimum, first: Shape, second: Shape) -> tuple[Shape, ...]:
    return (np.broadcast_shapes(first, second),)


def run_float(attrs: Minimum, first: Array, second: Array) -> Array:
    y: Array = np.minimum(first, second)
    return y


def lower(attrs: Minimum, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> MinimumInt8:
    """TFLite Micro compares integers as they are: imported files whose scales differ get the same bytes from it."""
    return MinimumInt8((inputs[0].shape, inputs[1].shape), outputs[0].shape)


def run_int(params: MinimumInt8, first: Array, second: Array) -> Array:
    y: Array = np.minimum(first, second)
    return y


def work(params: MinimumInt8) -> Work:
    return Work(0, 0, sum(elements(s) for s in params.input_shapes) + elements(params.output_shape))


OP = Op(
    name="minimum",
    summary="the smaller of two, element by element, broadcasting, one operand may be constant",
    builtins=("MINIMUM",),
    attrs=Minimum,
    params=MinimumInt8,
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
