"""GATHER: slices along an axis, picked by constant indices. TFLite Micro moves int8; wider elements move likewise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.copies import first_shape, moved, positive_axis, read_numbers
from tinyptq.ops.element import INTEGERS, element
from tinyptq.program import Work


@dataclass(frozen=True)
class Gather:
    """axis: counted from the front, never 0. indices: row-major, indices_shape takes the place of the axis."""

    axis: int
    indices: tuple[int, ...]
    indices_shape: Shape


@dataclass(frozen=True, eq=False)
class GatherInt:
    """Elements of any type, moved: output block i of every outer block is input block indices[i]."""

    input_shape: Shape
    output_shape: Shape
    axis: int
    indices: Array  # int32, of any shape
    element: str

    @property
    def outer(self) -> int:
        """How often the axis is walked."""
        return elements(self.input_shape[: self.axis])

    @property
    def block(self) -> int:
        """Elements of the input in one walk."""
        return elements(self.input_shape[self.axis :])

    @property
    def inner(self) -> int:
        """Elements that move together."""
        return elements(self.input_shape[self.axis + 1 :])

    @property
    def count(self) -> int:
        return int(self.indices.size)


def read_tflite(operator: TfliteOperator) -> Gather:
    """The indices are a constant operand; they count from the front and lie within the axis, as TFLite demands."""
    options, shape = operator.options, first_shape(operator)
    if options is not None and options.BatchDims() != 0:
        raise TinyptqError("unsupported-gather", f"GATHER with batch_dims {options.BatchDims()}")
    axis = positive_axis(operator, options.Axis() if options is not None else 0, len(shape))
    indices = read_numbers(operator, 1, "indices")
    if not all(0 <= index < shape[axis] for index in indices):
        raise TinyptqError("bad-index", f"GATHER of an index that is not in [0, {shape[axis]})")
    operand = operator.inputs[1]
    assert operand is not None
    return Gather(axis, tuple(indices), operand.shape)


def write_tflite(params: GatherInt) -> tuple[TfliteCode, ...]:
    fields = {"Axis": params.axis, "BatchDims": 0}
    return (TfliteCode("GATHER", "GatherOptions", fields, operands=(params.indices,), version=2),)


def infer_shapes(attrs: Gather, x: Shape) -> tuple[Shape, ...]:
    return ((*x[: attrs.axis], *attrs.indices_shape, *x[attrs.axis + 1 :]),)


def index_array(attrs: Gather) -> Array:
    return np.array(attrs.indices, np.int32).reshape(attrs.indices_shape)


def run_float(attrs: Gather, x: Array) -> Array:
    return np.take(x, index_array(attrs), axis=attrs.axis)


def keeps_batch(graph: Graph, node: Node) -> bool:
    """The axis is not the batch."""
    return bool(0 < node.attrs.axis < len(graph.tensors[node.inputs[0]].shape))


def picks_something(graph: Graph, node: Node) -> bool:
    """There is at least one index."""
    return bool(node.attrs.indices)


def lower(attrs: Gather, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> GatherInt:
    return GatherInt(inputs[0].shape, outputs[0].shape, attrs.axis, index_array(attrs), element(inputs[0]))


def run_int(params: GatherInt, x: Array) -> Array:
    return np.take(x, params.indices, axis=params.axis)


def work(params: GatherInt) -> Work:
    copied = moved(params.output_shape, params.element)
    return Work(0, params.indices.nbytes, copied.activation_bytes)


OP = Op(
    name="gather",
    summary="slices along an axis, picked by constant indices",
    builtins=("GATHER",),
    attrs=Gather,
    params=GatherInt,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(keeps_batch, picks_something),
    quantization=SAME,
    dtypes=INTEGERS,
    lower=lower,
    run_int=run_int,
    constants=lambda params: {"indices": params.indices},
    work=work,
)
