"""PACK: tensors of one shape stacked along a new axis."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode, TfliteOperator
from tinyptq.ops.concatenation import of_one_batch
from tinyptq.ops.copies import Copy, first_shape, moved, positive_axis, strided_copy
from tinyptq.ops.element import INTEGERS, element
from tinyptq.program import Work


@dataclass(frozen=True)
class Pack:
    """axis: of the output, counted from the front."""

    axis: int


@dataclass(frozen=True)
class PackInt:
    """Elements of any type, moved."""

    input_shape: Shape
    output_shape: Shape
    axis: int
    element: str

    @property
    def copies(self) -> tuple[Copy, ...]:
        """One per input."""
        outer, inner, count = prod(self.input_shape[: self.axis]), prod(self.input_shape[self.axis :]), self.count
        steps = (inner, 1), (count * inner, 1)
        return tuple(strided_copy((outer, inner), *steps, target=i * inner) for i in range(count))

    @property
    def count(self) -> int:
        return self.output_shape[self.axis]


def read_tflite(operator: TfliteOperator) -> Pack:
    axis = operator.options.Axis() if operator.options is not None else 0
    return Pack(positive_axis(operator, axis, len(first_shape(operator)) + 1))


def write_tflite(params: PackInt) -> tuple[TfliteCode, ...]:
    return (TfliteCode("PACK", "PackOptions", {"ValuesCount": params.count, "Axis": params.axis}, version=2),)


def infer_shapes(attrs: Pack, *shapes: Shape) -> tuple[Shape, ...]:
    return ((*shapes[0][: attrs.axis], len(shapes), *shapes[0][attrs.axis :]),)


def run_float(attrs: Pack, *arrays: Array) -> Array:
    return np.stack(of_one_batch(arrays), attrs.axis)


def inner_axis(graph: Graph, node: Node) -> bool:
    """The new axis is not the batch."""
    return bool(node.attrs.axis > 0)


def equal_shapes(graph: Graph, node: Node) -> bool:
    """All inputs have one shape."""
    return len({graph.tensors[name].shape for name in node.inputs}) == 1


def lower(attrs: Pack, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> PackInt:
    return PackInt(inputs[0].shape, outputs[0].shape, attrs.axis, element(outputs[0]))


def run_int(params: PackInt, *arrays: Array) -> Array:
    return np.stack(of_one_batch(arrays), params.axis)


def work(params: PackInt) -> Work:
    return moved(params.output_shape, params.element)


OP = Op(
    name="pack",
    summary="tensors stacked along a new axis",
    builtins=("PACK",),
    attrs=Pack,
    params=PackInt,
    operands=None,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(inner_axis, equal_shapes),
    quantization=SAME,
    dtypes=INTEGERS,
    lower=lower,
    run_int=run_int,
    work=work,
)
