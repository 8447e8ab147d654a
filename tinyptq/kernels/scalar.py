"""Convolution and fully connected for 32-bit cores without SIMD but with a 32 × 32 -> 64 bit product.

A tile of several pixels × several output channels stays in registers: each byte of input or weights that is loaded
serves a row or a column of the tile. Weights lie in the order of consumption. How large the tile is depends on how
many registers the core has: compilers spill them, so RISC-V and Thumb-2 have theirs in assembly. `scalar` is the same
in C, for any core.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tinyptq.graph import Array
from tinyptq.kernels.arm_dsp import requantizes
from tinyptq.kernels.base import Cost, Kernel
from tinyptq.kernels.leads import tile_leads
from tinyptq.kernels.proofs import Pointwise, group_starts, is_pointwise, pointwise, right_shifts, rounds_half_up
from tinyptq.ops import window as win
from tinyptq.ops.conv_2d import OP, Conv2DInt
from tinyptq.ops.fully_connected import FullyConnectedInt

Params = Conv2DInt | FullyConnectedInt

MAX_SIDE = 16  # of a tile
SMALL = 8  # tiles beyond that are unrolled half as far: C99 knows string literals of up to 4095 characters
MAX_UNROLL = 4  # inputs of straight-line code


@dataclass(frozen=True)
class Core:
    """What a tile is fitted to.

    template    the tile's.
    sums        most accumulators of a tile; alone: of a tile of one pixel.
    resident    most inputs or weights (whichever are fewer) that stay in registers beside them.
    product     instructions of a multiply-accumulate.
    requantize  instructions of an output, its store included.
    reach       largest byte offset of a load.
    """

    isa: str
    template: str
    sums: int
    alone: int
    resident: int
    product: int
    requantize: int
    reach: int


CORES = (
    Core(
        "riscv32",
        "kernels/conv_2d/riscv32_tile.c.j2",
        sums=16,
        alone=16,
        resident=4,
        product=2,
        requantize=20,
        reach=2047,
    ),
    Core(
        "thumb2", "kernels/conv_2d/thumb2_tile.c.j2", sums=8, alone=8, resident=2, product=1, requantize=18, reach=4095
    ),
    Core(
        "scalar", "kernels/conv_2d/scalar_tile.c.j2", sums=6, alone=8, resident=2, product=2, requantize=22, reach=2047
    ),
)


@dataclass(frozen=True)
class Tile:
    """What templates/kernels/conv_2d/scalar_*.c.j2 look up besides the params.

    template          of the tile.
    pixels, channels  of a tile; single: code for one pixel is needed, too.
    rows              of the kernel; runs_per_row contiguous pieces of `run` bytes in each.
    column_bytes      from one output pixel's window to the next one's.
    uniform           multiplier, rounding, shift where all channels have the same.
    """

    template: str
    pixels: int
    channels: int
    single: bool
    rows: int
    runs_per_row: int
    run: int
    column_bytes: int
    row_pixels: int
    by_rows: bool
    outputs: int
    half_up: bool
    uniform: tuple[int, int, int] | None

    @property
    def words(self) -> int:
        """int32 words of a channel behind its weights."""
        return 1 if self.uniform else 4

    @property
    def inputs(self) -> int:
        return self.rows * self.runs_per_row * self.run

    def unroll_of(self, pixels: int) -> int:
        """Inputs of straight-line code in the tile of so many pixels."""
        longest = MAX_UNROLL if pixels * self.channels <= SMALL else MAX_UNROLL // 2
        return max(n for n in range(1, longest + 1) if self.run % n == 0)

    @property
    def groups(self) -> int:
        return -(-self.outputs // self.channels)

    @property
    def last_channel(self) -> int:
        """First channel of the last group."""
        return self.outputs - self.channels

    @property
    def sizes(self) -> tuple[int, ...]:
        """Pixels of the functions to render."""
        return (self.pixels, 1) if self.single else (self.pixels,)

    @property
    def row_input_bytes(self) -> int:
        return self.row_pixels * self.inputs

    @property
    def row_output_bytes(self) -> int:
        return self.row_pixels * self.outputs


def matrix_supports(params: Params) -> bool:
    """int8, every pixel on its own, and the short requantization covers it."""
    return params.element == "int8" and is_pointwise(params) and requantizes(pointwise(params))


def window_supports(params: Conv2DInt) -> bool:
    """int8, one group, and the short requantization covers it; what is pointwise has its own kernel."""
    return (
        params.element == "int8" and params.groups == 1 and not is_pointwise(params) and requantizes(pointwise(params))
    )


def matrix_details(core: Core, params: Params) -> Tile:
    layer = pointwise(params)
    return fitted(core, layer, layer.pixels, layer.row_pixels, (1, 1, layer.inputs), layer.inputs)


def window_details(core: Core, params: Conv2DInt) -> Tile:
    runs_per_row = 1 if params.window.dilation[1] == 1 else params.window.kernel[1]
    shape = (params.window.kernel[0], runs_per_row, params.lines.run)
    columns = params.output_shape[2]
    return fitted(core, pointwise(params), columns, columns, shape, params.lines.column_bytes)


def fitted(
    core: Core, layer: Pointwise, together: int, row_pixels: int, shape: tuple[int, int, int], column_bytes: int
) -> Tile:
    """The tile with the fewest instructions. together: pixels side by side; shape: rows, runs, bytes of the kernel."""

    def tile(pixels: int, channels: int) -> Tile:
        return Tile(
            template=core.template,
            pixels=pixels,
            channels=channels,
            single=pixels > 1 and row_pixels % pixels > 0,
            rows=shape[0],
            runs_per_row=shape[1],
            run=shape[2],
            column_bytes=column_bytes,
            row_pixels=row_pixels,
            by_rows=layer.by_rows,
            outputs=layer.outputs,
            half_up=rounds_half_up(layer),
            uniform=uniform(layer),
        )

    sizes = [
        (pixels, channels)
        for pixels in range(1, min(MAX_SIDE, together) + 1)
        for channels in range(1, min(MAX_SIDE, layer.outputs) + 1)
        if pixels * channels <= (core.alone if pixels == 1 else core.sums)
        and min(pixels, channels) <= core.resident
        and (pixels == 1 or (pixels - 1) * column_bytes + MAX_UNROLL <= core.reach)
    ]
    return min((tile(*size) for size in sizes), key=lambda t: row_instructions(core, t, together))


def row_instructions(core: Core, tile: Tile, pixels: int) -> int:
    """Of so many pixels side by side."""
    tiles, rest = divmod(pixels, tile.pixels)
    return tiles * tile_instructions(core, tile, tile.pixels) + rest * tile_instructions(core, tile, 1)


def tile_instructions(core: Core, tile: Tile, pixels: int) -> int:
    """All output channels of so many pixels."""
    products = pixels * tile.channels
    step = pixels + tile.channels + core.product * products
    runs = tile.rows * tile.runs_per_row * (tile.run * step + 3 * tile.run // tile.unroll_of(pixels) + 4)
    group = runs + 5 * tile.rows + products * (core.requantize + 3) + tile.channels + 12
    return tile.groups * group + 20


def pack(details: Callable[[Any], Tile], params: Params) -> Mapping[str, Array]:
    """weights [groups, inputs, channels]; quantization [channels of all groups]: bias, then unless uniform the rest."""
    tile, layer = details(params), pointwise(params)
    channels = np.array(group_starts(tile.outputs, tile.channels))[:, None] + np.arange(tile.channels)
    return {
        "weights": np.ascontiguousarray(layer.weights[channels].transpose(0, 2, 1)),
        "quantization": quantization(layer)[channels.reshape(-1), : tile.words],
    }


def quantization(layer: Pointwise) -> Array:
    """int32 [outputs, 4]: bias, multiplier, rounding = 2^(shift − 1) + zero point · 2^shift, shift."""
    right = right_shifts(layer)
    multiplier = np.broadcast_to(layer.multiplier.astype(np.int64), right.shape)
    rounding = (1 << (right - 1)) + layer.output_zero_point * (1 << right)
    return np.stack([layer.folded_bias.astype(np.int64), multiplier, rounding, right], axis=1).astype(np.int32)


def uniform(layer: Pointwise) -> tuple[int, int, int] | None:
    """Multiplier, rounding, shift where all channels have the same."""
    rest = quantization(layer)[:, 1:]
    if (rest != rest[0]).any():
        return None
    multiplier, rounding, right = rest[0].tolist()
    return multiplier, rounding, right


def matrix_cost(core: Core, params: Params) -> Cost:
    tile, layer = matrix_details(core, params), pointwise(params)
    return Cost(row_instructions(core, tile, layer.pixels) + 30, code_bytes(tile))


def window_cost(core: Core, params: Conv2DInt) -> Cost:
    tile, (_, rows, columns, _) = window_details(core, params), params.output_shape
    line = 40 + params.lines.bytes if params.lines.padded else 0
    row = row_instructions(core, tile, columns) + 10 * tile.rows + 20
    return Cost(rows * row + params.input_shape[1] * line + 30, code_bytes(tile) + 200)


def code_bytes(tile: Tile) -> int:
    """Of all functions."""
    return sum(2 * (pixels * (20 + 2 * tile.unroll_of(pixels) * tile.channels) + 60) for pixels in tile.sizes) + 150


def matrix_kernel(op: str, core: Core) -> Kernel:
    """The same kernel serves two operators."""
    details = partial(matrix_details, core)
    return Kernel(
        op=op,
        isa=core.isa,
        template=f"conv_2d/{core.isa}_1x1.c.j2",
        supports=matrix_supports,
        pack=partial(pack, details),
        scratch=lambda params: 0,
        by_rows=lambda params: pointwise(params).by_rows,
        cost=partial(matrix_cost, core),
        leads=lambda params: tile_leads(pointwise(params), details(params).pixels, copied=False),
        details=details,
    )


def window_kernel(core: Core) -> Kernel:
    details = partial(window_details, core)
    return Kernel(
        op="conv_2d",
        isa=core.isa,
        template=f"conv_2d/{core.isa}_kxk.c.j2",
        supports=window_supports,
        pack=partial(pack, details),
        scratch=lambda params: win.ring_bytes(params.window, params.input_shape),
        by_rows=lambda params: True,
        cost=partial(window_cost, core),
        leads=OP.leads,
        details=details,
    )


KERNELS = (
    *(matrix_kernel(op, core) for core in CORES for op in ("conv_2d", "fully_connected")),
    *(window_kernel(core) for core in CORES),
)
