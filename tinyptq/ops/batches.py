"""SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND: how older exporters say "dilated convolution".

They move pixels into the batch and back, so no single one of them can run with a batch of one: the pass
fold_space_to_batch makes a dilated convolution of space_to_batch_nd → convolution → batch_to_space_nd.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, Shape
from tinyptq.ops.base import TfliteOperator
from tinyptq.ops.copies import first_shape, read_numbers
from tinyptq.program import Work

MAX_SIDE = 4096


@dataclass(frozen=True)
class Blocks:
    """block, and what is padded (space to batch) or cropped (batch to space) before and after, per spatial axis."""

    block: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True)
class BlocksInt:
    """Never made: the constraint refuses the operator before it is lowered."""


def read_tflite(operator: TfliteOperator) -> Blocks:
    """Block shape and [axes, 2] of paddings or crops are constant operands."""
    shape = first_shape(operator)
    block, borders = read_numbers(operator, 1, "block shape"), read_numbers(operator, 2, "paddings or crops")
    fits = len(borders) == 2 * len(block) and 1 <= len(block) <= len(shape) - 1
    if not fits or min(block) < 1 or min(borders) < 0 or max(*block, *borders) > MAX_SIDE:
        raise TinyptqError("bad-block", f"{operator.builtin} of {list(shape)} in blocks {block}, borders {borders}")
    attrs = Blocks(tuple(block), tuple(borders[::2]), tuple(borders[1::2]))
    if operator.builtin == "SPACE_TO_BATCH_ND":
        sizes = padded_sizes(attrs, shape)
        fits = all(size % b == 0 for size, b in zip(sizes, block, strict=True))
    else:
        fits = shape[0] % prod(block) == 0
    if not fits:
        raise TinyptqError("bad-block", f"{operator.builtin} of {list(shape)} does not fill blocks of {block}")
    return attrs


def padded_sizes(attrs: Blocks, shape: Shape) -> tuple[int, ...]:
    spatial = shape[1 : 1 + len(attrs.block)]
    return tuple(b + size + a for b, size, a in zip(attrs.before, spatial, attrs.after, strict=True))


def space_to_batch(attrs: Blocks, x: Array) -> Array:
    """[n, h, w, …] -> [block_h · block_w · n, h / block_h, w / block_w, …]: phase by phase, all samples of each."""
    axes, rest = len(attrs.block), x.shape[1 + len(attrs.block) :]
    sizes = padded_sizes(attrs, x.shape)
    borders = [(0, 0), *zip(attrs.before, attrs.after, strict=True), *((0, 0),) * len(rest)]
    apart = [count for size, b in zip(sizes, attrs.block, strict=True) for count in (size // b, b)]
    y = np.pad(x, borders).reshape(len(x), *apart, *rest)
    phases, places = range(2, 2 * axes + 2, 2), range(1, 2 * axes + 1, 2)
    order = (*phases, 0, *places, *range(2 * axes + 1, y.ndim))
    return y.transpose(order).reshape(-1, *apart[::2], *rest)


def batch_to_space(attrs: Blocks, x: Array) -> Array:
    """The way back, then cropped."""
    axes = len(attrs.block)
    spatial, rest = x.shape[1 : 1 + axes], x.shape[1 + axes :]
    samples = len(x) // prod(attrs.block)
    y = x.reshape(*attrs.block, samples, *spatial, *rest)
    pairs = (axis for i in range(axes) for axis in (axes + 1 + i, i))
    whole = tuple(size * b for size, b in zip(spatial, attrs.block, strict=True))
    y = y.transpose(axes, *pairs, *range(2 * axes + 1, y.ndim)).reshape(samples, *whole, *rest)
    return y[(slice(None), *(slice(b, size - a) for b, size, a in zip(attrs.before, whole, attrs.after, strict=True)))]


def shape_of(function: object, attrs: Blocks, x: Shape) -> tuple[Shape, ...]:
    """The output shape of one of the two functions above, without moving anything."""
    nothing = np.broadcast_to(np.zeros((), np.int8), x)
    assert callable(function)
    return (tuple(function(attrs, nothing).shape),)


def work(params: BlocksInt) -> Work:
    return Work(0, 0, 0)
