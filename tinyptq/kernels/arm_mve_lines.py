"""Convolution for Arm Helium (Cortex-M55 and later) straight from the lines: input channels are whole vectors.

The tile of arm_mve.py, 2 pixels × 4 channels, with one pointer per kernel row and nothing copied. A unit of the code is
16 input channels of one line under the kernel; units are alike but for the pointer, so the assembler repeats one. Taps
are taken from right to left: what the second pixel sees of one tap is often what the first sees of the tap before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array
from tinyptq.kernels import arm_mve
from tinyptq.kernels.arm_lines import MVE_BYTE, lines_cost, lines_part
from tinyptq.kernels.arm_mve import ACCUMULATORS, BYTE_REACH, CHANNELS, LANES, PIXELS, VECTORS, WORD_REACH
from tinyptq.kernels.base import Cost, Kernel, Part
from tinyptq.kernels.proofs import conv_matrix, group_starts, is_pointwise, right_shifts, rounds_half_up
from tinyptq.kernels.schedule import Multiply, interleave
from tinyptq.ops.conv_2d import OP, Conv2DInt
from tinyptq.ops.window import ring_bytes

LINES = ("r1", "r3", "r7")
MAX_TAPS = 3  # of a kernel row: C99 knows string literals of up to 4095 characters
ADD_REACH = 4095


@dataclass(frozen=True)
class LineProduct:
    """What templates/kernels/conv_2d/arm_mve_line_product.c.j2 looks up: layers with the same share the function.

    lines    registers that point at the lines under the kernel.
    first    the unit that begins the accumulators; other: one of the others, whose lines are `others`, in turn.
    advance  moves the pointers on to the next pixels, and the weights back.
    stores, half_up, zero_point, low, high: as for arm_mve.Product.
    """

    outputs: int
    lines: tuple[str, ...]
    first: tuple[str, ...]
    others: tuple[str, ...]
    other: tuple[str, ...]
    advance: tuple[str, ...]
    group_bytes: int
    stores: tuple[tuple[str, ...], tuple[str, ...]]
    half_up: bool
    zero_point: int
    low: int
    high: int

    @property
    def instructions(self) -> int:
        """Of a tile."""
        multiply = len(self.first) + len(self.others) * len(self.other) + len(self.advance)
        stores = sum(len(part) for part in self.stores)
        clamps = 3 * (self.low > -128) + 3 * (self.high < 127)
        return multiply + 6 + PIXELS * (6 if self.half_up else 8) + stores + clamps


@dataclass(frozen=True)
class LineTile:
    """What templates/kernels/conv_2d/arm_mve_lines.c.j2 looks up besides the params.

    tiles  of two pixels in a row.  odd: one pixel is left over; last_pixels: where it and the one before begin.
    full   groups of four channels.  rest: first channel of one more that overlaps them, 0 when none does.
    """

    product: LineProduct
    row_pixels: int
    full: int
    rest: int

    @property
    def tiles(self) -> int:
        return self.row_pixels // PIXELS

    @property
    def odd(self) -> bool:
        return self.row_pixels % PIXELS == 1

    @property
    def last_pixels(self) -> int:
        return self.row_pixels - PIXELS


def reach(params: Conv2DInt) -> tuple[str, int]:
    """Load instruction and its reach: the ring is aligned, the input may not be."""
    return ("vldrw.u32", WORD_REACH) if params.lines.padded else ("vldrb.u8", BYTE_REACH)


def farthest(params: Conv2DInt) -> int:
    """Byte beyond the line's pointer where the last vector of a unit begins."""
    return (params.window.kernel[1] - 1) * params.lines.tap_bytes + params.lines.column_bytes


def supports(params: Conv2DInt) -> bool:
    """One group of int8, input channels by 16, few lines and taps within reach, two pixels, and the proofs."""
    if params.element != "int8" or params.groups != 1 or is_pointwise(params):
        return False
    layer, window = conv_matrix(params), params.window
    return (
        params.input_shape[3] % LANES == 0
        and window.kernel[0] <= len(LINES)
        and window.kernel[1] <= MAX_TAPS
        and layer.row_pixels >= PIXELS
        and layer.outputs >= CHANNELS
        and layer.inputs * CHANNELS <= ADD_REACH
        and max(farthest(params), step(params)) <= reach(params)[1]
        and arm_mve.requantizes(layer)
    )


def step(params: Conv2DInt) -> int:
    """How far a unit moves its line's pointer: to the next pixels, or to 16 more channels."""
    return PIXELS * params.lines.column_bytes if params.input_shape[3] == LANES else LANES


def unit(params: Conv2DInt, line: str, first: str) -> tuple[str, ...]:
    """Scheduled loads and multiplies of 16 input channels of a line; the last load moves its pointer."""
    mnemonic, _ = reach(params)
    lines, taps = params.lines, range(params.window.kernel[1] - 1, -1, -1)
    loads: dict[str, tuple[str, ...]] = {}
    multiplies = []
    for tap in taps:
        here = tap * lines.tap_bytes
        places = (here + lines.column_bytes, here)  # second pixel, first pixel: offset 0 comes last
        for place in places:
            address = f"[{line}, #{place}]" if place else f"[{line}], #{step(params)}"
            loads[f"x{place}"] = (f"{mnemonic} {{register}}, {address}",)
        for channel in range(CHANNELS):
            name = f"w{channel}.{tap}"
            loads[name] = (f"vldrw.u32 {{register}}, [{arm_mve.WEIGHTS}], #16",)
            multiplies += [Multiply(ACCUMULATORS[p][channel], f"x{places[1 - p]}", name) for p in (1, 0)]
    return interleave(multiplies, loads, VECTORS, first, "vmladava.s8")


def details(params: Conv2DInt) -> LineTile:
    layer, lines = conv_matrix(params), params.lines
    registers = LINES[: params.window.kernel[0]]
    depth = params.input_shape[3] // LANES
    units = [register for register in registers for _ in range(depth)]
    group_bytes = layer.inputs * CHANNELS
    moved = PIXELS * lines.column_bytes - params.input_shape[3]
    advance = [f"add {register}, {register}, #{moved}" for register in registers] if depth > 1 and moved else []
    product = LineProduct(
        outputs=layer.outputs,
        lines=registers,
        first=unit(params, registers[0], "vmladav.s8"),
        others=tuple(units[1:]),
        other=unit(params, "\\\\row", "vmladava.s8"),
        advance=(*advance, f"sub {arm_mve.WEIGHTS}, {arm_mve.WEIGHTS}, #{group_bytes}"),
        group_bytes=group_bytes,
        stores=arm_mve.stores(layer.outputs),
        half_up=rounds_half_up(layer),
        zero_point=layer.output_zero_point,
        low=params.activation_min,
        high=params.activation_max,
    )
    full = layer.outputs // CHANNELS
    return LineTile(product, layer.row_pixels, full, layer.outputs - CHANNELS if layer.outputs % CHANNELS else 0)


def pack(params: Conv2DInt) -> Mapping[str, Array]:
    """weights: int8 [groups, kernel rows, depth / 16, taps from the right, 4 channels, 16]; parameters as arm_mve's."""
    layer = conv_matrix(params)
    height, width = params.window.kernel
    channels = np.array(group_starts(layer.outputs, CHANNELS))[:, None] + np.arange(CHANNELS)
    blocks = params.weights.reshape(layer.outputs, height, width, -1, LANES)[channels]  # [groups, 4, kh, kw, depth, 16]
    weights = blocks[:, :, :, ::-1].transpose(0, 2, 4, 3, 1, 5)
    multiplier = np.broadcast_to(layer.multiplier, (layer.outputs,))
    quantization = np.stack([layer.folded_bias, multiplier, -right_shifts(layer)])
    return {
        "weights": np.ascontiguousarray(weights).reshape(-1),
        "parameters": np.ascontiguousarray(quantization[:, channels].transpose(1, 0, 2).astype(np.int32)),
    }


def cost(params: Conv2DInt) -> Cost:
    """Instructions of a tile, counted; the C around it (fitted)."""
    k, rows = details(params), params.output_shape[1]
    groups, calls = k.full + (k.rest > 0), (1 + (k.rest > 0)) * (1 + k.odd)
    row = groups * ((k.tiles + k.odd) * k.product.instructions + 16 * (1 + k.odd)) + 30 * calls
    return Cost(rows * row + lines_cost(params, MVE_BYTE) + 40, 4 * k.product.instructions + 260)


KERNELS = (
    Kernel(
        op="conv_2d",
        isa="arm_mve",
        template="conv_2d/arm_mve_lines.c.j2",
        supports=supports,
        pack=pack,
        scratch=lambda params: ring_bytes(params.window, params.input_shape),
        by_rows=lambda params: True,
        cost=cost,
        leads=OP.leads,
        details=details,
        parts=lambda params: {
            **lines_part(params),
            "mve_line_product": Part("conv_2d/arm_mve_line_product.c.j2", details(params).product),
        },
    ),
)
