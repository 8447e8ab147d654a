"""RESHAPE, SQUEEZE, EXPAND_DIMS: the same elements in the same order under another shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode, TfliteOperator, elements, in_place
from tinyptq.ops.element import INTEGERS, one_element, touched, width
from tinyptq.program import Work


@dataclass(frozen=True)
class Reshape:
    """shape: the output's, batch 1 first."""

    shape: Shape


@dataclass(frozen=True)
class ReshapeInt:
    """The elements do not move; only their shape is new."""

    shape: Shape
    element: str

    @property
    def size_bytes(self) -> int:
        return width(self.element) * elements(self.shape)


def read_tflite(operator: TfliteOperator) -> Reshape:
    """The file's output shape is the resolved one: no −1, no axis operand."""
    return Reshape(operator.outputs[0].shape)


def write_tflite(params: ReshapeInt) -> tuple[TfliteCode, ...]:
    return (TfliteCode("RESHAPE", operands=(np.array(params.shape, np.int32),)),)


def infer_shapes(attrs: Reshape, x: Shape) -> tuple[Shape, ...]:
    return (attrs.shape,)


def run_float(attrs: Reshape, x: Array) -> Array:
    return x.reshape(len(x), *attrs.shape[1:])


def same_size(graph: Graph, node: Node) -> bool:
    """Input and output hold equally many elements, and the batch stays the first axis."""
    shape = graph.tensors[node.inputs[0]].shape
    new: Shape = node.attrs.shape
    return len(new) > 0 and min(new) >= 0 and elements(shape) == elements(new) and shape[:1] == new[:1]


def lower(attrs: Reshape, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> ReshapeInt:
    return ReshapeInt(attrs.shape, one_element(*inputs, *outputs))


def run_int(params: ReshapeInt, x: Array) -> Array:
    return x.reshape(len(x), *params.shape[1:])


def work(params: ReshapeInt) -> Work:
    return touched(params.element, params.shape, params.shape)


OP = Op(
    name="reshape",
    summary="new shape, same elements",
    builtins=("RESHAPE", "SQUEEZE", "EXPAND_DIMS"),
    attrs=Reshape,
    params=ReshapeInt,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(same_size,),
    quantization=SAME,
    dtypes=INTEGERS,
    lower=lower,
    run_int=run_int,
    leads=in_place,
    work=work,
)
