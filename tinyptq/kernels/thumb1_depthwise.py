"""Depthwise convolution for Thumb-1: two neighbouring pixels of a channel at a time, straight from the input lines.

A channel's weights are first unpacked to words in scratch memory, where one LDM brings three. Each input byte is
loaded once for both pixels; the order of the products lets nearly every MULS overwrite a value used no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array
from tinyptq.kernels.base import Cost, Kernel, Part
from tinyptq.kernels.proofs import Pointwise, depthwise_matrix, rounds_half_up, without_dead_channels
from tinyptq.kernels.thumb1 import requantization, requantizes
from tinyptq.ops import window as win
from tinyptq.ops.depthwise_conv_2d import OP, DepthwiseConv2DInt
from tinyptq.ops.window import Window

ACCUMULATORS = ("r8", "r9")
POOL = ("r3", "r4", "r5", "r6", "r7")
LDM = 3  # weights loaded at a time
MAX_COLUMNS = 7  # of a kernel row in straight-line code: C99 knows string literals of up to 4095 characters
MAX_ALIVE = len(POOL) - 1  # weights in registers beside the input byte
MAX_ROWS = 16  # of the kernel, each a slot of the frame
MAX_TAPS = 256
MAX_DILATION = 4  # and stride: every pixel on the way is an ADD
WORD_TAPS = 4
WORD = 4
CODE_BYTES = 400  # beside what most layers of a model share


@dataclass(frozen=True)
class ColumnsCode:
    """What templates/kernels/depthwise_conv_2d/thumb1_columns.c.j2 looks up: layers for which it is equal share it.

    lines, columns  of the kernel.
    dilation        pixels from a tap to the next.
    weight_words    packed words of a channel.
    pair, one       instructions of one kernel row, for two pixels and for one; none where they would be too many.
    half_up         ties below zero may round up.
    """

    lines: int
    columns: int
    dilation: int
    weight_words: int
    pair: tuple[str, ...]
    one: tuple[str, ...]
    half_up: bool
    activation_min: int
    activation_max: int

    @property
    def requantize(self) -> int:
        """Instructions of one output, its store included."""
        clamps = 2 if (self.activation_min, self.activation_max) == (-128, 127) else 4
        return 26 + clamps + (0 if self.half_up else 2)

    @property
    def row_of_one(self) -> int:
        """Instructions of one kernel row of one pixel."""
        return len(self.one) or (4 + self.dilation) * self.columns


@dataclass(frozen=True)
class Walk:
    """What templates/kernels/depthwise_conv_2d/thumb1.c.j2 looks up besides the params.

    turned      a column of pixels is walked as if it were a row; calls compute some of its pixels.
    columns     output pixels of a row.
    pixel_step  from an output pixel's first byte of input to the next one's.
    ring        bytes of padded lines at the start of scratch.
    """

    turned: bool
    columns: int
    channels: int
    pixel_step: int
    ring: int
    code: ColumnsCode

    @property
    def advance(self) -> int:
        """Bytes of input from what is computed at a time to the next."""
        return self.pixel_step * (2 if self.code.pair else 1)

    @property
    def weights_offset(self) -> int:
        return -(-self.ring // WORD) * WORD

    @property
    def scratch(self) -> int:
        """Padded lines, then a channel's weights as words."""
        return self.weights_offset + WORD * WORD_TAPS * self.code.weight_words


def view(params: DepthwiseConv2DInt) -> Window:
    """The window as it is walked: a valid window over an image one pixel wide lies in memory like one row."""
    window = params.window
    if not is_turned(params):
        return window
    return Window(window.kernel[::-1], window.stride[::-1], window.dilation[::-1])


def is_turned(params: DepthwiseConv2DInt) -> bool:
    window = params.window
    return params.input_shape[2] == 1 and window.kernel[1] == 1 and not window.padded


def live(params: DepthwiseConv2DInt) -> Pointwise:
    return without_dead_channels(depthwise_matrix(params), params.activation_max)


def supports(params: DepthwiseConv2DInt) -> bool:
    """int8, one filter per channel, right shifts and sums that the short requantization covers."""
    rows, columns = view(params).kernel
    taps = rows * columns
    if params.element != "int8" or params.depth_multiplier != 1 or rows > MAX_ROWS or taps > MAX_TAPS:
        return False
    return view(params).dilation[1] <= MAX_DILATION and requantizes(live(params))


def uses(window: Window, pixels: int) -> dict[int, list[tuple[int, int]]]:
    """Column of input pixels -> (output pixel, tap) that multiply it, in the order of columns."""
    result: dict[int, list[tuple[int, int]]] = {}
    for pixel in range(pixels):
        for tap in range(window.kernel[1]):
            result.setdefault(pixel * window.stride[1] + tap * window.dilation[1], []).append((pixel, tap))
    return {column: result[column] for column in sorted(result)}


def kernel_row(window: Window, pixels: int) -> tuple[str, ...]:
    """r0 line, r1 weights, r2 byte of the first column, r10 bytes of a pixel: products into the accumulators.

    The second pixel's product overwrites the weight, which no other needs, and comes first; the first pixel's then
    overwrites the input byte.
    """
    columns, free, place, text = uses(window, pixels), list(POOL), dict[int, str](), list[str]()
    remaining = list(range(window.kernel[1]))
    left = dict.fromkeys(remaining, pixels)  # products still to come
    position = 0
    for column, products in columns.items():
        text += ["add r2, r10"] * (column - position)
        position = column
        x = free.pop()
        text.append(f"ldrsb {x}, [r0, r2]")
        for pixel, tap in sorted(products, key=lambda use: left[use[1]]):
            if tap not in place:
                registers = sorted(free)[: min(LDM, len(remaining))]
                text.append(f"ldm r1!, {{{', '.join(registers)}}}")
                place |= dict(zip(remaining, registers, strict=False))
                free = [register for register in free if register not in registers]
                remaining = remaining[len(registers) :]
            left[tap] -= 1
            target, factor = (x, place[tap]) if left[tap] else (place[tap], x)
            text += [f"muls {target}, {factor}", f"add {ACCUMULATORS[pixel]}, {target}"]
            if not left[tap]:
                free.append(place[tap])
        free.append(x)
    return tuple(text)


def details(params: DepthwiseConv2DInt) -> Walk:
    window = view(params)
    turned = is_turned(params)
    columns = params.output_shape[1 if turned else 2]
    short = window.kernel[1] <= MAX_COLUMNS
    paired = short and columns > 1 and window.stride[1] // window.dilation[1] <= MAX_ALIVE - 1
    return Walk(
        turned=turned,
        columns=columns,
        channels=params.output_shape[3],
        pixel_step=window.stride[1] * params.output_shape[3],
        ring=win.ring_bytes(params.window, params.input_shape),
        code=ColumnsCode(
            lines=window.kernel[0],
            columns=window.kernel[1],
            dilation=window.dilation[1],
            weight_words=-(-window.kernel[0] * window.kernel[1] // WORD_TAPS),
            pair=kernel_row(window, 2) if paired else (),
            one=kernel_row(window, 1) if short else (),
            half_up=rounds_half_up(live(params)),
            activation_min=params.activation_min,
            activation_max=params.activation_max,
        ),
    )


def pack(params: DepthwiseConv2DInt) -> Mapping[str, Array]:
    """One int32 stream, per channel: bias, multiplier (its lower half, its upper half), rounding, shift, weights.

    Weights are four to a word, the first one lowest.
    """
    layer = live(params)
    taps = layer.weights.astype(np.int64) & 0xFF  # [channels, taps]
    taps = np.pad(taps, ((0, 0), (0, -taps.shape[1] % WORD_TAPS))).reshape(len(taps), -1, WORD_TAPS)
    words = (taps << (8 * np.arange(WORD_TAPS))).sum(axis=2)
    stream = np.concatenate([layer.folded_bias.astype(np.int64)[:, None], requantization(layer), words], axis=1)
    return {"stream": (stream & 0xFFFFFFFF).astype(np.uint32).view(np.int32)}


def cost(params: DepthwiseConv2DInt) -> Cost:
    """Instructions counted, and of the C around them (measured)."""
    walk, (_, rows, columns, _) = details(params), params.output_shape
    code = walk.code
    rows, columns = (1, rows) if walk.turned else (rows, columns)
    one = 6 + code.lines * (2 + code.row_of_one) + code.requantize
    pair = 13 + code.lines * (2 + len(code.pair)) + 2 * code.requantize
    pairs = columns // 2 if code.pair else 0
    channel = 24 + 8 * code.weight_words + pairs * pair + (columns - 2 * pairs) * one
    line = 60 + params.lines.bytes if params.lines.padded else 0
    row = walk.channels * channel + 20 * code.lines + 60
    return Cost(instructions=rows * row + params.input_shape[1] * line + 40, code_bytes=CODE_BYTES)


def leads(params: DepthwiseConv2DInt) -> tuple[int | None, ...]:
    """One row after another; all pixels of a channel before the next one where a column is walked like a row."""
    return () if is_turned(params) else OP.leads(params)


KERNELS = (
    Kernel(
        op="depthwise_conv_2d",
        isa="thumb1",
        template="depthwise_conv_2d/thumb1.c.j2",
        supports=supports,
        pack=pack,
        scratch=lambda params: details(params).scratch,
        by_rows=lambda params: True,
        cost=cost,
        leads=leads,
        details=details,
        parts=lambda params: {"thumb1_columns": Part("depthwise_conv_2d/thumb1_columns.c.j2", details(params).code)},
    ),
)
