"""Depthwise 3x3 convolution for Arm cores with the DSP extension: planes of a channel as int16, 2x2 outputs at a time.

Four channels of some rows are brought into four planes, borders included. In a plane, neighbouring pixels are the two
halves of a word, so that SMLAD does two taps. Weights (doubled: the accumulator is 2·acc, what SMMLAR wants) stay in
registers for a whole plane. Rows are computed in bands whose planes fit into scratch memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from tinyptq.graph import Array
from tinyptq.kernels.arm_dsp import as_words, quantization, requantizes
from tinyptq.kernels.arm_dsp_depthwise import live
from tinyptq.kernels.base import Cost, Kernel, Part
from tinyptq.kernels.leads import lead_of
from tinyptq.kernels.proofs import group_starts, rounds_half_up
from tinyptq.ops.depthwise_conv_2d import DepthwiseConv2DInt

CHANNELS = 4  # planes
PLANE_BYTES = 1364  # of one: the last of them is an immediate offset of STR away from the first
REACH = 4095  # largest immediate offset of LDR and STR, and number ADD takes
PAIR_REACH = 1020  # largest immediate offset of LDRD
BandOf = Callable[[DepthwiseConv2DInt], int]
CONSTANTS = 10  # int32 words of a channel in the packed stream


@dataclass(frozen=True)
class Plane:
    """What templates/kernels/depthwise_conv_2d/arm_dsp_plane_product.c.j2 looks up: 2x2 outputs down a plane.

    pitch     bytes of a plane's row.  columns: pairs of output columns.
    odd       the last pair has one column.  pixel, row: bytes from an output to the next one, and to the one below.
    """

    stride: int
    pitch: int
    columns: int
    odd: bool
    pixel: int
    row: int
    half_up: bool
    low: int
    high: int

    @property
    def clamps(self) -> bool:
        return self.low > -128 or self.high < 127

    @property
    def column_step(self) -> int:
        return 4 * self.stride

    @property
    def instructions(self) -> int:
        """Of 2x2 outputs."""
        output = (4 if self.half_up else 5) + 3 * (self.low > -128) + 3 * (self.high < 127)
        return (38 if self.stride == 1 else 44) + 4 * output + 2 * self.odd


@dataclass(frozen=True)
class Split:
    """What templates/kernels/depthwise_conv_2d/arm_dsp_plane_split.c.j2 looks up: rows of four channels into planes.

    pairs of pixels; odd: and one more.  plane, pitch: bytes of a plane, of a row in it.
    """

    pairs: int
    odd: bool
    pixel: int
    row: int
    plane: int
    pitch: int


@dataclass(frozen=True)
class Banded:
    """What templates/kernels/depthwise_conv_2d/arm_dsp_plane.c.j2 looks up besides the params.

    band  output rows computed at a time, even.
    """

    plane: Plane
    split: Split
    band: int
    rest: int
    channels: int

    @property
    def full(self) -> int:
        """Whole groups of four channels; rest: first channel of one more that overlaps them, else 0."""
        return self.channels // CHANNELS

    @property
    def scratch(self) -> int:
        return CHANNELS * self.split.plane


def supports(params: DepthwiseConv2DInt) -> bool:
    """A 3x3 kernel, stride 1 or 2, rows that fit the immediates, and the short requantization."""
    window, (_, _, columns, channels) = params.window, params.output_shape
    if params.element != "int8" or params.depth_multiplier != 1 or channels < CHANNELS:
        return False
    if window.kernel != (3, 3) or window.dilation != (1, 1) or window.stride not in ((1, 1), (2, 2)):
        return False
    if min(params.output_shape[1], columns, params.input_shape[2]) < 2 or not requantizes(live(params)):
        return False
    plane = details(params).plane
    steps = (plane.row + plane.pixel, 2 * channels, plane.column_step * plane.columns)
    last_row = plane.stride + 2  # of the plane, under two rows of output
    return details(params).band >= 2 and last_row * plane.pitch + 8 <= PAIR_REACH and max(steps) <= REACH


def pitch_pixels(params: DepthwiseConv2DInt) -> int:
    """Of a plane's row: the padded image, and what an odd last pair of columns reads beyond it; even."""
    window, columns = params.window, -(-params.output_shape[2] // 2) * 2
    wanted = (columns - 1) * window.stride[1] + 3 + (window.stride[1] == 2)
    return -(-max(wanted, params.input_shape[2] + window.pad_left + window.pad_right) // 2) * 2


def largest_band(params: DepthwiseConv2DInt) -> int:
    """Output rows, even, whose planes fit into scratch memory."""
    most = (PLANE_BYTES // (2 * pitch_pixels(params)) - 3) // params.window.stride[0] + 1
    return max(min(most, params.output_shape[1]) // 2 * 2, 0)


def narrow_band(share: float, params: DepthwiseConv2DInt) -> int:
    """The fewest output rows that this share of instructions more allows."""
    largest = largest_band(params)
    limit = (1 + share) * cost(params).instructions
    return next((b for b in range(2, largest, 2) if cost(params, always(b)).instructions <= limit), largest)


def always(band: int) -> BandOf:
    return lambda params: band


def details(params: DepthwiseConv2DInt, band_of: BandOf = largest_band) -> Banded:
    window, (_, _, columns, channels) = params.window, params.output_shape
    stride, pitch, band = window.stride[0], 2 * pitch_pixels(params), band_of(params)
    layer = live(params)
    width = params.input_shape[2]
    return Banded(
        plane=Plane(
            stride=stride,
            pitch=pitch,
            columns=-(-columns // 2),
            odd=columns % 2 == 1,
            pixel=channels,
            row=columns * channels,
            half_up=rounds_half_up(layer),
            low=params.activation_min,
            high=params.activation_max,
        ),
        split=Split(
            pairs=width // 2,
            odd=width % 2 == 1,
            pixel=channels,
            row=width * channels,
            plane=((max(band, 2) - 1) * stride + 3) * pitch,
            pitch=pitch,
        ),
        band=band,
        rest=channels - CHANNELS if channels % CHANNELS else 0,
        channels=channels,
    )


def pack(params: DepthwiseConv2DInt) -> Mapping[str, Array]:
    """int32 per channel: six words of doubled weights as the registers take them, 2·bias, multiplier, rounding, shift.

    Stride 1: per kernel row (w0, w1), (w1, w2). Stride 2: the rows' (w0, w1), then their w2 in half-words.
    """
    layer = live(params)
    starts = group_starts(layer.outputs, CHANNELS)
    channels = (np.array(starts)[:, None] + np.arange(CHANNELS)).reshape(-1)
    w = 2 * layer.weights.astype(np.int64)[channels].reshape(-1, 3, 3)
    if params.window.stride[0] == 1:
        halves = np.stack([w[:, :, :2], w[:, :, 1:]], axis=2).reshape(len(w), 6, 2)
    else:
        last = np.concatenate([w[:, :, 2], np.zeros((len(w), 3), np.int64)], axis=1).reshape(len(w), 3, 2)
        halves = np.concatenate([w[:, :, :2], last], axis=1)
    words = (halves[..., 0] & 0xFFFF) + (halves[..., 1] << 16)
    bias = 2 * layer.folded_bias.astype(np.int64)[channels, None]
    return {"stream": as_words(np.concatenate([words, bias, quantization(layer)[channels]], axis=1).reshape(-1))}


def parts(params: DepthwiseConv2DInt, band_of: BandOf = largest_band) -> Mapping[str, Part]:
    banded = details(params, band_of)
    return {
        "dsp_plane": Part("depthwise_conv_2d/arm_dsp_plane_product.c.j2", banded.plane),
        "dsp_split": Part("depthwise_conv_2d/arm_dsp_plane_split.c.j2", banded.split),
    }


def cost(params: DepthwiseConv2DInt, band_of: BandOf = largest_band) -> Cost:
    """Instructions of both loops, counted, and of the C around them (measured)."""
    k, rows = details(params, band_of), params.output_shape[1]
    plane, groups = k.plane, k.full + (k.rest > 0)
    total = 40
    for band in [k.band] * (rows // k.band) + [rows % k.band] * (rows % k.band > 0):
        pairs = -(-band // 2)
        inputs = min((2 * pairs - 1) * plane.stride + 3, params.input_shape[1])
        split = inputs * (16 * k.split.pairs + 10 * k.split.odd + 4) + 16
        product = pairs * (plane.columns * plane.instructions + 11) + 30
        total += groups * (split + CHANNELS * product + 20) + k.scratch // 4 + 50
    return Cost(total, 4 * (plane.instructions + 100) + 300)


def leads(params: DepthwiseConv2DInt, band_of: BandOf = largest_band) -> tuple[int]:
    """One band of rows after another; within it all of some channels before the next ones."""
    (_, rows, columns, channels), band = params.output_shape, band_of(params)
    steps = []
    for start in range(0, rows, band):
        first = start - (rows - start) % 2 if start + band > rows else start
        top, _ = params.window.input_rows(first, first + 1, params.input_shape[1])
        steps.append((min(start + band, rows) * columns * channels, top * params.input_shape[2] * channels))
    return (lead_of(steps),)


def kernel(band_of: BandOf) -> Kernel:
    return Kernel(
        op="depthwise_conv_2d",
        isa="arm_dsp",
        template="depthwise_conv_2d/arm_dsp_plane.c.j2",
        supports=supports,
        pack=pack,
        scratch=lambda params: details(params, band_of).scratch,
        by_rows=lambda params: False,
        cost=partial(cost, band_of=band_of),
        leads=partial(leads, band_of=band_of),
        details=partial(details, band_of=band_of),
        parts=partial(parts, band_of=band_of),
    )


KERNELS = (replace(kernel(largest_band), closer=lambda share: kernel(partial(narrow_band, share))),)
