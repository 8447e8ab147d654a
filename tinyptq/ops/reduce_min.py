"""REDUCE_MIN over any axes but the batch."""

from __future__ import annotations

from dataclasses import dataclass

from tinyptq.graph import Array, Shape
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.reduce import Loops, few_runs, loops, read_axes, reduced_shape, reduces_no_batch, write_axes
from tinyptq.program import Work


@dataclass(frozen=True)
class ReduceMin:
    """axes: ascending, counted from the front, never 0."""

    axes: tuple[int, ...]
    keep_dims: bool = False


@dataclass(frozen=True, eq=False)
class ReduceMinInt8:
    """y = min x: input and output share their quantization."""

    input_shape: Shape
    output_shape: Shape
    axes: tuple[int, ...]
    keep_dims: bool

    @property
    def loops(self) -> Loops:
        return loops(self.input_shape, self.axes)


def read_tflite(operator: TfliteOperator) -> ReduceMin:
    return ReduceMin(*read_axes(operator))


def write_tflite(params: ReduceMinInt8) -> tuple[TfliteCode, ...]:
    return write_axes("REDUCE_MIN", params.axes, params.keep_dims)


def infer_shapes(attrs: ReduceMin, x: Shape) -> tuple[Shape, ...]:
    return (reduced_shape(x, attrs.axes, attrs.keep_dims),)


def run_float(attrs: ReduceMin, x: Array) -> Array:
    y: Array = x.min(axis=attrs.axes, keepdims=attrs.keep_dims)
    return y


def lower(attrs: ReduceMin, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> ReduceMinInt8:
    return ReduceMinInt8(inputs[0].shape, outputs[0].shape, attrs.axes, attrs.keep_dims)


def run_int(params: ReduceMinInt8, x: Array) -> Array:
    y: Array = x.min(axis=params.axes, keepdims=params.keep_dims)
    return y


def work(params: ReduceMinInt8) -> Work:
    return Work(0, 0, elements(params.input_shape) + elements(params.output_shape))


OP = Op(
    name="reduce_min",
    summary="minimum over any axes",
    builtins=("REDUCE_MIN",),
    attrs=ReduceMin,
    params=ReduceMinInt8,
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
