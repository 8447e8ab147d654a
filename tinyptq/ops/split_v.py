"""SPLIT_V: a tensor cut into parts of given sizes along an axis."""

from __future__ import annotations

from dataclasses import replace

from tinyptq.errors import TinyptqError
from tinyptq.ops import split
from tinyptq.ops.base import TfliteCode, TfliteOperator
from tinyptq.ops.copies import first_shape, int32, read_numbers
from tinyptq.ops.split import Split, SplitInt, read_axis


def read_tflite(operator: TfliteOperator) -> Split:
    """Sizes and axis are constant operands; one size may be −1: whatever is left."""
    shape = first_shape(operator)
    axis, sizes = read_axis(operator, 2, shape), read_numbers(operator, 1, "sizes")
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = shape[axis] - sum(sizes) - 1
    if sum(sizes) != shape[axis] or min(sizes) < 1 or len(sizes) != len(operator.outputs):
        raise TinyptqError("bad-split", f"{operator.builtin} of {list(shape)} along axis {axis} into {sizes}")
    return Split(axis, tuple(sizes))


def write_tflite(params: SplitInt) -> tuple[TfliteCode, ...]:
    operands = (int32(params.sizes), int32([params.axis]))
    return (TfliteCode("SPLIT_V", "SplitVOptions", {"NumSplits": len(params.sizes)}, operands, version=2),)


OP = replace(
    split.OP,
    name="split_v",
    summary="a tensor cut into parts of given sizes",
    builtins=("SPLIT_V",),
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    operand_order=None,
)
