"""SPACE_TO_BATCH_ND: blocks of pixels become samples of the batch (see ops/batches.py)."""

from __future__ import annotations

from typing import Any

from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops import batches
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode
from tinyptq.ops.batches import Blocks, BlocksInt


def infer_shapes(attrs: Blocks, x: Shape) -> tuple[Shape, ...]:
    return batches.shape_of(batches.space_to_batch, attrs, x)


def run_float(attrs: Blocks, x: Array) -> Array:
    return batches.space_to_batch(attrs, x)


def part_of_a_dilated_convolution(graph: Graph, node: Node) -> bool:
    """It starts a dilated convolution:
    a convolution without padding or stride follows, then BATCH_TO_SPACE_ND with the same block.
    """
    return False


def write_tflite(params: BlocksInt) -> tuple[TfliteCode, ...]:
    raise AssertionError("SPACE_TO_BATCH_ND is never an integer layer")


def lower(attrs: Blocks, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> BlocksInt:
    raise AssertionError("SPACE_TO_BATCH_ND is never an integer layer")


def run_int(params: Any, x: Array) -> Array:
    raise AssertionError("SPACE_TO_BATCH_ND is never an integer layer")


OP = Op(
    name="space_to_batch_nd",
    summary="the first third of a dilated convolution, which it becomes",
    builtins=("SPACE_TO_BATCH_ND",),
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
