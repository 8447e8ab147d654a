"""ARG_MAX: where the largest element along an axis lies; the first one where several are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tflite

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, Graph, Node, QParams, Shape
from tinyptq.ops.base import Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.copies import first_shape, int32, positive_axis, read_numbers
from tinyptq.program import Work

INT32 = np.dtype(np.int32)


@dataclass(frozen=True)
class ArgMax:
    """axis: counted from the front, never 0."""

    axis: int


@dataclass(frozen=True, eq=False)
class ArgMaxInt8:
    """y = the first i with x[i] = max x, int32; scales do not matter."""

    input_shape: Shape
    output_shape: Shape
    axis: int

    @property
    def outer(self) -> int:
        """Blocks before the axis."""
        return elements(self.input_shape[: self.axis])

    @property
    def count(self) -> int:
        return self.input_shape[self.axis]

    @property
    def block(self) -> int:
        """Elements from one block to the next."""
        return elements(self.input_shape[self.axis :])

    @property
    def inner(self) -> int:
        """Elements from one index of the axis to the next."""
        return elements(self.input_shape[self.axis + 1 :])


def read_tflite(operator: TfliteOperator) -> ArgMax:
    if operator.options is not None and operator.options.OutputType() != tflite.TensorType.INT32:
        raise TinyptqError("unsupported-dtype", "indices of another type than int32 (export with output_type=tf.int32)")
    axes = read_numbers(operator, 1, "axis")
    if len(axes) != 1:
        raise TinyptqError("bad-axis", f"{operator.builtin} along axes {axes}")
    return ArgMax(positive_axis(operator, axes[0], len(first_shape(operator))))


def write_tflite(params: ArgMaxInt8) -> tuple[TfliteCode, ...]:
    fields = {"OutputType": tflite.TensorType.INT32}
    return (TfliteCode("ARG_MAX", "ArgMaxOptions", fields, operands=(int32([params.axis]),), version=2),)


def infer_shapes(attrs: ArgMax, x: Shape) -> tuple[Shape, ...]:
    return ((*x[: attrs.axis], *x[attrs.axis + 1 :]),)


def run_float(attrs: ArgMax, x: Array) -> Array:
    """Indices as float32, as every float tensor."""
    return np.asarray(np.argmax(x, axis=attrs.axis), np.float32)


def inner_axis(graph: Graph, node: Node) -> bool:
    """The axis is not the batch."""
    return bool(0 < node.attrs.axis < len(graph.tensors[node.inputs[0]].shape))


def lower(attrs: ArgMax, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> ArgMaxInt8:
    return ArgMaxInt8(inputs[0].shape, outputs[0].shape, attrs.axis)


def run_int(params: ArgMaxInt8, x: Array) -> Array:
    return np.asarray(np.argmax(x, axis=params.axis), np.int32)


def work(params: ArgMaxInt8) -> Work:
    return Work(0, 0, elements(params.input_shape) + INT32.itemsize * elements(params.output_shape))


OP = Op(
    name="arg_max",
    summary="where the largest element along an axis lies, int32",
    builtins=("ARG_MAX",),
    attrs=ArgMax,
    params=ArgMaxInt8,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(inner_axis,),
    quantization=QParams.per_tensor(1.0),
    output_dtype=INT32,
    lower=lower,
    run_int=run_int,
    work=work,
)
