"""Kernels for Arm cores with the DSP extension (Cortex-M4, M7, M33): SMLAD, two 16-bit products per instruction.

1x1 convolution: a tile is 4 pixels × 2 output channels. The 4 pixels are first widened to int16 pairs in scratch
memory, interleaved, so that the tile reads them in order. One 32-bit word of weights holds 2 inputs × 2 channels:

    half-words (w0[k] + 256·w1[k], w0[k+2] + 256·w1[k+2])      channel 0, channel 1

SMLAD with the word accumulates S0 + 256·S1, SMLAD with SXTB16(word), its low bytes, accumulates S0; the difference
is 256·S1 modulo 2^32. So 8 SMLAD cost one extraction where |S1| < 2^23, which is proved from the weights; where it
cannot be, the high bytes are extracted too and accumulate S1 alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array
from tinyptq.kernels.base import Cost, Kernel
from tinyptq.kernels.proofs import (
    accumulator_bound,
    group_starts,
    is_pointwise,
    right_shifts,
    rounds_half_up,
)
from tinyptq.ops.conv_2d import Conv2DInt8

CHANNELS = 2  # output channels of a tile
PIXELS = 4  # pixels of a tile
MIXED_LIMIT = 1 << 23  # |S1| below this: 256·S1 fits int32
DOUBLED_LIMIT = 1 << 30  # |acc| below this: 2·acc fits int32
MAX_UNROLL = 32  # weight words of straight-line code, 40 bytes each
STORE_REACH = 4095  # largest immediate offset of STRB


@dataclass(frozen=True)
class PointwiseTile:
    """What templates/kernels/conv_2d/arm_dsp_1x1.c.j2 looks up besides the params.

    words         weight words of a pair of channels: 2 inputs × 2 channels each, zero-padded.
    unroll        of them in straight-line code; turns: passes of that code.
    mixed         channel 1 accumulates together with channel 0, see above.
    half_up       ties below zero may round up.
    pair_words    int32 words of a pair in the packed stream.
    few_pixels    a block of rows may hold fewer than 4 pixels.
    widened_bytes of 4 widened pixels in scratch memory.
    """

    width: int
    inputs: int
    outputs: int
    pairs: int
    words: int
    unroll: int
    turns: int
    mixed: bool
    half_up: bool

    @property
    def full_quads(self) -> int:
        return self.inputs // 4

    @property
    def tail(self) -> int:
        return self.inputs % 4

    @property
    def pair_words(self) -> int:
        return 2 + self.words + 6

    @property
    def odd(self) -> bool:
        return self.outputs % CHANNELS == 1

    @property
    def few_pixels(self) -> bool:
        return self.width < PIXELS

    @property
    def widened_bytes(self) -> int:
        return self.words * 4 * PIXELS

    @property
    def scratch(self) -> int:
        """Widened pixels, and 4 pixels of output where the last tile has no room for them in the tensor."""
        return self.widened_bytes + (PIXELS * self.outputs if self.few_pixels else 0)

    @property
    def output_offsets(self) -> tuple[int, ...]:
        return tuple(pixel * self.outputs for pixel in range(PIXELS))

    @property
    def instructions(self) -> int:
        """Of one tile."""
        turns = 9 + 3 * self.turns if self.turns > 1 else 0
        requantize = 8 * (4 if self.half_up else 5) + (12 if self.mixed else 8)
        return self.words * (12 if self.mixed else 13) + turns + requantize + 10 + (3 if self.odd else 0)


def supports(params: Conv2DInt8) -> bool:
    """Two channels, weights as the half-words need them, right shifts and sums that the short requantization covers."""
    right = right_shifts(params)
    bound = accumulator_bound(params)
    zero_point = abs(params.output_zero_point)
    return (
        is_pointwise(params)
        and params.output_shape[3] >= CHANNELS
        and (PIXELS - 1) * params.output_shape[3] + 1 <= STORE_REACH
        and int(params.weights.min()) >= -127
        and bool((params.multiplier >= 0).all())
        and bool((right >= 1).all() and (right <= 22).all())
        and bool((bound < DOUBLED_LIMIT).all())
        and bool((bound + (2 * zero_point + 1) * 2 ** (right - 1) < 2**31).all())
    )


def pack(params: Conv2DInt8) -> Mapping[str, Array]:
    """One int32 stream in the order of consumption, per pair of channels:

    initial accumulators (mixed or channel 1, channel 0), weight words, then per channel (multiplier, rounding, shift)
    where rounding = 2^(shift − 1) + zero point · 2^shift.
    """
    tile = details(params)
    channels = np.array([[start, start + 1] for start in pair_starts(tile)])  # [pairs, 2]
    bias = params.folded_bias.astype(np.int64)[channels]
    second = bias[:, 0] + 256 * bias[:, 1] if tile.mixed else bias[:, 1]
    right = right_shifts(params)
    rounding = (1 << (right - 1)) + params.output_zero_point * (1 << right)
    quantization = np.stack([params.multiplier.astype(np.int64), rounding, right], axis=1)[channels]  # [pairs, 2, 3]
    stream = np.concatenate(
        [
            np.stack([second, bias[:, 0]], axis=1),
            weight_words(params, tile, channels),
            quantization.reshape(len(channels), -1),
        ],
        axis=1,
    )
    return {"stream": (stream & 0xFFFFFFFF).astype(np.uint32).view(np.int32)}


def pair_starts(tile: PointwiseTile) -> list[int]:
    return group_starts(tile.outputs, CHANNELS)


def weight_words(params: Conv2DInt8, tile: PointwiseTile, channels: Array) -> Array:
    """[pairs, words]: inputs (k, k+2) and (k+1, k+3) of every four, the order in which SXTB16 widens pixels."""
    rows = np.zeros((tile.outputs, 2 * tile.words), np.int64)
    rows[:, : tile.inputs] = params.weights.reshape(tile.outputs, tile.inputs)
    halves = rows.reshape(tile.outputs, -1, 2, 2).transpose(0, 1, 3, 2).reshape(tile.outputs, -1, 2)[channels]
    low = halves[:, 0] if tile.mixed else halves[:, 0] & 0xFF  # plain bytes when each is extracted with its sign
    halves = low + 256 * halves[:, 1]
    words: Array = (halves[..., 0] & 0xFFFF) + (halves[..., 1] << 16)
    return words


def details(params: Conv2DInt8) -> PointwiseTile:
    inputs, outputs = params.input_shape[3], params.output_shape[3]
    words = 2 * -(-inputs // 4)
    turns = -(-words // MAX_UNROLL)
    unroll = -(-words // (2 * turns)) * 2  # even: whole groups of four inputs
    second = accumulator_bound(params)[np.array(group_starts(outputs, CHANNELS)) + 1]
    return PointwiseTile(
        width=params.input_shape[2],
        inputs=inputs,
        outputs=outputs,
        pairs=len(second),
        words=unroll * turns,
        unroll=unroll,
        turns=turns,
        mixed=bool((second < MIXED_LIMIT).all()),
        half_up=rounds_half_up(params),
    )


def cost(params: Conv2DInt8) -> Cost:
    """Instructions of the tiles, counted, and of the C around them (measured)."""
    tile = details(params)
    pixels = params.input_shape[1] * params.input_shape[2]
    widen = 18 * tile.full_quads + (30 if tile.tail else 0)
    tiles = -(-pixels // PIXELS)
    return Cost(
        instructions=tiles * (tile.pairs * tile.instructions + widen + 60) + 60,
        code_bytes=4 * (12 * tile.unroll + 100) + 300,
    )


KERNELS = (
    Kernel(
        op="conv_2d",
        isa="arm_dsp",
        template="conv_2d/arm_dsp_1x1.c.j2",
        supports=supports,
        pack=pack,
        scratch=lambda params: details(params).scratch,
        by_rows=lambda params: True,
        cost=cost,
        details=details,
    ),
)
