"""SPLIT: a tensor cut into equal parts along an axis."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from math import prod

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode, TfliteOperator
from tinyptq.ops.copies import Copy, first_shape, int32, moved, positive_axis, read_numbers, strided_copy
from tinyptq.ops.element import INTEGERS, element
from tinyptq.program import Work


@dataclass(frozen=True)
class Split:
    """axis: counted from the front. sizes: of the parts along it."""

    axis: int
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class SplitInt:
    """Elements of any type, moved."""

    input_shape: Shape
    axis: int
    sizes: tuple[int, ...]
    element: str

    @property
    def copies(self) -> tuple[Copy, ...]:
        """One per output."""
        outer, inner = prod(self.input_shape[: self.axis]), prod(self.input_shape[self.axis + 1 :])
        block = prod(self.input_shape[self.axis :])
        starts = accumulate((0, *self.sizes[:-1]))
        return tuple(
            strided_copy((outer, size * inner), (block, 1), (size * inner, 1), source=start * inner)
            for size, start in zip(self.sizes, starts, strict=True)
        )


def read_axis(operator: TfliteOperator, position: int, shape: Shape) -> int:
    numbers = read_numbers(operator, position, "axis")
    if len(numbers) != 1:
        raise TinyptqError("bad-axis", f"{operator.builtin} along {numbers}")
    return positive_axis(operator, numbers[0], len(shape))


def read_tflite(operator: TfliteOperator) -> Split:
    """The axis is the constant first operand; the number of outputs says how many parts."""
    shape, parts = first_shape(operator, 1), len(operator.outputs)
    axis = read_axis(operator, 0, shape)
    if parts < 1 or shape[axis] % parts:
        raise TinyptqError("bad-split", f"{operator.builtin} of {list(shape)} along axis {axis} into {parts}")
    return Split(axis, (shape[axis] // parts,) * parts)


def write_tflite(params: SplitInt) -> tuple[TfliteCode, ...]:
    fields = {"NumSplits": len(params.sizes)}
    return (TfliteCode("SPLIT", "SplitOptions", fields, operands=(int32([params.axis]),), version=2),)


def infer_shapes(attrs: Split, x: Shape) -> tuple[Shape, ...]:
    return tuple((*x[: attrs.axis], size, *x[attrs.axis + 1 :]) for size in attrs.sizes)


def parts_of(x: Array, axis: int, sizes: tuple[int, ...]) -> tuple[Array, ...]:
    return tuple(np.ascontiguousarray(part) for part in np.split(x, list(accumulate(sizes[:-1])), axis))


def run_float(attrs: Split, x: Array) -> tuple[Array, ...]:
    return parts_of(x, attrs.axis, attrs.sizes)


def inner_axis(graph: Graph, node: Node) -> bool:
    """The axis is not the batch."""
    return bool(node.attrs.axis > 0)


def lower(attrs: Split, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> SplitInt:
    return SplitInt(inputs[0].shape, attrs.axis, attrs.sizes, element(inputs[0]))


def run_int(params: SplitInt, x: Array) -> tuple[Array, ...]:
    return parts_of(x, params.axis, params.sizes)


def work(params: SplitInt) -> Work:
    return moved(params.input_shape, params.element)


OP = Op(
    name="split",
    summary="a tensor cut into equal parts",
    builtins=("SPLIT",),
    attrs=Split,
    params=SplitInt,
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
    operand_order=(1,),
)
