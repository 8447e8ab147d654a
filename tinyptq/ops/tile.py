"""TILE, and BROADCAST_TO where only axes of one element are repeated: a tensor repeated along its axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode, TfliteOperator
from tinyptq.ops.copies import Copy, first_shape, int32, moved, one_per_axis, row_major, strided_copy
from tinyptq.ops.element import INTEGERS, element
from tinyptq.program import Work

MAX_ELEMENTS = 1 << 28


@dataclass(frozen=True)
class Tile:
    """How often the tensor is repeated, per axis."""

    multiples: tuple[int, ...]


@dataclass(frozen=True)
class TileInt:
    """Elements of any type, moved. TFLM has BROADCAST_TO and no TILE: np.tile is the specification."""

    input_shape: Shape
    output_shape: Shape
    multiples: tuple[int, ...]
    element: str

    @property
    def copy(self) -> Copy:
        """Every axis is two: repetitions, which stand still in the input, and what is repeated."""
        counts = interleaved(self.multiples, self.input_shape)
        sources = interleaved((0,) * len(self.input_shape), row_major(self.input_shape))
        return strided_copy(counts, sources, row_major(counts))


def interleaved(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(number for pair in zip(first, second, strict=True) for number in pair)


def read_tflite(operator: TfliteOperator) -> Tile:
    """The constant second operand: the multiples, or for BROADCAST_TO the shape."""
    numbers = one_per_axis(operator, 1, "multiples" if operator.builtin == "TILE" else "shape")
    if min(numbers) < 1 or max(numbers) > MAX_ELEMENTS:
        raise TinyptqError("bad-operand", f"{operator.builtin} with {numbers}")
    if operator.builtin == "TILE":
        return Tile(tuple(numbers))
    shape = first_shape(operator)
    if any(size not in (1, wanted) for size, wanted in zip(shape, numbers, strict=True)):
        raise TinyptqError("bad-operand", f"BROADCAST_TO from {list(shape)} to {numbers}")
    return Tile(tuple(wanted // size for size, wanted in zip(shape, numbers, strict=True)))


def write_tflite(params: TileInt) -> tuple[TfliteCode, ...]:
    """As BROADCAST_TO where that can say it."""
    if all(1 in pair for pair in zip(params.input_shape, params.multiples, strict=True)):
        return (TfliteCode("BROADCAST_TO", "BroadcastToOptions", operands=(int32(params.output_shape),), version=3),)
    return (TfliteCode("TILE", "TileOptions", operands=(int32(params.multiples),)),)


def infer_shapes(attrs: Tile, x: Shape) -> tuple[Shape, ...]:
    return (tuple(size * times for size, times in zip(x, attrs.multiples, strict=True)),)


def run_float(attrs: Tile, x: Array) -> Array:
    return np.tile(x, attrs.multiples)


def keeps_batch(graph: Graph, node: Node) -> bool:
    """The batch is not repeated."""
    return bool(node.attrs.multiples[0] == 1)


def lower(attrs: Tile, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> TileInt:
    return TileInt(inputs[0].shape, outputs[0].shape, attrs.multiples, element(inputs[0]))


def run_int(params: TileInt, x: Array) -> Array:
    return np.tile(x, params.multiples)


def work(params: TileInt) -> Work:
    return moved(params.output_shape, params.element)


OP = Op(
    name="tile",
    summary="a tensor repeated along its axes",
    builtins=("TILE", "BROADCAST_TO"),
    attrs=Tile,
    params=TileInt,
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
