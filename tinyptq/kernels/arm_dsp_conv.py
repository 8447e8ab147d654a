"""Convolution with any kernel for Arm cores with the DSP extension: the tile of arm_dsp.py, fed window by window.

A window's bytes are a row of the weight matrix's columns. Its runs (contiguous bytes: a kernel row, or one tap where
the kernel is dilated) are widened to int16 pairs right where the tile reads them. Runs that are no multiple of four
bytes are first gathered side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from tinyptq.graph import Array
from tinyptq.kernels.arm_dsp import PIXELS, PointwiseTile, pack_tile, product_part, tile_covers, tile_of
from tinyptq.kernels.arm_lines import DSP_BYTE, lines_cost, lines_part
from tinyptq.kernels.base import Cost, Kernel, Part
from tinyptq.kernels.proofs import is_pointwise, pointwise
from tinyptq.ops import window as win
from tinyptq.ops.conv_2d import OP, Conv2DInt

ALIGNMENT = 16  # of the parts of scratch memory
MAX_QUADS = 12  # groups of four bytes widened by straight-line code
STEP = 4 * PIXELS  # bytes from a pixel's pair of inputs to its next


@dataclass(frozen=True)
class Straight:
    """What templates/kernels/conv_2d/arm_dsp_window.c.j2 looks up: `unroll` groups of four bytes at a time.

    loops: more than once for each line.  step: from a pair of inputs to the same pixel's next, in bytes.
    """

    unroll: int
    loops: bool
    step: int


@dataclass(frozen=True)
class Run:
    """What templates/kernels/conv_2d/arm_dsp_run.c.j2 looks up: so many bytes widened, to places `step` bytes apart."""

    bytes: int
    step: int = STEP

    @property
    def quads(self) -> int:
        return self.bytes // 4

    @property
    def unroll(self) -> int:
        return max(n for n in range(1, MAX_QUADS + 1) if self.quads % n == 0)

    @property
    def turns(self) -> int:
        return self.quads // self.unroll

    @property
    def straight(self) -> Straight:
        return Straight(self.unroll, self.turns > 1, self.step)

    @property
    def instructions(self) -> int:
        """Measured; compilers inline it."""
        return (4 if self.step == 4 else 5) * self.quads + (3 * self.turns if self.turns > 1 else 0) + 4


@dataclass(frozen=True)
class ConvTile(PointwiseTile):
    """What templates/kernels/conv_2d/arm_dsp_kxk.c.j2 looks up besides the params.

    ring        bytes of padded lines at the start of scratch.
    run_bytes   widened at a time: a run, or the whole window where it is gathered (then rounded up; the
                bytes beyond the window meet weights of zero).
    runs        of a window.  runs_per_row: of one of its rows.
    gathered    the runs are copied side by side first.
    part_tiles  may a call end with fewer pixels than a tile?
    """

    ring: int
    run_bytes: int
    runs: int
    runs_per_row: int
    gathered: bool
    part_tiles: bool

    @property
    def whole(self) -> bool:
        """Are the lines under a window all there is to widen, one run each?"""
        return not self.gathered and self.runs_per_row == 1

    @property
    def run_turns(self) -> int:
        return Run(self.run_bytes).turns

    @property
    def run_widened_bytes(self) -> int:
        """Of all pixels."""
        return 2 * self.run_bytes * PIXELS

    @property
    def tile_output_bytes(self) -> int:
        return PIXELS * self.outputs

    @property
    def widened_offset(self) -> int:
        return aligned(self.ring)

    @property
    def gather_offset(self) -> int:
        return self.widened_offset + aligned(self.widened_bytes)

    @property
    def part_offset(self) -> int:
        return self.gather_offset + (aligned(self.run_bytes) if self.gathered else 0)

    @property
    def scratch(self) -> int:
        return self.part_offset + (self.tile_output_bytes if self.part_tiles else 0)


def aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def supports(params: Conv2DInt) -> bool:
    """One group of int8; what is pointwise has its own kernel."""
    return (
        params.element == "int8"
        and params.groups == 1
        and not is_pointwise(params)
        and tile_covers(pointwise(params))
    )


def details(params: Conv2DInt) -> ConvTile:
    tile = tile_of(pointwise(params), (params.activation_min, params.activation_max))
    runs_per_row = 1 if params.window.dilation[1] == 1 else params.window.kernel[1]
    gathered = params.lines.run % 4 != 0
    return ConvTile(
        **{field.name: getattr(tile, field.name) for field in fields(tile)},
        ring=win.ring_bytes(params.window, params.input_shape),
        run_bytes=-(-tile.inputs // 4) * 4 if gathered else params.lines.run,
        runs=params.window.kernel[0] * runs_per_row,
        runs_per_row=runs_per_row,
        gathered=gathered,
        part_tiles=params.output_shape[2] % PIXELS > 0,
    )


def parts(params: Conv2DInt) -> Mapping[str, Part]:
    tile, run = details(params), Run(details(params).run_bytes)
    shared = {**lines_part(params), "dsp_product": product_part(tile)}
    if tile.whole:
        return {**shared, "dsp_window": Part("conv_2d/arm_dsp_window.c.j2", run.straight)}
    return {**shared, "dsp_run": Part("conv_2d/arm_dsp_run.c.j2", run)}


def pack(params: Conv2DInt) -> Mapping[str, Array]:
    return pack_tile(details(params), pointwise(params))


def cost(params: Conv2DInt) -> Cost:
    """Instructions of the tiles, counted, and of the C around them (measured)."""
    tile = details(params)
    run = Run(tile.run_bytes)
    pixels = params.output_shape[1] * params.output_shape[2]
    copy = (4 + params.lines.run // 2) * tile.runs if tile.gathered else 0
    window = copy + run.instructions * (1 if tile.gathered else tile.runs) + 14
    if tile.whole:
        window = tile.runs * (5 * run.quads + (2 * run.turns + 1 if run.turns > 1 else 0) + 4) + 21
    products = -(-pixels // PIXELS) * (tile.instructions + 10)
    return Cost(
        instructions=pixels * window + products + lines_cost(params, DSP_BYTE) + 40,
        code_bytes=4 * (tile.product.turn_instructions + tile.product.pair_instructions) + 20 * run.unroll + 300,
    )


KERNELS = (
    Kernel(
        op="conv_2d",
        isa="arm_dsp",
        template="conv_2d/arm_dsp_kxk.c.j2",
        supports=supports,
        pack=pack,
        scratch=lambda params: details(params).scratch,
        by_rows=lambda params: True,
        cost=cost,
        leads=OP.leads,
        details=details,
        parts=parts,
    ),
)
