"""SPACE_TO_DEPTH: blocks of pixels become channels, row by row within a block."""

from __future__ import annotations

from dataclasses import dataclass

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode, TfliteOperator
from tinyptq.ops.copies import Copy, first_shape, moved, permuted_copy
from tinyptq.ops.element import INTEGERS, element
from tinyptq.program import Work

MAX_BLOCK = 4096
PERMUTATION = (0, 1, 3, 2, 4, 5)  # of the axes in `blocks`


@dataclass(frozen=True)
class SpaceToDepth:
    """block: height and width."""

    block: int


@dataclass(frozen=True)
class SpaceToDepthInt:
    """Elements of any type, moved; TFLM takes int8 only."""

    input_shape: Shape
    output_shape: Shape
    block: int
    element: str

    @property
    def copy(self) -> Copy:
        return permuted_copy(blocks(self.input_shape, self.block), PERMUTATION)


def blocks(shape: Shape, b: int) -> Shape:
    """shape with the block's two axes of their own."""
    _, h, w, c = shape
    return (1, h // b, b, w // b, b, c)


def read_tflite(operator: TfliteOperator) -> SpaceToDepth:
    block = operator.options.BlockSize() if operator.options is not None else 0
    if not 1 <= block <= MAX_BLOCK or len(first_shape(operator)) != 4:
        raise TinyptqError("bad-block", f"{operator.builtin} of {list(first_shape(operator))} in blocks of {block}")
    return SpaceToDepth(block)


def write_tflite(params: SpaceToDepthInt) -> tuple[TfliteCode, ...]:
    return (TfliteCode("SPACE_TO_DEPTH", "SpaceToDepthOptions", {"BlockSize": params.block}, version=2),)


def infer_shapes(attrs: SpaceToDepth, x: Shape) -> tuple[Shape, ...]:
    return ((x[0], x[1] // attrs.block, x[2] // attrs.block, x[3] * attrs.block**2),)


def rearranged(x: Array, block: int, shape: Shape) -> Array:
    """x [n, h, w, c] as [n, *shape[1:]]."""
    apart = x.reshape(len(x), *blocks(x.shape, block)[1:])
    return apart.transpose(PERMUTATION).reshape(len(x), *shape[1:])


def run_float(attrs: SpaceToDepth, x: Array) -> Array:
    return rearranged(x, attrs.block, infer_shapes(attrs, x.shape)[0])


def whole_blocks(graph: Graph, node: Node) -> bool:
    """The input is an image whose height and width are multiples of the block."""
    shape, block = graph.tensors[node.inputs[0]].shape, node.attrs.block
    return len(shape) == 4 and block >= 1 and shape[1] % block == 0 == shape[2] % block


def lower(attrs: SpaceToDepth, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> SpaceToDepthInt:
    return SpaceToDepthInt(inputs[0].shape, outputs[0].shape, attrs.block, element(inputs[0]))


def run_int(params: SpaceToDepthInt, x: Array) -> Array:
    return rearranged(x, params.block, params.output_shape)


def work(params: SpaceToDepthInt) -> Work:
    return moved(params.output_shape, params.element)


OP = Op(
    name="space_to_depth",
    summary="blocks of pixels become channels",
    builtins=("SPACE_TO_DEPTH",),
    attrs=SpaceToDepth,
    params=SpaceToDepthInt,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(whole_blocks,),
    quantization=SAME,
    dtypes=INTEGERS,
    lower=lower,
    run_int=run_int,
    work=work,
)
