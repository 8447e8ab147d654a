"""PADV2: a constant around a tensor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import round_half_away
from tinyptq.graph import Array, Graph, Node, QParams, Shape
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode, TfliteOperator
from tinyptq.ops.copies import Copy, first_shape, int32, moved, read_numbers, row_major, strided_copy
from tinyptq.ops.element import INTEGERS, limits, one_element
from tinyptq.program import Work


@dataclass(frozen=True)
class PadV2:
    """Elements added before and after, per axis; the batch axis gets none. value: of the border."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    value: float


@dataclass(frozen=True)
class PadV2Int:
    """y = x inside, `fill` around it: the value in the tensor's own scale, clamped."""

    input_shape: Shape
    output_shape: Shape
    before: tuple[int, ...]
    after: tuple[int, ...]
    fill: int
    element: str

    @property
    def size(self) -> int:
        return math.prod(self.output_shape)

    @property
    def copy(self) -> Copy:
        steps = row_major(self.output_shape)
        start = sum(before * step for before, step in zip(self.before, steps, strict=True))
        return strided_copy(self.input_shape, row_major(self.input_shape), steps, target=start)


def read_tflite(operator: TfliteOperator) -> PadV2:
    """Paddings [rank, 2] and the value are constant operands."""
    numbers, rank = read_numbers(operator, 1, "paddings"), len(first_shape(operator))
    fill = operator.inputs[2] if len(operator.inputs) > 2 else None
    if fill is None or fill.data is None or fill.data.size != 1:
        raise TinyptqError("operand-not-constant", f"{operator.builtin} without one constant value")
    if len(numbers) != 2 * rank or min(numbers) < 0:
        raise TinyptqError("bad-operand", f"{operator.builtin} of {rank} dimensions by {numbers}")
    value = float(fill.data.reshape(-1)[0])
    if fill.data.dtype.kind != "f":
        qparams = fill.qparams or (operator.inputs[0].qparams if operator.inputs[0] else None)
        if qparams is None and fill.data.dtype == np.int32:  # plain numbers
            qparams = QParams.per_tensor(1.0)
        if qparams is None:
            raise TinyptqError("bad-operand", f"{operator.builtin} with an integer value that has no scale")
        value = (value - int(qparams.zero_point[0])) * float(qparams.scale[0])
    return PadV2(tuple(numbers[::2]), tuple(numbers[1::2]), value)


def write_tflite(params: PadV2Int) -> tuple[TfliteCode, ...]:
    paddings = np.ascontiguousarray(int32([*params.before, *params.after]).reshape(2, -1).T)
    fill = np.array([params.fill], params.element)
    return (TfliteCode("PADV2", "PadV2Options", operands=(paddings, fill), version=2),)


def infer_shapes(attrs: PadV2, x: Shape) -> tuple[Shape, ...]:
    return (tuple(b + size + a for b, size, a in zip(attrs.before, x, attrs.after, strict=True)),)


def padded(x: Array, before: tuple[int, ...], after: tuple[int, ...], fill: float) -> Array:
    return np.pad(x, tuple(zip(before, after, strict=True)), constant_values=fill)


def run_float(attrs: PadV2, x: Array) -> Array:
    return padded(x, attrs.before, attrs.after, attrs.value)


def keeps_batch(graph: Graph, node: Node) -> bool:
    """The border leaves the batch alone."""
    return bool(node.attrs.before[0] == 0 == node.attrs.after[0])


def finite_value(graph: Graph, node: Node) -> bool:
    """The value of the border is a finite number (for a max pool, pad with 0 behind a ReLU, or let the pool pad)."""
    return math.isfinite(node.attrs.value)


def lower(attrs: PadV2, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> PadV2Int:
    """A value that the file gave as an integer becomes that integer again."""
    qparams = outputs[0].qparams
    fill = round_half_away(attrs.value / float(qparams.scale[0])) + int(qparams.zero_point[0])
    shapes = inputs[0].shape, outputs[0].shape
    name = one_element(*inputs, *outputs)
    low, high = limits(name)
    return PadV2Int(*shapes, attrs.before, attrs.after, min(max(fill, low), high), name)


def run_int(params: PadV2Int, x: Array) -> Array:
    return padded(x, params.before, params.after, params.fill)


def work(params: PadV2Int) -> Work:
    return moved(params.output_shape, params.element)


OP = Op(
    name="pad_v2",
    summary="a constant around a tensor",
    builtins=("PADV2",),
    attrs=PadV2,
    params=PadV2Int,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(keeps_batch, finite_value),
    quantization=SAME,
    dtypes=INTEGERS,
    lower=lower,
    run_int=run_int,
    work=work,
)
