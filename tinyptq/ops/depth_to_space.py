"""DEPTH_TO_SPACE: channels become blocks of pixels, row by row within a block."""

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
class DepthToSpace:
    """block: height and width."""

    block: int


@dataclass(frozen=True)
class DepthToSpaceInt:
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
    return (1, h, w, b, b, c // b**2)


def read_tflite(operator: TfliteOperator) -> DepthToSpace:
    block = operator.options.BlockSize() if operator.options is not None else 0
    if not 1 <= block <= MAX_BLOCK or len(first_shape(operator)) != 4:
        raise TinyptqError("bad-block", f"{operator.builtin} of {list(first_shape(operator))} in blocks of {block}")
    return DepthToSpace(block)


def write_tflite(params: DepthToSpaceInt) -> tuple[TfliteCode, ...]:
    return (TfliteCode("DEPTH_TO_SPACE", "DepthToSpaceOptions", {"BlockSize": params.block}, version=2),)


def infer_shapes(attrs: DepthToSpace, x: Shape) -> tuple[Shape, ...]:
    return ((x[0], x[1] * attrs.block, x[2] * attrs.block, x[3] // attrs.block**2),)


def rearranged(x: Array, block: int, shape: Shape) -> Array:
    """x [n, h, w, c] as [n, *shape[1:]]."""
    apart = x.reshape(len(x), *blocks(x.shape, block)[1:])
    return apart.transpose(PERMUTATION).reshape(len(x), *shape[1:])


def run_float(attrs: DepthToSpace, x: Array) -> Array:
    return rearranged(x, attrs.block, infer_shapes(attrs, x.shape)[0])


def whole_blocks(graph: Graph, node: Node) -> bool:
    """The input is an image whose channels are a multiple of the block's pixels."""
    shape, block = graph.tensors[node.inputs[0]].shape, node.attrs.block
    return len(shape) == 4 and block >= 1 and shape[3] % block**2 == 0


def lower(attrs: DepthToSpace, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> DepthToSpaceInt:
    return DepthToSpaceInt(inputs[0].shape, outputs[0].shape, attrs.block, element(inputs[0]))


def run_int(params: DepthToSpaceInt, x: Array) -> Array:
    return rearranged(x, params.block, params.output_shape)


def work(params: DepthToSpaceInt) -> Work:
    return moved(params.output_shape, params.element)


OP = Op(
    name="depth_to_space",
    summary="channels become blocks of pixels",
    builtins=("DEPTH_TO_SPACE",),
    attrs=DepthToSpace,
    params=DepthToSpaceInt,
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
