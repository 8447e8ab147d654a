"""Depthwise convolution for Arm cores with the DSP extension: four channels of one pixel at a time.

Each tap is one load of four channels, two SXTB16 and four half-word multiplies; nothing is rearranged, so any stride
and dilation costs the same. Weights and bias are doubled: the accumulator is 2·acc, what SMMLAR wants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tinyptq.graph import Array
from tinyptq.kernels.arm_dsp import requantizes
from tinyptq.kernels.arm_lines import DSP_BYTE, lines_cost, lines_part
from tinyptq.kernels.base import Cost, Kernel
from tinyptq.kernels.proofs import (
    Pointwise,
    depthwise_matrix,
    group_starts,
    right_shifts,
    rounds_half_up,
    without_dead_channels,
)
from tinyptq.ops.depthwise_conv_2d import OP, DepthwiseConv2DInt

CHANNELS = 4
POINTERS = ("r0", "r1", "r2")
REACH = 4095  # largest immediate offset of LDR, and number ADD takes
WRITE_BACK_REACH = 255  # largest immediate offset of LDR that moves its base
MAX_LINE = 65535  # bytes of a line, what MOVW takes
MAX_TAPS = 16  # straight-line code: C99 knows string literals of up to 4095 characters


@dataclass(frozen=True)
class Quad:
    """What templates/kernels/depthwise_conv_2d/arm_dsp.c.j2 looks up besides the params.

    pointers     registers that walk along the lines: one per kernel row, or a single one where lines are input rows.
    addresses    of every tap.
    writes_back  the first load from each pointer moves it to the next pixel.
    """

    channels: int
    pointers: tuple[str, ...]
    addresses: tuple[str, ...]
    writes_back: bool
    half_up: bool
    columns: int
    column_bytes: int

    @property
    def quads(self) -> int:
        return -(-self.channels // CHANNELS)

    @property
    def full_quads(self) -> int:
        return self.channels // CHANNELS

    @property
    def line_rewind(self) -> int:
        """From the end of a line back to its start, four channels on."""
        return self.columns * self.column_bytes - CHANNELS

    @property
    def output_rewind(self) -> int:
        return self.columns * self.channels - CHANNELS

    @property
    def overlaps(self) -> bool:
        return self.channels % CHANNELS > 0

    @property
    def quad_words(self) -> int:
        """int32 words of four channels in the packed stream."""
        return CHANNELS + 2 * len(self.addresses) + 3 * CHANNELS

    @property
    def quad_bytes(self) -> int:
        return 4 * self.quad_words


def offsets(params: DepthwiseConv2DInt) -> tuple[tuple[int, int], ...]:
    """(pointer, byte offset) of every tap."""
    window, lines = params.window, params.lines
    line_bytes = window.dilation[0] * lines.row_bytes
    taps = [(row, column * lines.tap_bytes) for row in range(window.kernel[0]) for column in range(window.kernel[1])]
    single = tuple((0, row * line_bytes + offset) for row, offset in taps)
    if not lines.padded and single[-1][1] <= REACH:
        return single
    return tuple(taps)


@lru_cache(maxsize=1024)
def live(params: DepthwiseConv2DInt) -> Pointwise:
    return without_dead_channels(depthwise_matrix(params), params.activation_max)


def supports(params: DepthwiseConv2DInt) -> bool:
    """One filter per channel, taps within reach, right shifts and sums that the short requantization covers."""
    _, _, columns, channels = params.output_shape
    line_bytes = columns * max(channels, params.lines.column_bytes)
    if params.element != "int8" or params.depth_multiplier != 1 or channels < CHANNELS or line_bytes > MAX_LINE:
        return False
    taps = offsets(params)
    return (
        len(taps) <= MAX_TAPS
        and taps[-1][0] < len(POINTERS)
        and max(offset for _, offset in taps) <= REACH
        and max(channels, params.lines.column_bytes) <= REACH
        and requantizes(live(params))
    )


def pack(params: DepthwiseConv2DInt) -> Mapping[str, Array]:
    """One int32 stream in the order of consumption, per four channels:

    2·bias, per tap 2·weight of channels (0, 2), (1, 3) as half-words, then per channel (multiplier, rounding, shift)
    where rounding = 2^(shift − 1) + zero point · 2^shift.
    """
    layer = live(params)
    channels = np.array(group_starts(layer.outputs, CHANNELS))[:, None] + np.arange(CHANNELS)  # [quads, 4]
    halves = 2 * layer.weights.astype(np.int64)[channels].transpose(0, 2, 1)  # [quads, taps, 4]
    words = (halves[..., :2] & 0xFFFF) + (halves[..., 2:] << 16)
    right = right_shifts(layer)
    rounding = (1 << (right - 1)) + layer.output_zero_point * (1 << right)
    quantization = np.stack([layer.multiplier.astype(np.int64), rounding, right], axis=1)[channels]
    bias = 2 * layer.folded_bias.astype(np.int64)[channels]
    count = len(channels)
    stream = np.concatenate([bias, words.reshape(count, -1), quantization.reshape(count, -1)], axis=1)
    return {"stream": (stream & 0xFFFFFFFF).astype(np.uint32).view(np.int32)}


def details(params: DepthwiseConv2DInt) -> Quad:
    taps = offsets(params)
    step = params.lines.column_bytes
    writes_back = step <= WRITE_BACK_REACH
    return Quad(
        channels=params.output_shape[3],
        pointers=POINTERS[: taps[-1][0] + 1],
        addresses=tuple(
            f"[{POINTERS[pointer]}, #{step}]!" if writes_back and offset == 0 else f"[{POINTERS[pointer]}, #{offset}]"
            for pointer, offset in taps
        ),
        writes_back=writes_back,
        half_up=rounds_half_up(live(params)),
        columns=params.output_shape[2],
        column_bytes=step,
    )


def cost(params: DepthwiseConv2DInt) -> Cost:
    """Instructions of the quads, counted, and of the C around them (measured)."""
    quad, (_, rows, columns, _) = details(params), params.output_shape
    clamps = 3 * (params.activation_min > -128) + 3 * (params.activation_max < 127)
    pixel = 5 + 8 * len(quad.addresses) + CHANNELS * (5 + (not quad.half_up) + clamps)
    pixel += 0 if quad.writes_back else len(quad.pointers)
    row = quad.quads * (columns * pixel + 10 + len(quad.pointers)) + 40 * (1 + quad.overlaps)
    return Cost(
        instructions=rows * row + lines_cost(params, DSP_BYTE) + 40,
        code_bytes=4 * (pixel + 30) + 250,
    )


KERNELS = (
    Kernel(
        op="depthwise_conv_2d",
        isa="arm_dsp",
        template="depthwise_conv_2d/arm_dsp.c.j2",
        supports=supports,
        pack=pack,
        scratch=OP.scratch,
        by_rows=lambda params: True,
        cost=cost,
        leads=OP.leads,
        details=details,
        parts=lines_part,
    ),
)
