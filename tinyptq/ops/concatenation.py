"""CONCATENATION: tensors one after the other along an axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops.activation import NONE, TFLITE_CODES, Clamp
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.element import INTEGERS, one_element, touched, width
from tinyptq.program import Work


@dataclass(frozen=True)
class Concatenation:
    """axis: not negative, not the batch."""

    axis: int
    activation: Clamp = NONE


@dataclass(frozen=True)
class Block:
    """Consecutive elements of one input, and where they go within an output block."""

    size: int
    offset: int
    size_bytes: int


@dataclass(frozen=True)
class ConcatenationInt:
    """Elements are copied: all inputs share the output's scale and zero point."""

    input_shapes: tuple[Shape, ...]
    output_shape: Shape
    axis: int
    element: str

    @property
    def repeats(self) -> int:
        """How often a block of each input follows the others."""
        return elements(self.output_shape[: self.axis])

    @property
    def block(self) -> int:
        """Elements of one output block."""
        return elements(self.output_shape[self.axis :])

    @property
    def blocks(self) -> tuple[Block, ...]:
        """One per input."""
        sizes = [elements(shape[self.axis :]) for shape in self.input_shapes]
        return tuple(Block(size, sum(sizes[:i]), size * width(self.element)) for i, size in enumerate(sizes))


def read_tflite(operator: TfliteOperator) -> Concatenation:
    options, rank = operator.options, len(operator.outputs[0].shape)
    axis = options.Axis() if options else 0
    return Concatenation(
        axis + rank if axis < 0 else axis, TFLITE_CODES[options.FusedActivationFunction()] if options else NONE
    )


def write_tflite(params: ConcatenationInt) -> tuple[TfliteCode, ...]:
    fields = {"Axis": params.axis, "FusedActivationFunction": 0}
    return (TfliteCode("CONCATENATION", "ConcatenationOptions", fields, version=2),)


def infer_shapes(attrs: Concatenation, *shapes: Shape) -> tuple[Shape, ...]:
    first, axis = shapes[0], attrs.axis
    return ((*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :]),)


def run_float(attrs: Concatenation, *arrays: Array) -> Array:
    return attrs.activation.apply(np.concatenate(of_one_batch(arrays), axis=attrs.axis))


def of_one_batch(arrays: tuple[Array, ...]) -> list[Array]:
    """Constants carry batch 1: repeat them for every sample."""
    count = max(len(array) for array in arrays)
    return [np.broadcast_to(array, (count, *array.shape[1:])) for array in arrays]


def inner_axis(graph: Graph, node: Node) -> bool:
    """The axis exists and is not the batch."""
    return bool(0 < node.attrs.axis < len(graph.tensors[node.inputs[0]].shape))


def equal_sides(graph: Graph, node: Node) -> bool:
    """All inputs have the same shape but for the axis they are joined along."""
    axis = node.attrs.axis
    shapes = [graph.tensors[name].shape for name in node.inputs]
    return len({(*shape[:axis], -1, *shape[axis + 1 :]) for shape in shapes}) == 1


def no_activation(graph: Graph, node: Node) -> bool:
    """No activation is fused into the concatenation (let it be an operator of its own)."""
    return bool(node.attrs.activation == NONE)


def lower(attrs: Concatenation, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> ConcatenationInt:
    """Elements are joined as they are: whoever builds the graph sees to it that all have the output's scale."""
    shapes = tuple(operand.shape for operand in inputs)
    return ConcatenationInt(shapes, outputs[0].shape, attrs.axis, one_element(*inputs, *outputs))


def run_int(params: ConcatenationInt, *arrays: Array) -> Array:
    return np.concatenate(of_one_batch(arrays), axis=params.axis)


def work(params: ConcatenationInt) -> Work:
    return touched(params.element, params.output_shape, params.output_shape)


OP = Op(
    name="concatenation",
    summary="tensors joined along an axis",
    builtins=("CONCATENATION",),
    attrs=Concatenation,
    params=ConcatenationInt,
    operands=None,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(inner_axis, equal_sides, no_activation),
    quantization=SAME,
    dtypes=INTEGERS,
    lower=lower,
    run_int=run_int,
    work=work,
)
