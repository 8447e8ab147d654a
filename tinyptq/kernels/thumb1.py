"""Kernels for Arm cores with nothing but Thumb-1 (Cortex-M0, M0+, M1): two int8 products per MULS.

1x1 convolution, fully connected: a tile is up to 3 pixels × 2 output channels. A 32-bit word of weights holds 2
inputs × 2 channels as bytes v = w + 128, which two masks turn into two words U = v0 + 65536·v1, one per input. Then

    p = x0·U0 + x1·U1 − 128·(x0 + x1)·65537 + 32768 = (S0 + 32768) + 65536·S1

holds the sums of both channels over a chunk of two inputs. |S| <= 32767 there, which is proved from the weights, so
`p asr #16` is S1. The sum of p modulo 2^32 and the sum of its upper halves give the accumulators of both channels.

The pixels are first widened to int32 triplets (x0, x1, 32768 − 128·65537·(x0 + x1)) in scratch memory, interleaved,
so that one LDM brings what a chunk of a pixel needs.
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
PIXELS = 3  # most pixels of a tile: two high registers each
HALF = 1 << 15
ACCUMULATOR_LIMIT = 1 << 28  # |acc| below this: the partial products of a requantization fit int32
MAX_RIGHT = 22
UNROLL = {1: 8, 2: 6, 3: 4}  # chunks of straight-line code, by pixels: BNE reaches 256 bytes
TRIPLET = 12  # bytes of a widened chunk
MAX_INPUTS = 4096
CODE_BYTES = 400  # beside the tile, which most layers of a model share


@dataclass(frozen=True)
class TileCode:
    """What templates/kernels/conv_2d/thumb1_tile.c.j2 looks up: layers for which it is equal share the code.

    uniform     one multiplier and shift for all channels: they stand once, at the end of the stream.
    half_up     ties below zero may round up.
    """

    pixels: int
    uniform: bool
    half_up: bool
    activation_min: int
    activation_max: int

    @property
    def unroll(self) -> int:
        return UNROLL[self.pixels]

    @property
    def frame(self) -> int:
        """Words the caller fills in."""
        return self.pixels + (2 if self.uniform else 0) + 4

    @property
    def requantize(self) -> int:
        """Instructions of one output."""
        clamps = 2 if (self.activation_min, self.activation_max) == (-128, 127) else 4
        return 18 + clamps + (0 if self.half_up else 2) + (1 if self.uniform else 0)


@dataclass(frozen=True)
class Tile:
    """What templates/kernels/conv_2d/thumb1_*.c.j2 look up besides the params.

    run         contiguous bytes of a window; runs: how many; each is widened to whole chunks.
    row_pixels  a call computes a multiple of these.  by_rows: a call is told its rows.
    """

    run: int
    runs: int
    outputs: int
    row_pixels: int
    by_rows: bool
    code: TileCode

    @property
    def pixels(self) -> int:
        return self.code.pixels

    @property
    def uniform(self) -> bool:
        return self.code.uniform

    @property
    def inputs(self) -> int:
        return self.run * self.runs

    @property
    def run_pairs(self) -> int:
        """Whole chunks of a run."""
        return self.run // 2

    @property
    def run_chunks(self) -> int:
        return -(-self.run // 2)

    @property
    def chunks(self) -> int:
        return self.runs * self.run_chunks

    @property
    def rest(self) -> int:
        """Chunks before those that come in whole groups of straight-line code."""
        return self.chunks % self.code.unroll

    @property
    def full_pairs(self) -> int:
        return self.outputs // CHANNELS

    @property
    def odd(self) -> bool:
        return self.outputs % CHANNELS == 1

    @property
    def pairs(self) -> int:
        return self.full_pairs + self.odd

    @property
    def pair_words(self) -> int:
        return 2 + self.chunks + (0 if self.uniform else 8)

    @property
    def stream_words(self) -> int:
        """Of all pairs."""
        return self.pairs * self.pair_words

    @property
    def chunk_stride(self) -> int:
        """From a pixel's chunk to its next one."""
        return TRIPLET * self.pixels

    @property
    def run_stride(self) -> int:
        return self.run_chunks * self.chunk_stride

    @property
    def widened_bytes(self) -> int:
        return self.chunks * self.chunk_stride

    @property
    def few_pixels(self) -> bool:
        """May a call have fewer pixels than a tile?"""
        return self.row_pixels < self.pixels

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
    def widen_instructions(self) -> int:
        """Of a pixel."""
        return self.runs * (8 * self.run_pairs + self.run_pairs // self.widen_unroll + 4 * (self.run % 2) + 20) + 10

    @property
    def widen_unroll(self) -> int:
        """Chunks widened by straight-line code."""
        return max((n for n in (1, 2, 3, 4) if self.run_pairs % n == 0), default=1)

    @property
    def widen_turns(self) -> int:
        return self.run_pairs // self.widen_unroll

    @property
    def instructions(self) -> int:
        """Of one tile, all channels."""
        loops = 3 * (self.chunks // self.code.unroll + self.rest) + 8
        chunks = self.chunks * (4 + 8 * self.pixels) + loops
        outputs = self.pixels * (9 + 2 * self.code.requantize)
        return self.pairs * (7 + 2 * self.pixels + chunks + outputs + (3 if self.uniform else 0)) + 30


def supports(params: Params) -> bool:
    """Every pixel on its own, int8, and the tile computes what the layer asks for."""
    return (
        params.element == "int8"
        and is_pointwise(params)
        and tile_covers(pointwise(params), int(params.weights.shape[-1]))
    )


def tile_covers(layer: Pointwise, run: int) -> bool:
    """Two channels, chunks whose sums fit 16 bits, and the short requantization."""
    return layer.outputs >= CHANNELS and layer.inputs <= MAX_INPUTS and chunks_fit(layer, run) and requantizes(layer)


def chunks_fit(layer: Pointwise, run: int) -> bool:
    """Is |x0·w0 + x1·w1| <= 32767 for all int8 x, in every chunk?"""
    pairs = chunk_weights(layer, run)
    return bool((128 * np.abs(pairs).sum(axis=2) < HALF).all())


def chunk_weights(layer: Pointwise, run: int) -> Array:
    """int64 [outputs, chunks, 2]: every run padded to whole chunks by weights of zero."""
    rows = layer.weights.astype(np.int64).reshape(layer.outputs, -1, run)
    padded: Array = np.pad(rows, ((0, 0), (0, 0), (0, run % 2)))
    return padded.reshape(layer.outputs, -1, 2)


def requantizes(layer: Pointwise) -> bool:
    """Right shifts and sums that the short requantization covers."""
    right, bound = right_shifts(layer), accumulator_bound(layer)
    reach = (2 * abs(layer.output_zero_point + 128) + 1) * 2 ** (np.clip(right, 1, MAX_RIGHT) - 1)
    return (
        bool((layer.multiplier >= 0).all())
        and bool((right >= 1).all() and (right <= MAX_RIGHT).all())
        and bool((bound < ACCUMULATOR_LIMIT).all() and (bound + reach < 2**31).all())
    )


def pack(params: Params) -> Mapping[str, Array]:
    """One int32 stream in the order of consumption, per pair of channels:

    initial sums (of p, of its upper halves), weight words, then per channel (multiplier's lower half, upper half,
    rounding, shift) where rounding = 2^(shift − 1) + (zero point + 128) · 2^shift.
    """
    return pack_tile(details(params), pointwise(params))


def pack_tile(tile: Tile, layer: Pointwise) -> Mapping[str, Array]:
    """See pack."""
    channels = np.array(group_starts(tile.outputs, CHANNELS))[:, None] + np.arange(CHANNELS)  # [pairs, 2]
    bias = layer.folded_bias.astype(np.int64)[channels]
    sums = np.stack([bias[:, 0] + (bias[:, 1] << 16) - HALF * tile.chunks, bias[:, 1]], axis=1)
    raised = chunk_weights(layer, tile.run)[channels] + 128  # [pairs, 2, chunks, 2]
    words = raised[:, 0, :, 0] + (raised[:, 0, :, 1] << 8) + (raised[:, 1, :, 0] << 16) + (raised[:, 1, :, 1] << 24)
    quantization = requantization(layer)
    if tile.uniform:
        stream = np.concatenate([np.concatenate([sums, words], axis=1).reshape(-1), quantization[0]])
    else:
        stream = np.concatenate([sums, words, quantization[channels].reshape(len(channels), -1)], axis=1)
    return {"stream": (stream & 0xFFFFFFFF).astype(np.uint32).view(np.int32)}


def requantization(layer: Pointwise) -> Array:
    """int64 [outputs, 4]: see pack."""
    right = right_shifts(layer)
    multiplier = np.broadcast_to(layer.multiplier.astype(np.int64), right.shape)
    rounding = (1 << (right - 1)) + (layer.output_zero_point + 128) * (1 << right)
    quantization: Array = np.stack([multiplier & 0xFFFF, multiplier >> 16, rounding, right], axis=1)
    return quantization


def details(params: Params) -> Tile:
    layer = pointwise(params)
    return tile_of(layer, layer.inputs, min(PIXELS, layer.pixels), params.activation_max)


def tile_of(layer: Pointwise, run: int, pixels: int, activation_max: int) -> Tile:
    """Tiles of that many pixels for the layer's matrix."""
    quantization = requantization(layer)
    return Tile(
        run=run,
        runs=layer.inputs // run,
        outputs=layer.outputs,
        row_pixels=layer.row_pixels,
        by_rows=layer.by_rows,
        code=TileCode(
            pixels=pixels,
            uniform=bool((quantization == quantization[0]).all()),
            half_up=rounds_half_up(layer),
            activation_min=layer.activation_min,
            activation_max=activation_max,
        ),
    )


def tile_part(code: TileCode) -> Mapping[str, Part]:
    return {"thumb1_tile": Part("conv_2d/thumb1_tile.c.j2", code)}


def cost(params: Params) -> Cost:
    """Instructions of the tiles, counted, and of the C around them (measured)."""
    tile, layer = details(params), pointwise(params)
    tiles = -(-layer.pixels // tile.pixels)
    each = tile.instructions + tile.pixels * tile.widen_instructions + 30
    return Cost(instructions=tiles * each + 40, code_bytes=CODE_BYTES)


def kernel(op: str) -> Kernel:
    """The same kernel serves two operators."""
    return Kernel(
        op=op,
        isa="thumb1",
        template="conv_2d/thumb1_1x1.c.j2",
        supports=supports,
        pack=pack,
        scratch=lambda params: details(params).scratch,
        by_rows=lambda params: pointwise(params).by_rows,
        cost=cost,
        leads=lambda params: tile_leads(pointwise(params), details(params).pixels, copied=True),
        details=details,
        parts=lambda params: tile_part(details(params).code),
    )


KERNELS = (kernel("conv_2d"), kernel("fully_connected"))
