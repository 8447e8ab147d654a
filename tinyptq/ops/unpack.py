"""UNPACK: a tensor taken apart along an axis, which vanishes."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode, TfliteOperator
from tinyptq.ops.copies import Copy, first_shape, moved, positive_axis, strided_copy
from tinyptq.ops.element import INTEGERS, element
from tinyptq.program import Work


@dataclass(frozen=True)
class Unpack:
    """axis: of the input, counted from the front."""

    axis: int


@dataclass(frozen=True)
class UnpackInt:
    """Elements of any type, moved."""

    input_shape: Shape
    axis: int
    element: str

    @property
    def copies(self) -> tuple[Copy, ...]:
        """One per output."""
        outer, inner, count = prod(self.input_shape[: self.axis]), prod(self.input_shape[self.axis + 1 :]), self.count
        steps = (count * inner, 1), (inner, 1)
        return tuple(strided_copy((outer, inner), *steps, source=i * inner) for i in range(count))

    @property
    def count(self) -> int:
        return self.input_shape[self.axis]


def read_tflite(operator: TfliteOperator) -> Unpack:
    """As many outputs as the axis is long."""
    shape, parts = first_shape(operator), len(operator.outputs)
    axis = positive_axis(operator, operator.options.Axis() if operator.options is not None else 0, len(shape))
    if shape[axis] != parts:
        raise TinyptqError("bad-axis", f"{operator.builtin} of {list(shape)} along axis {axis} into {parts}")
    return Unpack(axis)


def write_tflite(params: UnpackInt) -> tuple[TfliteCode, ...]:
    return (TfliteCode("UNPACK", "UnpackOptions", {"Num": params.count, "Axis": params.axis}, version=2),)


def infer_shapes(attrs: Unpack, x: Shape) -> tuple[Shape, ...]:
    return ((*x[: attrs.axis], *x[attrs.axis + 1 :]),) * x[attrs.axis]


def run_float(attrs: Unpack, x: Array) -> tuple[Array, ...]:
    return tuple(np.ascontiguousarray(part) for part in np.moveaxis(x, attrs.axis, 0))


def inner_axis(graph: Graph, node: Node) -> bool:
    """The axis is not the batch."""
    return bool(node.attrs.axis > 0)


def lower(attrs: Unpack, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> UnpackInt:
    return UnpackInt(inputs[0].shape, attrs.axis, element(inputs[0]))


def run_int(params: UnpackInt, x: Array) -> tuple[Array, ...]:
    return tuple(np.ascontiguousarray(part) for part in np.moveaxis(x, params.axis, 0))


def work(params: UnpackInt) -> Work:
    return moved(params.input_shape, params.element)


OP = Op(
    name="unpack",
    summary="a tensor taken apart along an axis",
    builtins=("UNPACK",),
    attrs=Unpack,
    params=UnpackInt,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(inner_axis,),
    quantization=SAME,
    dtypes=INTEGERS,
    lower=lower,
    run_int=run_int,
    work=work,
)
