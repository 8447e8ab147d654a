"""What the strategies of several operators draw: shapes, quantization, windows, clamps, constants."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.ops import exhaustive
from tinyptq.graph import Array, QParams, Shape
from tinyptq.ops.activation import NONE, RELU, RELU6, RELU_N1_TO_1, Clamp
from tinyptq.ops.base import Operand
from tinyptq.ops.window import Window, make_window

Draw = Callable[[st.SearchStrategy[Any]], Any]

LOWEST, HIGHEST = 1e-6, 1e3  # scales
seeds = st.integers(0, 2**16)
clamps = st.sampled_from([NONE, NONE, RELU, RELU6, RELU_N1_TO_1])
sides = st.one_of(st.just(1), st.integers(1, 7))


def scales(low: float, high: float) -> st.SearchStrategy[float]:
    """float32 scales of any decade; a third are powers of two, whose products lie on the ties of every rounding."""
    powers = st.integers(math.ceil(math.log2(low)), math.floor(math.log2(high))).map(lambda n: 2.0**n)
    anything = exhaustive.scales(low, high)
    return st.one_of(anything, anything, powers)


def shape(draw: Draw, ranks: tuple[int, ...] = (1, 2, 3, 4), largest: int = 7) -> Shape:
    """Batch 1 first, then rank − 1 sides; sides of one are frequent."""
    rank = draw(st.sampled_from(ranks))
    return (1, *(min(draw(sides), largest) for _ in range(rank - 1)))


def qparams(draw: Draw, dtype: str, low: float = LOWEST, high: float = HIGHEST) -> QParams:
    """Any scale; any zero point of an 8-bit type, the ends frequent; wider types are symmetric."""
    return QParams.per_tensor(draw(scales(low, high)), zero_point(draw, dtype))


def zero_point(draw: Draw, dtype: str) -> int:
    info = np.iinfo(dtype)
    if info.bits > 8:
        return 0
    low, high = int(info.min), int(info.max)
    return int(draw(st.one_of(st.sampled_from([low, high, 0, (low + high) // 2]), st.integers(low, high))))


def scaled(draw: Draw, dtype: str, scale: float, down: float = 0.03, up: float = 30.0) -> QParams:
    """Any zero point, a scale near this one: by a factor from down to up, a power of two beside a power of two."""
    ratio = draw(st.one_of(st.sampled_from([0.5, 1.0, 2.0]), scales(down, up)))
    limited = min(max(scale * ratio, 1e-30), 1e30)
    limited = 2.0 ** round(math.log2(limited)) if math.frexp(scale)[0] == 0.5 else limited
    return QParams.per_tensor(float(np.float32(limited)), zero_point(draw, dtype))


def run_time(shape: Shape, qparams: QParams, dtype: str) -> Operand:
    return Operand(shape, qparams, None, np.dtype(dtype))


def activation(draw: Draw, shape: Shape, dtype: str, low: float = LOWEST, high: float = HIGHEST) -> Operand:
    """A run-time operand of any quantization."""
    return run_time(shape, qparams(draw, dtype, low, high), dtype)


def numbers(draw: Draw, shape: Shape, dtype: str, lowest: int | None = None) -> Array:
    """Integers of the whole type (or from lowest on): a seed's, all lowest or all highest."""
    info = np.iinfo(dtype)
    low, high = int(info.min) if lowest is None else lowest, int(info.max)
    seed = draw(st.one_of(seeds, st.sampled_from([-1, -2])))
    if seed < 0:
        return np.full(shape, low if seed == -1 else high, dtype)
    return np.random.default_rng(seed).integers(low, high + 1, shape).astype(dtype)


def constant(draw: Draw, shape: Shape, qparams: QParams, dtype: str) -> Operand:
    """A constant operand of an element-wise operator."""
    return Operand(shape, qparams, numbers(draw, shape, dtype), np.dtype(dtype))


def window(draw: Draw, size: Shape, dilated: bool, largest: int = 4) -> Window:
    """A SAME or VALID window over an image of this size (height, width)."""
    padding = draw(st.sampled_from(["same", "valid"]))
    dilation = tuple(draw(st.integers(1, 3)) if dilated else 1 for _ in size)
    reach = [side if padding == "valid" else side + 2 for side in size]
    kernel = tuple(draw(st.integers(1, min(largest, (r - 1) // d + 1))) for r, d in zip(reach, dilation, strict=True))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    return make_window(padding, (size[0], size[1]), (kernel[0], kernel[1]), stride, (dilation[0], dilation[1]))


def clamp(draw: Draw) -> Clamp:
    chosen: Clamp = draw(clamps)
    return chosen


def inner_axes(draw: Draw, rank: int) -> tuple[int, ...]:
    """At least one axis, never the batch."""
    return tuple(sorted(draw(st.sets(st.integers(1, rank - 1), min_size=1))))
