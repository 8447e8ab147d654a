"""Depthwise convolution for 32-bit cores without SIMD: a channel's weights in registers, several pixels at a time.

Neighbouring pixels share inputs: each is loaded once for all of them. Plain C.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from tinyptq.graph import Array
from tinyptq.kernels.arm_dsp import requantizes
from tinyptq.kernels.base import Cost, Kernel
from tinyptq.kernels.proofs import rounds_half_up
from tinyptq.kernels.scalar import CORES, Core, quantization
from tinyptq.kernels.thumb1_depthwise import is_turned, leads, live, uses, view
from tinyptq.ops import window as win
from tinyptq.ops.depthwise_conv_2d import DepthwiseConv2DInt

MAX_TAPS = 25
PIXELS = {"riscv32": 5, "thumb2": 2, "scalar": 2}  # most at a time
SPILL = {"riscv32": 0.0, "thumb2": 1.0, "scalar": 1.0}  # instructions a product costs for want of registers, measured


@dataclass(frozen=True)
class Walk:
    """What templates/kernels/depthwise_conv_2d/scalar.c.j2 looks up besides the params.

    turned      a column of pixels is walked as if it were a row; calls compute some of its pixels.
    sizes       pixels computed at a time: as many, then what is left one by one.
    products    per size: (input column, pixel, tap) of a kernel row.
    """

    turned: bool
    rows: int
    taps: int  # of a kernel row
    columns: int
    channels: int
    pixel_step: int  # bytes from an output pixel's first input to the next one's
    sizes: tuple[int, ...]
    products: Mapping[int, tuple[tuple[int, int, int], ...]]
    half_up: bool


def supports(params: DepthwiseConv2DInt) -> bool:
    """int8, one filter per channel, few taps, right shifts and sums that the short requantization covers."""
    rows, columns = params.window.kernel
    small = params.depth_multiplier == 1 and rows * columns <= MAX_TAPS
    return params.element == "int8" and small and requantizes(live(params))


def details(core: Core, params: DepthwiseConv2DInt) -> Walk:
    window, turned = view(params), is_turned(params)
    columns = params.output_shape[1 if turned else 2]
    best = min(range(1, min(PIXELS[core.isa], columns) + 1), key=lambda p: line_instructions(core, params, p, columns))
    sizes = (best, 1) if best > 1 and (turned or columns % best) else (best,)
    return Walk(
        turned=turned,
        rows=window.kernel[0],
        taps=window.kernel[1],
        columns=columns,
        channels=params.output_shape[3],
        pixel_step=window.stride[1] * params.output_shape[3],
        sizes=sizes,
        products={
            size: tuple((column, *use) for column, several in uses(window, size).items() for use in several)
            for size in sizes
        },
        half_up=rounds_half_up(live(params)),
    )


def line_instructions(core: Core, params: DepthwiseConv2DInt, pixels: int, columns: int) -> int:
    """Of one channel of a line of output pixels, so many at a time."""

    def tile(size: int) -> float:
        window = view(params)
        taps = window.kernel[0] * window.kernel[1]
        loads = window.kernel[0] * (len(uses(window, size)) + 1)
        return loads + size * (taps * (core.product + SPILL[core.isa]) + core.requantize) + 4

    tiles, rest = divmod(columns, pixels)
    return round(tiles * tile(pixels) + rest * tile(1))


def pack(params: DepthwiseConv2DInt) -> Mapping[str, Array]:
    """weights [channels, taps]; quantization [channels]: see scalar.quantization."""
    layer = live(params)
    return {"weights": np.ascontiguousarray(layer.weights), "quantization": quantization(layer)}


def cost(core: Core, params: DepthwiseConv2DInt) -> Cost:
    """Instructions of the loops (counted from the C), and of what surrounds them (measured)."""
    walk, rows = details(core, params), params.output_shape[1]
    line = 40 + params.lines.bytes if params.lines.padded else 0
    channel = line_instructions(core, params, walk.sizes[0], walk.columns) + 2 * walk.rows * walk.taps + 25
    row = walk.channels * channel + 10 * walk.rows + 40
    code = sum(2 * size * (3 * walk.rows * walk.taps + 20) for size in walk.sizes) + 300
    return Cost((1 if walk.turned else rows) * row + params.input_shape[1] * line + 30, code)


def kernel(core: Core) -> Kernel:
    return Kernel(
        op="depthwise_conv_2d",
        isa=core.isa,
        template=f"depthwise_conv_2d/{core.isa}.c.j2",
        supports=supports,
        pack=pack,
        scratch=lambda params: win.ring_bytes(params.window, params.input_shape),
        by_rows=lambda params: True,
        cost=partial(cost, core),
        leads=leads,
        details=partial(details, core),
    )


KERNELS = tuple(kernel(core) for core in CORES)
