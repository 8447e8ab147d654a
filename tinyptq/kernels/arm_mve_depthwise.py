"""Depthwise convolution for Arm Helium (Cortex-M55 and later): 16 channels per vector.

VMULLB.S8 and VMULLT.S8 multiply the even and the odd channels into int16, where the taps of a "sum" are added up.
A sum has as many taps as int16 surely holds (Σ|w| · 128 < 2^15 for every channel), at least one. Sums are widened into
four vectors of int32, q0-q3; bias, multiplier and shift are packed in the order of channels which that gives.

Fewer than 16 channels: where neighbouring pixels are neighbours in memory, a vector holds several of them, else loads
and stores are under a predicate. The last 16 channels overlap those before them: equal values, no tail code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array
from tinyptq.kernels.arm_lines import MVE_BYTE, lines_cost, lines_part
from tinyptq.kernels.arm_mve_depthwise_loop import LANES, WORD_REACH, Walk, multiplies, requantize, store
from tinyptq.kernels.base import Cost, Kernel
from tinyptq.kernels.proofs import (
    Pointwise,
    accumulator_bound,
    depthwise_matrix,
    group_starts,
    right_shifts,
    rounds_half_up,
)
from tinyptq.ops.depthwise_conv_2d import OP, DepthwiseConv2DInt
from tinyptq.ops.window import ring_bytes

LANE_ORDER = (0, 4, 8, 12, 2, 6, 10, 14, 1, 5, 9, 13, 3, 7, 11, 15)  # channels as they lie in q0, q1, q2, q3
SUM_LIMIT = 255  # Σ|w| of a sum: 128 · 255 < 2^15
LINES = ("r1", "r2", "r3", "r4", "r5")  # one per kernel row; more rows take their pointers from memory
ADD_REACH = 4095  # largest immediate of ADD
TEXT_LIMIT = 4000  # C99 knows string literals of up to 4095 characters


@dataclass(frozen=True)
class DepthwiseTile:
    """What templates/kernels/depthwise_conv_2d/arm_mve.c.j2 looks up besides the params.

    loop         instructions of one pixel, 16 channels.
    lines        registers that point at the kernel rows, () when their addresses stay in memory.
    start        where they point within their first pixel.
    vectors      passes of the loop per output row; rest: byte where one more ends the row, 0 when none is needed.
    """

    walk: Walk
    loop: tuple[str, ...]
    lines: tuple[str, ...]
    start: int
    channels: int
    taps: int
    vectors: int
    rest: int

    @property
    def groups(self) -> int:
        return len(group_starts(max(self.channels, LANES), LANES))

    @property
    def last_channel(self) -> int:
        return max(self.channels - LANES, 0)

    @property
    def group_bytes(self) -> int:
        return self.taps * LANES


def supports(params: DepthwiseConv2DInt) -> bool:
    """One filter per channel, right shifts and accumulators that the short requantization covers, short code."""
    if params.element != "int8" or params.depth_multiplier != 1:
        return False
    layer, path = depthwise_matrix(params), walk(params)
    right = right_shifts(layer)
    return (
        bool((right >= 1).all() and (right <= 31).all())
        and bool((layer.multiplier >= 0).all())
        and bool((accumulator_bound(layer) < 2**31 - 1).all())
        and max(path.tap * path.kernel[1], path.step, params.output_shape[3]) <= ADD_REACH
        and LANES * (layer.inputs - 1) <= WORD_REACH
        and sum(len(line) + 1 for line in details(params).loop) <= TEXT_LIMIT
    )


def walk(params: DepthwiseConv2DInt) -> Walk:
    window, channels = params.window, params.output_shape[3]
    flat = params.input_shape[2] == 1 and window.kernel[1] == 1 and not window.padded
    axis = 0 if flat else 1
    folds = not flat and fold(params) > 1
    return Walk(
        flat=flat,
        kernel=(1, window.kernel[0]) if flat else window.kernel,
        tap=window.dilation[axis] * channels,
        step=LANES if folds else window.stride[axis] * channels,
        aligned=window.padded and channels % 4 == 0,  # scratch memory is aligned, inputs may not be
        lanes=0 if folds or channels >= LANES else channels,
    )


def fold(params: DepthwiseConv2DInt) -> int:
    """Pixels in a vector."""
    _, _, width, channels = params.output_shape
    fits = channels in (1, 2, 4, 8) and params.window.stride[1] == 1 and width * channels >= LANES
    return LANES // channels if fits else 1


def tap_order(path: Walk) -> list[int]:
    """Taps, by number in the filter, in the order of consumption."""
    return [row * path.kernel[1] + column for row in range(path.kernel[0]) for column in path.columns]


def sums(layer: Pointwise, order: Sequence[int]) -> list[int]:
    """How many taps each int16 sum has."""
    sizes, total = list[int](), np.zeros(layer.outputs, np.int64)
    for tap in order:
        weight = np.abs(layer.weights[:, tap].astype(np.int64))
        if sizes and bool((total + weight <= SUM_LIMIT).all()):
            sizes[-1], total = sizes[-1] + 1, total + weight
        else:
            sizes, total = [*sizes, 1], weight
    return sizes


def pack(params: DepthwiseConv2DInt) -> Mapping[str, Array]:
    """Weights int8 [groups, taps in order, 16]; parameters int32 [groups, 4 vectors, (bias, multiplier, shift), 4]."""
    layer, path = depthwise_matrix(params), walk(params)
    starts = group_starts(max(layer.outputs, LANES), LANES)
    channels = (np.array(starts)[:, None] + np.arange(LANES)) % layer.outputs  # beyond the last: anything
    weights = layer.weights[:, tap_order(path)][channels].transpose(0, 2, 1)
    multiplier = np.broadcast_to(layer.multiplier, (layer.outputs,))
    quantization = np.stack([layer.folded_bias, multiplier, -right_shifts(layer)])
    parameters = quantization[:, channels[:, LANE_ORDER]].reshape(3, -1, 4, 4).transpose(1, 2, 0, 3)
    return {
        "weights": np.ascontiguousarray(weights),
        "parameters": np.ascontiguousarray(parameters.astype(np.int32)),
    }


def details(params: DepthwiseConv2DInt) -> DepthwiseTile:
    layer, path = depthwise_matrix(params), walk(params)
    direct = path.kernel[0] <= len(LINES)
    output_bytes = params.output_row_bytes
    folds = fold(params) > 1 and not path.flat
    clamps = params.activation_min, params.activation_max
    multiply = multiplies(path, sums(layer, tap_order(path)), LINES[: path.kernel[0]] if direct else ())
    step = LANES if folds else layer.outputs
    return DepthwiseTile(
        walk=path,
        loop=(*multiply, *requantize(rounds_half_up(layer)), *store(clamps, layer.output_zero_point, step, path.lanes)),
        lines=LINES[: path.kernel[0]] if direct else (),
        start=max(path.centre, 0) * path.tap,
        channels=layer.outputs,
        taps=layer.inputs,
        vectors=output_bytes // LANES if folds else params.output_shape[2],
        rest=output_bytes - LANES if folds and output_bytes % LANES else 0,
    )


def scratch(params: DepthwiseConv2DInt) -> int:
    return ring_bytes(params.window, params.input_shape)


def cost(params: DepthwiseConv2DInt) -> Cost:
    """Instructions of the loop, counted; of the C around it for a row, a call, a line filled (fitted)."""
    tile, rows = details(params), params.output_shape[1]
    pixels, calls = tile.vectors + (1 if tile.rest else 0), tile.groups * (2 if tile.rest else 1)
    if tile.walk.flat:
        rows, pixels = 1, rows
    loop = len(tile.loop) + (1 if tile.lines else 2)
    around = 35 * calls
    lines = 0 if tile.walk.flat else lines_cost(params, MVE_BYTE)
    return Cost(
        instructions=rows * (tile.groups * pixels * loop + around) + lines + 40,
        code_bytes=4 * len(tile.loop) + 400,
    )


def leads(params: DepthwiseConv2DInt) -> tuple[int | None, ...]:
    """One row after another; all pixels of some channels before the next ones where the image is one pixel wide."""
    return () if walk(params).flat else OP.leads(params)


KERNELS = (
    Kernel(
        op="depthwise_conv_2d",
        isa="arm_mve",
        template="depthwise_conv_2d/arm_mve.c.j2",
        supports=supports,
        pack=pack,
        scratch=scratch,
        by_rows=lambda params: True,
        cost=cost,
        leads=leads,
        details=details,
        parts=lines_part,
    ),
)
