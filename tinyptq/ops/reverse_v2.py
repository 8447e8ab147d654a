"""REVERSE_V2: axes read backwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode, TfliteOperator
from tinyptq.ops.copies import Copy, box_copy, first_shape, int32, moved, positive_axis, read_numbers
from tinyptq.ops.element import INTEGERS, element
from tinyptq.program import Work


@dataclass(frozen=True)
class ReverseV2:
    """axes: sorted, counted from the front."""

    axes: tuple[int, ...]


@dataclass(frozen=True)
class ReverseV2Int:
    """Elements of any type, moved."""

    shape: Shape
    axes: tuple[int, ...]
    element: str

    @property
    def copy(self) -> Copy:
        sizes = list(enumerate(self.shape))
        begin = tuple(size - 1 if axis in self.axes else 0 for axis, size in sizes)
        return box_copy(self.shape, begin, tuple(-1 if axis in self.axes else 1 for axis, _ in sizes), self.shape)


def read_tflite(operator: TfliteOperator) -> ReverseV2:
    rank = len(first_shape(operator))
    return ReverseV2(tuple(sorted({positive_axis(operator, a, rank) for a in read_numbers(operator, 1, "axes")})))


def write_tflite(params: ReverseV2Int) -> tuple[TfliteCode, ...]:
    return (TfliteCode("REVERSE_V2", "ReverseV2Options", operands=(int32(params.axes),), version=3),)


def infer_shapes(attrs: ReverseV2, x: Shape) -> tuple[Shape, ...]:
    return (x,)


def run_float(attrs: ReverseV2, x: Array) -> Array:
    return np.ascontiguousarray(np.flip(x, attrs.axes))


def inner_axes(graph: Graph, node: Node) -> bool:
    """At least one axis is reversed, and never the batch."""
    return bool(node.attrs.axes) and min(node.attrs.axes) > 0


def lower(attrs: ReverseV2, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> ReverseV2Int:
    return ReverseV2Int(inputs[0].shape, attrs.axes, element(inputs[0]))


def run_int(params: ReverseV2Int, x: Array) -> Array:
    return np.ascontiguousarray(np.flip(x, params.axes))


def work(params: ReverseV2Int) -> Work:
    return moved(params.shape, params.element)


OP = Op(
    name="reverse_v2",
    summary="axes read backwards",
    builtins=("REVERSE_V2",),
    attrs=ReverseV2,
    params=ReverseV2Int,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(inner_axes,),
    quantization=SAME,
    dtypes=INTEGERS,
    lower=lower,
    run_int=run_int,
    work=work,
)
