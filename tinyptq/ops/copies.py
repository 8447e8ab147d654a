"""Strided copies: what every operator that only moves elements becomes in C, and how TFLite's axes are read.

Data does not care for its type: `element` ("int8", "int16", "int32") names it in the params of such operators.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, Shape
from tinyptq.ops.base import TfliteOperator
from tinyptq.ops.element import touched
from tinyptq.program import Work


@dataclass(frozen=True)
class Loop:
    """count steps of `source` elements through what is read and `target` elements through what is written."""

    count: int
    source: int
    target: int


@dataclass(frozen=True)
class Copy:
    """`run` consecutive elements from source to target (where the first one lies), inside loops, outer first."""

    source: int
    target: int
    loops: tuple[Loop, ...]
    run: int


def row_major(shape: Shape) -> tuple[int, ...]:
    """Elements from one index to the next, per axis."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def strided_copy(counts: Shape, sources: Shape, targets: Shape, source: int = 0, target: int = 0) -> Copy:
    """The copy over axes of `counts` with these steps: axes that follow on one another become one, ones vanish."""
    merged: list[Loop] = []
    for count, read, write in zip(counts, sources, targets, strict=True):
        if count == 1:
            continue
        if merged and (merged[-1].source, merged[-1].target) == (count * read, count * write):
            count *= merged.pop().count
        merged.append(Loop(count, read, write))
    run = merged.pop().count if merged and (merged[-1].source, merged[-1].target) == (1, 1) else 1
    return Copy(source, target, tuple(merged), run)


def permuted_copy(shape: Shape, permutation: tuple[int, ...]) -> Copy:
    """shape's axes in another order."""
    counts = tuple(shape[axis] for axis in permutation)
    steps = row_major(shape)
    return strided_copy(counts, tuple(steps[axis] for axis in permutation), row_major(counts))


def box_copy(shape: Shape, begin: Shape, step: Shape, count: Shape) -> Copy:
    """Every step-th index from begin on, count of them, per axis."""
    steps = row_major(shape)
    first = sum(b * size for b, size in zip(begin, steps, strict=True))
    return strided_copy(count, tuple(s * size for s, size in zip(step, steps, strict=True)), row_major(count), first)


def take_box(x: Array, begin: Shape, step: Shape, count: Shape) -> Array:
    """x at the indices of box_copy, all samples of the batch; contiguous."""
    ends = [b + s * c for b, s, c in zip(begin, step, count, strict=True)]
    index = [slice(b, e if e >= 0 else None, s) for b, e, s in zip(begin, ends, step, strict=True)]
    if (begin[0], step[0], count[0]) == (0, 1, 1):
        index[0] = slice(None)
    return np.ascontiguousarray(x[tuple(index)])


def moved(shape: Shape, name: str) -> Work:
    """Every element of an output is read once and written once."""
    return touched(name, shape, shape)


# Reading .tflite files.


def first_shape(operator: TfliteOperator, position: int = 0) -> Shape:
    """Shape of a tensor operand, which must have at least the batch axis."""
    x = operator.inputs[position] if len(operator.inputs) > position else None
    if x is None or not x.shape:
        raise TinyptqError("bad-operand", f"{operator.builtin} of a tensor without axes")
    return x.shape


def read_numbers(operator: TfliteOperator, position: int, what: str) -> list[int]:
    """The integers of a constant operand."""
    operand = operator.inputs[position] if len(operator.inputs) > position else None
    if operand is None or operand.data is None or operand.data.dtype.kind not in "iu":
        raise TinyptqError("operand-not-constant", f"{operator.builtin} without constant {what}")
    return [int(number) for number in operand.data.reshape(-1).tolist()]


def one_per_axis(operator: TfliteOperator, position: int, what: str) -> list[int]:
    """read_numbers, as many as the first operand has axes."""
    numbers, rank = read_numbers(operator, position, what), len(first_shape(operator))
    if len(numbers) != rank:
        raise TinyptqError("bad-operand", f"{operator.builtin} of {rank} dimensions with {what} {numbers}")
    return numbers


def positive_axis(operator: TfliteOperator, axis: int, rank: int) -> int:
    """axis counted from the front."""
    if not -rank <= axis < rank:
        raise TinyptqError("bad-axis", f"{operator.builtin} along axis {axis} of {rank} dimensions")
    return axis % rank


def int32(numbers: Sequence[int]) -> Array:
    """A constant operand of an exported operator."""
    return np.array(numbers, np.int32)
