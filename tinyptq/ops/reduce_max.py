"""REDUCE_MAX over any axes but the batch (global max pooling is REDUCE_MAX over height and width)."""

from __future__ import annotations

from dataclasses import dataclass

from tinyptq.graph import Array, Shape
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.reduce import Loops, few_runs, loops, read_axes, reduced_shape, reduces_no_batch, write_axes
from tinyptq.program import Work


@dataclass(frozen=True)
class ReduceMax:
    """axes: ascending, counted from the front, never 0."""

    axes: tuple[int, ...]
    keep_dims: bool = False


@dataclass(frozen=True, eq=False)
class ReduceMaxInt8:
    """y = max x: input and output share their quantization."""

    input_shape: Shape
    output_shape: Shape
    axes: tuple[int, ...]
    keep_dims: bool

    @property
    def loops(self) -> Loops:
        return loops(self.input_shape, self.axes)


def read_tflite(operator: TfliteOperator) -> ReduceMax:
    return ReduceMax(*read_axes(operator))


def write_tflite(params: ReduceMaxInt8) -> tuple[TfliteCode, ...]:
    return write_axes("REDUCE_MAX", params.axes, params.keep_dims)


def infer_shapes(attrs: ReduceMax, x: Shape) -> tuple[Shape, ...]:
    return (reduced_shape(x, attrs.axes, attrs.keep_dims),)


def run_float(attrs: ReduceMax, x: Array) -> Array:
    y: Array = x.max(axis=attrs.axes, keepdims=attrs.keep_dims)
    return y


def lower(attrs: ReduceMax, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> ReduceMaxInt8:
    return ReduceMaxInt8(inputs[0].shape, outputs[0].shape, attrs.axes, attrs.keep_dims)


def run_int(params: ReduceMaxInt8, x: Array) -> Array:
    y: Array = x.max(axis=params.axes, keepdims=params.keep_dims)
    return y


def work(params: ReduceMaxInt8) -> Work:
    return Work(0, 0, elements(params.input_shape) + elements(params.output_shape))


OP = Op(
    name="reduce_max",
    summary="maximum over any axes, global max pooling among them",
    builtins=("REDUCE_MAX",),
    attrs=ReduceMax,
    params=ReduceMaxInt8,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(reduces_no_batch, few_runs),
    quantization=SAME,
    lower=lower,
    run_int=run_int,
    work=work,
)
