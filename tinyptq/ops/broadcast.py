"""NumPy broadcasting of two operands: the rules element-wise operators obey, and the loops that walk both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops.element import every_value

MAX_RANK = 4  # what TFLite Micro broadcasts


@dataclass(frozen=True)
class Loop:
    """One loop of a nest: how often it turns, and how far each operand moves per turn (0 when it is repeated)."""

    count: int
    strides: tuple[int, int]


def loop_nest(first: Shape, second: Shape) -> tuple[Loop, ...]:
    """The fewest loops over the broadcast shape, outermost first; the output is written front to back.

    Equal shapes give one flat loop: axes are merged while both operands move through them as through one.
    """
    shape = np.broadcast_shapes(first, second)
    loops: list[Loop] = []
    for count, *strides in zip(shape, element_strides(first, shape), element_strides(second, shape), strict=True):
        inner = Loop(count, (strides[0], strides[1]))
        if count == 1:
            continue
        if loops and all(a == b * count for a, b in zip(loops[-1].strides, inner.strides, strict=True)):
            loops[-1] = Loop(loops[-1].count * count, inner.strides)
        else:
            loops.append(inner)
    return tuple(loops) or (Loop(1, (0, 0)),)


def leads(first: Shape, second: Shape) -> tuple[int | None, ...]:
    """Bytes by which the output must begin before each operand to lie over it: the one at hand is read just before it
    is written over; an operand that is repeated is read again.
    """
    output = np.broadcast_shapes(first, second)
    return tuple(0 if np.prod(shape) == np.prod(output) else None for shape in (first, second))


def element_strides(shape: Shape, target: Shape) -> tuple[int, ...]:
    """Elements between neighbours along every axis of target; 0 along axes in which shape is repeated."""
    padded = (1,) * (len(target) - len(shape)) + shape
    strides = [int(np.prod(padded[axis + 1 :], dtype=np.int64)) for axis in range(len(padded))]
    return tuple(0 if size == 1 else stride for size, stride in zip(padded, strides, strict=True))


def broadcastable(graph: Graph, node: Node) -> bool:
    """The shapes of the two operands broadcast to at most 4 dimensions, the batch first."""
    shapes = [graph.tensors[name].shape for name in node.inputs]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        return False
    return 1 <= len(shape) <= MAX_RANK and shape[0] == 1


def same_rank(graph: Graph, node: Node) -> bool:
    """An operand that is not constant has as many dimensions as the output (its batch axis is not broadcast)."""
    tensors = [graph.tensors[name] for name in node.inputs]
    rank = max(len(tensor.shape) for tensor in tensors)
    return all(tensor.data is not None or len(tensor.shape) == rank for tensor in tensors)


def one_activation(graph: Graph, node: Node) -> bool:
    """At least one of the two operands is not constant."""
    return len(node.inputs) == 2 and not all(graph.is_constant(name) for name in node.inputs)


CONSTRAINTS = (one_activation, broadcastable, same_rank)


def all_pairs() -> tuple[Array, Array]:
    """int64 [256, 1] and [1, 256]: every pair of int8 values, at the places `look_up` reads."""
    values = every_value("int8")
    return values[:, None], values[None, :]


def look_up(table: Array, first: Array, second: Array) -> Array:
    """table[first, second] for int8 arrays that broadcast; table int8 [256, 256] over the bytes as unsigned."""
    index = first.view(np.uint8).astype(np.uint16) << 8
    y: Array = table.reshape(-1).take(index | second.view(np.uint8))
    return y


def run_pairs(params: Any, function: Callable[[Any, Array, Array], Array], first: Array, second: Array) -> Array:
    """function(params, …) over int64 arrays of integers that broadcast; of int8 its table, far cheaper per element.

    params: with `element`, and `table` where that is int8.
    """
    if params.element == "int8":
        return look_up(params.table, first, second)
    return function(params, first.astype(np.int64), second.astype(np.int64)).astype(params.element)
