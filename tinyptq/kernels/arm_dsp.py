"""Kernels for Arm cores with the DSP extension (Cortex-M4, M7, M33): SMLAD, two 16-bit products per instruction.

1x1 convolution, fully connected with several vectors: a tile is 3 pixels × 2 output channels. The pixels are first
widened to int16 pairs in scratch memory, interleaved, so that the tile reads them in order. One 32-bit word of weights
holds 2 inputs × 2 channels:

    half-words (w0[k] + 256·w1[k], w0[k+2] + 256·w1[k+2])      channel 0, channel 1

SMLAD with the word accumulates S0 + 256·S1, SMLAD with SXTB16(word), its low bytes, accumulates S0; the difference
is 256·S1 modulo 2^32. So 6 SMLAD cost one extraction where |S1| < 2^23, which is proved from the weights; where it
cannot be, the high bytes are extracted too and accumulate S1 alone.

Why 3 × 2: six accumulators leave registers for three words of weights (one LDM) and three of pixels (one LDM each), so
that 36 multiply-accumulates take 25 instructions; 4 × 2 has room for half the loads only and takes 27.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array
from tinyptq.kernels.base import Cost, Kernel, Part
from tinyptq.kernels.leads import tile_leads
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
PIXELS = 3  # pixels of a tile
MIXED_LIMIT = 1 << 23  # |S1| below this: 256·S1 fits int32
DOUBLED_LIMIT = 1 << 30  # |acc| below this: 2·acc fits int32
MAX_UNROLL = 36  # weight words of straight-line code, 33 bytes each
MAX_INPUTS = 2047  # 2·inputs is an immediate offset of LDR
WIDEN_QUADS = 4  # groups of four inputs widened by straight-line code


@dataclass(frozen=True)
class Product:
    """What templates/kernels/conv_2d/arm_dsp_tile.c.j2 looks up: layers with the same share the function.

    unroll      weight words of straight-line code.  loops: it runs more than once.
    mixed       channel 1 accumulates together with channel 0, see above.
    half_up     ties below zero may round up.
    low, high   clamps.
    odd_bytes   of a pair of channels in the stream where the last pair begins one channel early, else 0.
    """

    unroll: int
    loops: bool
    mixed: bool
    half_up: bool
    low: int
    high: int
    odd_bytes: int

    @property
    def group(self) -> int:
        """Words loaded at a time; channels that accumulate apart need a register more."""
        return 3 if self.mixed else 2

    @property
    def groups(self) -> int:
        return self.unroll // self.group

    @property
    def rest(self) -> int:
        return self.unroll % self.group

    @property
    def turn_instructions(self) -> int:
        return (8 if self.mixed else 9) * self.unroll + self.groups + (self.rest > 0) + 3 * self.loops

    @property
    def pair_instructions(self) -> int:
        """Of a pair of channels, the turns apart."""
        output = (4 if self.half_up else 5) + 3 * (self.low > -128) + 3 * (self.high < 127) + 1
        return 2 * PIXELS * output + PIXELS * self.mixed + 9 + 4 * self.loops + 5 * (self.odd_bytes > 0)


@dataclass(frozen=True)
class Widening:
    """What templates/kernels/conv_2d/arm_dsp_widen.c.j2 looks up: 3 pixels of so many inputs, side by side."""

    inputs: int

    @property
    def quads(self) -> int:
        return self.inputs // 4

    @property
    def unroll(self) -> int:
        return max(n for n in range(1, WIDEN_QUADS + 1) if self.quads % n == 0)

    @property
    def tail(self) -> int:
        return self.inputs % 4

    @property
    def instructions(self) -> int:
        return 11 * self.quads + 2 * self.quads // self.unroll + 8 + (50 if self.tail else 0)


@dataclass(frozen=True)
class PointwiseTile:
    """What templates/kernels/conv_2d/arm_dsp_1x1.c.j2 looks up besides the params.

    row_pixels  a call computes a multiple of these.  by_rows: a call is told its rows.
    pairs       of output channels.
    words       weight words of a pair: 2 inputs × 2 channels each, zero-padded.
    turns       passes of the product's straight-line code.
    """

    inputs: int
    outputs: int
    row_pixels: int
    by_rows: bool
    pairs: int
    words: int
    turns: int
    product: Product

    @property
    def pair_words(self) -> int:
        """int32 words of a pair in the packed stream."""
        return stream_words(self.words)

    @property
    def stream_words(self) -> int:
        return self.pairs * self.pair_words

    @property
    def few_pixels(self) -> bool:
        """May a call have fewer pixels than a tile?"""
        return self.row_pixels < PIXELS

    @property
    def widened_bytes(self) -> int:
        return 4 * self.words * PIXELS

    @property
    def few_offset(self) -> int:
        """Where inputs and outputs of a tile that is not full lie in scratch memory."""
        return self.widened_bytes

    @property
    def scratch(self) -> int:
        """Widened pixels, and a tile of input and output where the tensors may have no room for it."""
        return self.widened_bytes + (PIXELS * (self.inputs + self.outputs) if self.few_pixels else 0)

    @property
    def row_input_bytes(self) -> int:
        return self.row_pixels * self.inputs

    @property
    def row_output_bytes(self) -> int:
        return self.row_pixels * self.outputs

    @property
    def instructions(self) -> int:
        """Of one tile."""
        return self.pairs * (self.turns * self.product.turn_instructions + self.product.pair_instructions) + 12


def stream_words(words: int) -> int:
    return 2 + words + 6


def supports(params: Params) -> bool:
    """Every pixel on its own, several of them, int8, and the tile computes what the layer asks for."""
    if params.element != "int8" or not is_pointwise(params):
        return False
    layer = pointwise(params)
    return layer.pixels > 1 and layer.inputs <= MAX_INPUTS and tile_covers(layer)


def tile_covers(layer: Pointwise) -> bool:
    """Two channels, and the short requantization."""
    return layer.outputs >= CHANNELS and requantizes(layer)


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
    second = bias[:, 0] + 256 * bias[:, 1] if tile.product.mixed else bias[:, 1]
    stream = np.concatenate(
        [
            np.stack([second, bias[:, 0]], axis=1),
            weight_words(layer, channels, tile.words, tile.product.mixed),
            quantization(layer)[channels].reshape(len(channels), -1),
        ],
        axis=1,
    )
    return {"stream": as_words(stream)}


def quantization(layer: Pointwise) -> Array:
    """(multiplier, rounding, shift) per output channel. int64 [out, 3]"""
    right = right_shifts(layer)
    rounding = (1 << (right - 1)) + layer.output_zero_point * (1 << right)
    multiplier = np.broadcast_to(layer.multiplier.astype(np.int64), (layer.outputs,))
    return np.stack([multiplier, rounding, right], axis=1)


def as_words(values: Array) -> Array:
    """The low 32 bits of int64 as int32."""
    return (values & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


def weight_words(layer: Pointwise, channels: Array, words: int, mixed: bool) -> Array:
    """[pairs, words]: inputs (k, k+2) and (k+1, k+3) of every four, the order in which SXTB16 widens pixels."""
    rows = np.zeros((layer.outputs, 2 * words), np.int64)
    rows[:, : layer.inputs] = layer.weights
    halves = rows.reshape(layer.outputs, -1, 2, 2).transpose(0, 1, 3, 2).reshape(layer.outputs, -1, 2)[channels]
    low = halves[:, 0] if mixed else halves[:, 0] & 0xFF  # plain bytes when each is extracted with its sign
    halves = low + 256 * halves[:, 1]
    packed: Array = (halves[..., 0] & 0xFFFF) + (halves[..., 1] << 16)
    return packed


def mixes(layer: Pointwise, channels: Array) -> bool:
    """channels [pairs, 2]: may the second of each accumulate together with the first? Weights of −128 may not fit."""
    first, second = (layer.weights.astype(np.int64)[channels[:, i]] for i in range(2))
    bound = accumulator_bound(layer)[channels[:, 1]]
    return bool((first + 256 * second >= -(2**15)).all() and (bound < MIXED_LIMIT).all())


def details(params: Params) -> PointwiseTile:
    return tile_of(pointwise(params), (params.activation_min, params.activation_max))


def tile_of(layer: Pointwise, clamps: tuple[int, int]) -> PointwiseTile:
    words = 2 * -(-layer.inputs // 4)
    turns = -(-words // MAX_UNROLL)
    unroll = -(-words // (2 * turns)) * 2  # even: whole groups of four inputs
    channels = np.array(group_starts(layer.outputs, CHANNELS))[:, None] + np.arange(CHANNELS)
    return PointwiseTile(
        inputs=layer.inputs,
        outputs=layer.outputs,
        row_pixels=layer.row_pixels,
        by_rows=layer.by_rows,
        pairs=len(channels),
        words=unroll * turns,
        turns=turns,
        product=Product(
            unroll=unroll,
            loops=turns > 1,
            mixed=mixes(layer, channels),
            half_up=rounds_half_up(layer),
            low=clamps[0],
            high=clamps[1],
            odd_bytes=4 * stream_words(unroll * turns) if layer.outputs % CHANNELS else 0,
        ),
    )


def product_part(tile: PointwiseTile) -> Part:
    return Part("conv_2d/arm_dsp_tile.c.j2", tile.product)


def parts(params: Params) -> Mapping[str, Part]:
    tile = details(params)
    return {
        "dsp_product": product_part(tile),
        "dsp_widen": Part("conv_2d/arm_dsp_widen.c.j2", Widening(tile.inputs)),
    }


def cost(params: Params) -> Cost:
    """Instructions of the tiles, counted, and of the C around them (measured)."""
    tile, layer = details(params), pointwise(params)
    tiles = -(-layer.pixels // PIXELS)
    few = 20 if layer.pixels < PIXELS else -4
    return Cost(
        instructions=tiles * (tile.instructions + Widening(tile.inputs).instructions + 10) + few,
        code_bytes=4 * (tile.product.turn_instructions + tile.product.pair_instructions) + 300,
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
        leads=lambda params: tile_leads(pointwise(params), PIXELS, copied=True),
        details=details,
        parts=parts,
    )


KERNELS = (kernel("conv_2d"), kernel("fully_connected"))
