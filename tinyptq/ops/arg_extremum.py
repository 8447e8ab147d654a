"""What ARG_MAX and ARG_MIN share: everything but the comparison. The first index wins where several could."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tflite

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, Graph, Node, QParams, Shape
from tinyptq.ops.base import Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.copies import first_shape, int32, positive_axis, read_numbers
from tinyptq.ops.element import INTEGERS, element, width
from tinyptq.program import Work

INT32 = np.dtype(np.int32)


@dataclass(frozen=True, eq=False)
class ArgExtremumInt:
    """y = the first i with x[i] = max x (or min x), int32; scales do not matter. TFLite Micro knows int8 only."""

    input_shape: Shape
    output_shape: Shape
    axis: int
    element: str  # of the input

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


def read_axis(operator: TfliteOperator) -> int:
    if operator.options is not None and operator.options.OutputType() != tflite.TensorType.INT32:
        raise TinyptqError("unsupported-dtype", "indices of another type than int32 (export with output_type=tf.int32)")
    axes = read_numbers(operator, 1, "axis")
    if len(axes) != 1:
        raise TinyptqError("bad-axis", f"{operator.builtin} along axes {axes}")
    return positive_axis(operator, axes[0], len(first_shape(operator)))


def infer_shapes(attrs: Any, x: Shape) -> tuple[Shape, ...]:
    return ((*x[: attrs.axis], *x[attrs.axis + 1 :]),)


def inner_axis(graph: Graph, node: Node) -> bool:
    """The axis is not the batch."""
    return bool(0 < node.attrs.axis < len(graph.tensors[node.inputs[0]].shape))


def lower(attrs: Any, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> ArgExtremumInt:
    return ArgExtremumInt(inputs[0].shape, outputs[0].shape, attrs.axis, element(inputs[0]))


def work(params: ArgExtremumInt) -> Work:
    read = width(params.element) * elements(params.input_shape)
    return Work(0, 0, read + INT32.itemsize * elements(params.output_shape))


def arg_extremum_op(name: str, which: str, attrs: type, pick: Callable[..., Any]) -> Op:
    """The record; attrs has one field, axis. pick: np.argmax or np.argmin. which: "largest"."""
    options = {"arg_max": "ArgMaxOptions", "arg_min": "ArgMinOptions"}[name]

    def write_tflite(params: ArgExtremumInt) -> tuple[TfliteCode, ...]:
        fields = {"OutputType": tflite.TensorType.INT32}
        return (TfliteCode(name.upper(), options, fields, operands=(int32([params.axis]),), version=2),)

    def run_float(attrs: Any, x: Array) -> Array:
        """Indices as float32, as every float tensor."""
        return np.asarray(pick(x, axis=attrs.axis), np.float32)

    def run_int(params: ArgExtremumInt, x: Array) -> Array:
        return np.asarray(pick(x, axis=params.axis), np.int32)

    return Op(
        name=name,
        summary=f"where the {which} element along an axis lies, int32",
        builtins=(name.upper(),),
        attrs=attrs,
        params=ArgExtremumInt,
        operands=1,
        read_tflite=lambda operator: attrs(read_axis(operator)),
        write_tflite=write_tflite,
        infer_shapes=infer_shapes,
        run_float=run_float,
        constraints=(inner_axis,),
        quantization=QParams.per_tensor(1.0),
        dtypes=INTEGERS,
        output_dtype=INT32,
        lower=lower,
        run_int=run_int,
        work=work,
    )
