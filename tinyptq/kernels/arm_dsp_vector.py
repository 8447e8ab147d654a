"""One pixel times a matrix for Arm cores with the DSP extension: 1 × 4 output channels, or × 2 when there are few.

The half-words of arm_dsp.py. A pixel's inputs are widened once; eight of them take one LDM, their weights two. Where
all channels have one multiplier and shift, these lie at the start of the stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array
from tinyptq.kernels.arm_dsp import Params, as_words, mixes, quantization, requantizes, weight_words
from tinyptq.kernels.arm_dsp_conv import Run
from tinyptq.kernels.base import Cost, Kernel, Part
from tinyptq.kernels.proofs import Pointwise, group_starts, is_pointwise, pointwise, rounds_half_up

MAX_CHANNELS = 4  # of a tile
STRAIGHT_INPUTS = 64  # of straight-line code
MAX_INPUTS = 4096


@dataclass(frozen=True)
class VectorProduct:
    """What templates/kernels/fully_connected/arm_dsp_product.c.j2 looks up: layers with the same share the function.

    channels    of a tile.
    eights      inputs of straight-line code in groups of eight; four: and four more.  loops: it runs more than once.
    mixed, half_up, low, high: as for Product.  uniform: one multiplier and shift for all channels.
    back        channels the last tile begins early; tile_bytes: of a tile in the stream.
    """

    channels: int
    eights: int
    four: bool
    loops: bool
    mixed: bool
    half_up: bool
    uniform: bool
    low: int
    high: int
    back: int
    tile_bytes: int

    @property
    def pairs(self) -> int:
        return self.channels // 2

    @property
    def fours(self) -> int:
        """Inputs of straight-line code in groups of four."""
        return 2 * self.eights + self.four

    @property
    def turn_instructions(self) -> int:
        multiplies = (2 * self.pairs) * (3 if self.mixed else 4)
        loads = self.eights * (2 + (self.pairs > 1)) + 2 * self.four if self.mixed else 2 * self.fours
        return self.fours * multiplies + loads + 3 * self.loops

    @property
    def tile_instructions(self) -> int:
        """Apart from the turns."""
        output = (5 if self.half_up else 6) + 3 * (self.low > -128) + 3 * (self.high < 127)
        constants = 2 if self.uniform else self.channels
        return self.channels * output + constants + self.pairs * self.mixed + 7 + 5 * (self.back > 0)


@dataclass(frozen=True)
class Vector:
    """What templates/kernels/fully_connected/arm_dsp_vector.c.j2 looks up besides the params.

    words  of weights per channel pair.  computed: output channels, one more than the layer has where that has one.
    """

    inputs: int
    outputs: int
    computed: int
    words: int
    tiles: int
    turns: int
    stream_words: int
    product: VectorProduct

    @property
    def padded_inputs(self) -> int:
        return 2 * self.words

    @property
    def widened_bytes(self) -> int:
        return 4 * self.words

    @property
    def gathers(self) -> bool:
        """Are the inputs no whole groups, so that they are copied before they are widened?"""
        return self.inputs != self.padded_inputs

    @property
    def output_offset(self) -> int:
        return self.widened_bytes + self.padded_inputs * self.gathers

    @property
    def scratch(self) -> int:
        return self.output_offset + (self.computed if self.computed != self.outputs else 0)


def supports(params: Params) -> bool:
    """A single pixel of int8, and the short requantization."""
    if params.element != "int8" or not is_pointwise(params):
        return False
    layer = pointwise(params)
    return layer.pixels == 1 and layer.inputs <= MAX_INPUTS and requantizes(layer)


def tile_channels(layer: Pointwise, size: int) -> Array:
    """Output channels of each tile [tiles, size]; a missing second one is the first again."""
    if layer.outputs < size:
        return np.zeros((1, size), np.int64)
    return np.array(group_starts(layer.outputs, size))[:, None] + np.arange(size)


def uniform(layer: Pointwise) -> bool:
    numbers = quantization(layer)
    return bool((numbers == numbers[0]).all())


def details(params: Params) -> Vector:
    layer = pointwise(params)
    size = MAX_CHANNELS if layer.outputs >= MAX_CHANNELS else 2
    channels = tile_channels(layer, size)
    turns = -(-layer.inputs // STRAIGHT_INPUTS)
    fours = -(-layer.inputs // (4 * turns))
    words = 2 * fours * turns
    one, tile_words = uniform(layer), size + size // 2 * words
    tile_words += 0 if one else 3 * size
    return Vector(
        inputs=layer.inputs,
        outputs=layer.outputs,
        computed=max(layer.outputs, size),
        words=words,
        tiles=len(channels),
        turns=turns,
        stream_words=3 * one + len(channels) * tile_words,
        product=VectorProduct(
            channels=size,
            eights=fours // 2,
            four=fours % 2 == 1,
            loops=turns > 1,
            mixed=mixes(layer, channels.reshape(-1, 2)),
            half_up=rounds_half_up(layer),
            uniform=one,
            low=params.activation_min,
            high=params.activation_max,
            back=-layer.outputs % size if layer.outputs > size else 0,
            tile_bytes=4 * tile_words if layer.outputs > size and layer.outputs % size else 0,
        ),
    )


def pack(params: Params) -> Mapping[str, Array]:
    """One int32 stream: (multiplier, rounding, shift) of all channels if they are the same; then per tile

    initial accumulators (of every pair mixed or channel 1, then of every pair channel 0), weight words of the pairs in
    turn, and (multiplier, rounding, shift) per channel where they differ.
    """
    layer, vector = pointwise(params), details(params)
    channels, mixed = tile_channels(layer, vector.product.channels), vector.product.mixed
    pairs = channels.reshape(len(channels), -1, 2)
    bias = layer.folded_bias.astype(np.int64)[pairs]  # [tiles, pairs, 2]
    second = bias[..., 0] + 256 * bias[..., 1] if mixed else bias[..., 1]
    words = weight_words(layer, pairs.reshape(-1, 2), vector.words, mixed)
    words = words.reshape(*pairs.shape[:2], -1).transpose(0, 2, 1).reshape(len(channels), -1)
    parts = [second, bias[..., 0], words]
    numbers = quantization(layer)
    if not vector.product.uniform:
        parts.append(numbers[channels].reshape(len(channels), -1))
    stream = np.concatenate(parts, axis=1).reshape(-1)
    return {"stream": as_words(np.concatenate([numbers[0], stream]) if vector.product.uniform else stream)}


def parts(params: Params) -> Mapping[str, Part]:
    vector = details(params)
    return {
        "dsp_vector_product": Part("fully_connected/arm_dsp_product.c.j2", vector.product),
        "dsp_run": Part("conv_2d/arm_dsp_run.c.j2", Run(vector.padded_inputs, step=4)),
    }


def cost(params: Params) -> Cost:
    """Instructions of the tiles, counted, and of the C around them (measured)."""
    vector = details(params)
    product, run = vector.product, Run(vector.padded_inputs, step=4)
    tile = vector.turns * product.turn_instructions + product.tile_instructions
    copies = (10 + vector.inputs // 3) * vector.gathers + 12 * (vector.computed != vector.outputs)
    return Cost(
        instructions=vector.tiles * tile + run.instructions + copies + 12,
        code_bytes=4 * (product.turn_instructions + product.tile_instructions) + 20 * run.unroll + 160,
    )


def kernel(op: str) -> Kernel:
    """The same kernel serves two operators."""
    return Kernel(
        op=op,
        isa="arm_dsp",
        template="fully_connected/arm_dsp_vector.c.j2",
        supports=supports,
        pack=pack,
        scratch=lambda params: details(params).scratch,
        by_rows=lambda params: False,
        cost=cost,
        details=details,
        parts=parts,
    )


KERNELS = (kernel("conv_2d"), kernel("fully_connected"))
