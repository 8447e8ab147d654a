"""BATCH_TO_SPACE_ND: samples of the batch become blocks of pixels (see ops/batches.py)."""

from __future__ import annotations

from typing import Any

from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops import batches
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode
from tinyptq.ops.batches import Blocks, BlocksInt


def infer_shapes(attrs: Blocks, x: Shape) -> tuple[Shape, ...]:
    return batches.shape_of(batches.batch_to_space, attrs, x)


def run_float(attrs: Blocks, x: Array) -> Array:
    return batches.batch_to_space(attrs, x)


def part_of_a_dilated_convolution(graph: Graph, node: Node) -> bool:
    """It ends a dilated convolution:
    SPACE_TO_BATCH_ND with the same block, a convolution without padding or stride, then this.
    """
    return False


def write_tflite(params: BlocksInt) -> tuple[TfliteCode, ...]:
    raise AssertionError("BATCH_TO_SPACE_ND is never an integer layer")


def lower(attrs: Blocks, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> BlocksInt:
    raise AssertionError("BATCH_TO_SPACE_ND is never an integer layer")


def run_int(params: Any, x: Array) -> Array:
    raise AssertionError("BATCH_TO_SPACE_ND is never an integer layer")


OP = Op(
    name="batch_to_space_nd",
    summary="the last third of a dilated convolution, which it becomes",
    builtins=("BATCH_TO_SPACE_ND",),
    attrs=Blocks,
    params=BlocksInt,
    operands=1,
    read_tflite=batches.read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(part_of_a_dilated_convolution,),
    quantization=SAME,
    lower=lower,
    run_int=run_int,
    work=batches.work,
)
