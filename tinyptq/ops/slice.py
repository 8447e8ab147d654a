"""SLICE: a box cut out of a tensor."""

from __future__ import annotations

from dataclasses import dataclass

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode, TfliteOperator
from tinyptq.ops.copies import Copy, box_copy, first_shape, int32, moved, one_per_axis, take_box
from tinyptq.ops.element import INTEGERS, element
from tinyptq.program import Work


@dataclass(frozen=True)
class Slice:
    """First index and number of indices kept, per axis, the batch included; size is resolved (no −1)."""

    begin: tuple[int, ...]
    size: tuple[int, ...]


@dataclass(frozen=True)
class SliceInt:
    """Elements of any type, moved."""

    input_shape: Shape
    output_shape: Shape
    begin: tuple[int, ...]
    element: str

    @property
    def copy(self) -> Copy:
        return box_copy(self.input_shape, self.begin, ones(self.begin), self.output_shape)


def ones(axes: tuple[int, ...]) -> tuple[int, ...]:
    return (1,) * len(axes)


def read_tflite(operator: TfliteOperator) -> Slice:
    """begin and size are constant operands; a size of −1 means all that is left."""
    shape = first_shape(operator)
    begin, size = one_per_axis(operator, 1, "begin"), one_per_axis(operator, 2, "size")
    size = [whole - b if s == -1 else s for whole, b, s in zip(shape, begin, size, strict=True)]
    if not all(b >= 0 and s >= 1 and b + s <= whole for whole, b, s in zip(shape, begin, size, strict=True)):
        raise TinyptqError("bad-slice", f"{operator.builtin} of {list(shape)} from {begin}, size {size}")
    return Slice(tuple(begin), tuple(size))


def write_tflite(params: SliceInt) -> tuple[TfliteCode, ...]:
    return (TfliteCode("SLICE", "SliceOptions", operands=(int32(params.begin), int32(params.output_shape)), version=2),)


def infer_shapes(attrs: Slice, x: Shape) -> tuple[Shape, ...]:
    return (attrs.size,)


def run_float(attrs: Slice, x: Array) -> Array:
    return take_box(x, attrs.begin, ones(attrs.begin), attrs.size)


def keeps_batch(graph: Graph, node: Node) -> bool:
    """The batch is not sliced."""
    shape = graph.tensors[node.inputs[0]].shape
    return bool(node.attrs.begin[0] == 0 and node.attrs.size[0] == shape[0] == 1)


def lower(attrs: Slice, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> SliceInt:
    return SliceInt(inputs[0].shape, outputs[0].shape, attrs.begin, element(inputs[0]))


def run_int(params: SliceInt, x: Array) -> Array:
    return take_box(x, params.begin, ones(params.begin), params.output_shape)


def work(params: SliceInt) -> Work:
    return moved(params.output_shape, params.element)


OP = Op(
    name="slice",
    summary="a box cut out of a tensor",
    builtins=("SLICE",),
    attrs=Slice,
    params=SliceInt,
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
