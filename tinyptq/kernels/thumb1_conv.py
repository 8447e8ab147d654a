"""Convolution with any kernel for Thumb-1: the tile of thumb1.py, fed window by window.

A window's bytes are a row of the weight matrix's columns. Its runs (contiguous bytes: a kernel row, or one tap where
the kernel is dilated) are widened right where the tile reads them, each to whole chunks of two inputs.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from tinyptq.kernels.base import Cost, Kernel
from tinyptq.kernels.proofs import is_pointwise, pointwise
from tinyptq.kernels.thumb1 import CODE_BYTES, PIXELS, Tile, pack_tile, tile_covers, tile_of, tile_part
from tinyptq.ops import window as win
from tinyptq.ops.conv_2d import OP, Conv2DInt

WORD = 4


@dataclass(frozen=True)
class ConvTile(Tile):
    """What templates/kernels/conv_2d/thumb1_kxk.c.j2 looks up besides the params.

    ring          bytes of padded lines at the start of scratch.
    runs_per_row  runs of a kernel row.
    part_tiles    may a call end with fewer pixels than a tile?
    """

    ring: int
    runs_per_row: int
    part_tiles: bool

    @property
    def tile_output_bytes(self) -> int:
        return self.pixels * self.outputs

    @property
    def widened_offset(self) -> int:
        return -(-self.ring // WORD) * WORD

    @property
    def part_offset(self) -> int:
        return self.widened_offset + self.widened_bytes

    @property
    def scratch(self) -> int:
        return self.part_offset + (self.tile_output_bytes if self.part_tiles else 0)


def supports(params: Conv2DInt) -> bool:
    """One group of int8; what is pointwise has its own kernel."""
    return (
        params.element == "int8"
        and params.groups == 1
        and not is_pointwise(params)
        and tile_covers(pointwise(params), params.lines.run)
    )


def details(params: Conv2DInt) -> ConvTile:
    pixels = min(PIXELS, params.output_shape[1] * params.output_shape[2])
    tile = tile_of(pointwise(params), params.lines.run, pixels, params.activation_max)
    return ConvTile(
        **{field.name: getattr(tile, field.name) for field in fields(tile)},
        ring=win.ring_bytes(params.window, params.input_shape),
        runs_per_row=1 if params.window.dilation[1] == 1 else params.window.kernel[1],
        part_tiles=params.output_shape[2] % pixels > 0,
    )


def cost(params: Conv2DInt) -> Cost:
    """Instructions of the tiles, counted, and of the C around them (measured)."""
    tile = details(params)
    pixels = params.output_shape[1] * params.output_shape[2]
    line = 60 + params.lines.bytes if params.lines.padded else 0
    rows = params.output_shape[1] * (60 * params.window.kernel[0] + 20) + params.input_shape[1] * line
    tiles = -(-pixels // tile.pixels)
    each = tile.pixels * (tile.widen_instructions + 14) + tile.instructions + 24
    return Cost(instructions=tiles * each + rows + 40, code_bytes=CODE_BYTES + 200)


KERNELS = (
    Kernel(
        op="conv_2d",
        isa="thumb1",
        template="conv_2d/thumb1_kxk.c.j2",
        supports=supports,
        pack=lambda params: pack_tile(details(params), pointwise(params)),
        scratch=lambda params: details(params).scratch,
        by_rows=lambda params: True,
        cost=cost,
        leads=OP.leads,
        details=details,
        parts=lambda params: tile_part(details(params).code),
    ),
)
