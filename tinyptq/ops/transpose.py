"""TRANSPOSE: the same elements, axes in another order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode, TfliteOperator
from tinyptq.ops.copies import Copy, int32, moved, one_per_axis, permuted_copy
from tinyptq.ops.element import INTEGERS, element
from tinyptq.program import Work


@dataclass(frozen=True)
class Transpose:
    """Axis k of the output is axis permutation[k] of the input."""

    permutation: tuple[int, ...]


@dataclass(frozen=True)
class TransposeInt:
    """Elements of any type, moved."""

    input_shape: Shape
    output_shape: Shape
    permutation: tuple[int, ...]
    element: str

    @property
    def copy(self) -> Copy:
        return permuted_copy(self.input_shape, self.permutation)


def read_tflite(operator: TfliteOperator) -> Transpose:
    """The permutation is the constant second operand."""
    wanted = one_per_axis(operator, 1, "permutation")
    rank = len(wanted)
    if sorted(axis % rank for axis in wanted) != list(range(rank)) or not all(-rank <= axis < rank for axis in wanted):
        raise TinyptqError("bad-axis", f"{operator.builtin} of {rank} dimensions by {wanted}")
    return Transpose(tuple(axis % rank for axis in wanted))


def write_tflite(params: TransposeInt) -> tuple[TfliteCode, ...]:
    return (TfliteCode("TRANSPOSE", "TransposeOptions", operands=(int32(params.permutation),), version=2),)


def infer_shapes(attrs: Transpose, x: Shape) -> tuple[Shape, ...]:
    return (tuple(x[axis] for axis in attrs.permutation),)


def run_float(attrs: Transpose, x: Array) -> Array:
    return np.ascontiguousarray(x.transpose(attrs.permutation))


def keeps_batch(graph: Graph, node: Node) -> bool:
    """The batch stays the first axis."""
    return bool(node.attrs.permutation[0] == 0)


def lower(attrs: Transpose, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> TransposeInt:
    return TransposeInt(inputs[0].shape, outputs[0].shape, attrs.permutation, element(inputs[0]))


def run_int(params: TransposeInt, x: Array) -> Array:
    return np.ascontiguousarray(x.transpose(params.permutation))


def work(params: TransposeInt) -> Work:
    return moved(params.output_shape, params.element)


OP = Op(
    name="transpose",
    summary="axes in another order",
    builtins=("TRANSPOSE",),
    attrs=Transpose,
    params=TransposeInt,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(keeps_batch,),
    quantization=SAME,
    dtypes=INTEGERS,
    lower=lower,
    run_int=run_int,
    work=work,
)
