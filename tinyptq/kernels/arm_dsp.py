"""Kernels for Arm cores with the DSP extension (Cortex-M4, M7, M33): SMLAD, two 16-bit products per instruction.

1x1 convolution, fully connected: a tile is 4 pixels × 2 output channels (1 × 2 where there is a single pixel). The
pixels are first widened to int16 pairs in scratch memory, interleaved, so that the tile reads them in order. One
32-bit word of weights holds 2 inputs × 2 channels:

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
    Pointwise,
    accumulator_bound,
    group_starts,
    is_pointwise,
    pointwise,
    right_shifts,
    rounds_half_up,
)
from tinyptq.ops.conv_2d import Conv2DInt
from tinyptq.ops.fully_connected import FullyConnectedInt

Params = Conv2DInt | FullyConnectedInt

CHANNELS = 2  # output channels of a tile
PIXELS = 4  # pixels of a tile
MIXED_LIMIT = 1 << 23  # |S1| below this: 256·S1 fits int32
DOUBLED_LIMIT = 1 << 30  # |acc| below this: 2·acc fits int32
MAX_UNROLL = 32  # weight words of straight-line code, 40 bytes each
MAX_INPUTS = 4096  # what 16 bytes of scratch memory per pair of inputs can be asked for
STORE_REACH = 4095  # largest immediate offset of STRB


@dataclass(frozen=True)
class PointwiseTile:
    """What templates/kernels/conv_2d/arm_dsp_1x1.c.j2 looks up besides the params.

    pixels      of a tile.  row_pixels: a call computes a multiple of these.  by_rows: a call is told its rows.
    pairs       of output channels.
    words       weight words of a pair: 2 inputs × 2 channels each, zero-padded.
    unroll      of them in straight-line code; turns: passes of that code.
    mixed       channel 1 accumulates together with channel 0, see above.
    half_up     ties below zero may round up.
    """

    inputs: int
    outputs: int
    pixels: int
    row_pixels: int
    by_rows: bool
    pairs: int
    words: int
    unroll: int
    turns: int
    mixed: bool
    half_up: bool

    @property
    def steps(self) -> int:
        """Straight-line repetitions: a step takes one word for 4 pixels, two words for one."""
        return self.unroll if self.pixels == PIXELS else self.unroll // 2

    @property
    def full_quads(self) -> int:
        return self.inputs // 4

    @property
    def tail(self) -> int:
        return self.inputs % 4

    @property
    def pair_words(self) -> int:
        """int32 words of a pair in the packed stream."""
        return 2 + self.words + 6

    @property
    def pair_bytes(self) -> int:
        return 4 * self.pair_words

    @property
    def stream_words(self) -> int:
        return self.pairs * self.pair_words

    @property
    def odd(self) -> bool:
        return self.outputs % CHANNELS == 1

    @property
    def few_pixels(self) -> bool:
        """May a call have fewer pixels than a tile?"""
        return self.row_pixels < self.pixels

    @property
    def widened_bytes(self) -> int:
        return 4 * self.words * self.pixels

    @property
    def scratch(self) -> int:
        """Widened pixels, and a tile of output where the tensor may have no room for it."""
        return self.widened_bytes + (self.pixels * self.outputs if self.few_pixels else 0)

    @property
    def row_input_bytes(self) -> int:
        return self.row_pixels * self.inputs

    @property
    def row_output_bytes(self) -> int:
        return self.row_pixels * self.outputs

    @property
    def input_offsets(self) -> tuple[int, ...]:
        return tuple(pixel * self.inputs for pixel in range(self.pixels))

    @property
    def output_offsets(self) -> tuple[int, ...]:
        return tuple(pixel * self.outputs for pixel in range(self.pixels))

    @property
    def instructions(self) -> int:
        """Of one tile."""
        step = (12 if self.pixels == PIXELS else 8) + (0 if self.mixed else self.unroll // self.steps)
        turns = 6 + 3 * self.turns if self.turns > 1 else 0
        requantize = self.pixels * (2 * (4 if self.half_up else 5) + (3 if self.mixed else 2))
        return self.turns * self.steps * step + turns + requantize + 11 + (4 if self.odd else 0)


def supports(params: Params) -> bool:
    """Every pixel on its own, int8, and the tile computes what the layer asks for."""
    return params.element == "int8" and is_pointwise(params) and tile_covers(pointwise(params))


def tile_covers(layer: Pointwise) -> bool:
    """Two channels, weights as the half-words need them, and the short requantization."""
    return (
        layer.outputs >= CHANNELS
        and (PIXELS - 1) * layer.outputs + 1 <= STORE_REACH
        and layer.inputs <= MAX_INPUTS
        and int(layer.weights.min()) >= -127
        and requantizes(layer)
    )


def requantizes(layer: Pointwise) -> bool:
    """Right shifts and sums that the short requantization covers."""
    right, bound = right_shifts(layer), accumulator_bound(layer)
    zero_point = abs(layer.output_zero_point)
    return (
        bool((layer.multiplier >= 0).all())
        and bool((right >= 1).all() and (right <= 22).all())
        and bool((bound < DOUBLED_LIMIT).all())
        and bool((bound + (2 * zero_point + 1) * 2 ** (right - 1) < 2**31).all())
    )


def pack(params: Params) -> Mapping[str, Array]:
    """One int32 stream in the order of consumption, per pair of channels:

    initial accumulators (mixed or channel 1, channel 0), weight words, then per channel (multiplier, rounding, shift)
    where rounding = 2^(shift − 1) + zero point · 2^shift.
    """
    return pack_tile(details(params), pointwise(params))


def pack_tile(tile: PointwiseTile, layer: Pointwise) -> Mapping[str, Array]:
    """See pack."""
    channels = np.array(group_starts(tile.outputs, CHANNELS))[:, None] + np.arange(CHANNELS)  # [pairs, 2]
    bias = layer.folded_bias.astype(np.int64)[channels]
    second = bias[:, 0] + 256 * bias[:, 1] if tile.mixed else bias[:, 1]
    right = right_shifts(layer)
    rounding = (1 << (right - 1)) + layer.output_zero_point * (1 << right)
    multiplier = np.broadcast_to(layer.multiplier.astype(np.int64), (layer.outputs,))
    quantization = np.stack([multiplier, rounding, right], axis=1)[channels]  # [pairs, 2, 3]
    stream = np.concatenate(
        [
            np.stack([second, bias[:, 0]], axis=1),
            weight_words(layer, tile, channels),
            quantization.reshape(len(channels), -1),
        ],
        axis=1,
    )
    return {"stream": (stream & 0xFFFFFFFF).astype(np.uint32).view(np.int32)}


def weight_words(layer: Pointwise, tile: PointwiseTile, channels: Array) -> Array:
    """[pairs, words]: inputs (k, k+2) and (k+1, k+3) of every four, the order in which SXTB16 widens pixels."""
    rows = np.zeros((tile.outputs, 2 * tile.words), np.int64)
    rows[:, : tile.inputs] = layer.weights
    halves = rows.reshape(tile.outputs, -1, 2, 2).transpose(0, 1, 3, 2).reshape(tile.outputs, -1, 2)[channels]
    low = halves[:, 0] if tile.mixed else halves[:, 0] & 0xFF  # plain bytes when each is extracted with its sign
    halves = low + 256 * halves[:, 1]
    words: Array = (halves[..., 0] & 0xFFFF) + (halves[..., 1] << 16)
    return words


def details(params: Params) -> PointwiseTile:
    layer = pointwise(params)
    return tile_of(layer, 1 if layer.pixels == 1 else PIXELS)


def tile_of(layer: Pointwise, pixels: int) -> PointwiseTile:
    """Tiles of that many pixels for the layer's matrix."""
    words = 2 * -(-layer.inputs // 4)
    turns = -(-words // MAX_UNROLL)
    unroll = -(-words // (2 * turns)) * 2  # even: whole groups of four inputs
    second = accumulator_bound(layer)[np.array(group_starts(layer.outputs, CHANNELS)) + 1]
    return PointwiseTile(
        inputs=layer.inputs,
        outputs=layer.outputs,
        pixels=pixels,
        row_pixels=layer.row_pixels,
        by_rows=layer.by_rows,
        pairs=len(second),
        words=unroll * turns,
        unroll=unroll,
        turns=turns,
        mixed=bool((second < MIXED_LIMIT).all()),
        half_up=rounds_half_up(layer),
    )


def cost(params: Params) -> Cost:
    """Instructions of the tiles, counted, and of the C around them (measured)."""
    tile, layer = details(params), pointwise(params)
    widen = (17 if tile.pixels == PIXELS else 8) * tile.full_quads + (30 if tile.tail else 0)
    tiles = -(-layer.pixels // tile.pixels)
    return Cost(
        instructions=tiles * (tile.pairs * tile.instructions + widen + 50) + 40,
        code_bytes=4 * (12 * tile.steps + 100) + 300,
    )


def kernel(op: str) -> Kernel:
    """The same kernel serves two operators."""
    return Kernel(
        op=op,
        isa="arm_dsp",
        template="conv_2d/arm_dsp_1x1.c.j2",
        supports=supports,
        pack=pack,
        scratch=lambda params: details(params).scratch,
        by_rows=lambda params: pointwise(params).by_rows,
        cost=cost,
        details=details,
    )


KERNELS = (kernel("conv_2d"), kernel("fully_connected"))
