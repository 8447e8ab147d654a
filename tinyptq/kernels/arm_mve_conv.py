"""Convolution for Arm Helium (Cortex-M55 and later): the windows of some pixels side by side, then the 1x1 tile.

A block of an output row is one matrix product: its windows are copied ("columns") to scratch memory, where each is a
pixel of as many channels as the kernel has weights per output channel. Kernel rows are contiguous in the lines, so a
window is few copies; a copy's last vector is moved back to its end, a short copy is under a predicate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from tinyptq.graph import Array
from tinyptq.kernels import arm_mve
from tinyptq.kernels.arm_mve import BYTE_REACH, LANES, PointwiseTile
from tinyptq.kernels.base import Cost, Kernel
from tinyptq.kernels.proofs import Pointwise, group_starts, is_pointwise
from tinyptq.ops.conv_2d import Conv2DInt
from tinyptq.ops.window import ring_bytes

COLUMN_BYTES = 4096  # of scratch memory for windows side by side; two windows at least
ADD_REACH = 4095  # largest immediate of ADD
LONGEST_RUN = 1024  # bytes of straight-line copies


@dataclass(frozen=True)
class ConvTile:
    """What templates/kernels/conv_2d/arm_mve_kxk.c.j2 looks up besides the params.

    tile       of the matrix product.
    block      pixels computed at a time; blocks of them in a row, the last moved back to end with the row.
    runs       contiguous pieces of a kernel row: 1, or its taps when dilated.
    run        bytes of a piece; copy: instructions that copy it for one pixel.
    columns_at where the windows lie in scratch memory, behind the ring of padded lines.
    """

    tile: PointwiseTile
    block: int
    blocks: int
    runs: int
    run: int
    copy: tuple[str, ...]
    columns_at: int

    @property
    def lanes(self) -> int:
        """Bytes of a piece shorter than a vector, else 0."""
        return self.run if self.run < LANES else 0

    @property
    def last_start(self) -> int:
        return self.tile.row_pixels - self.block

    @property
    def row_run_bytes(self) -> int:
        """Of a kernel row in a window."""
        return self.runs * self.run

    @property
    def odd(self) -> bool:
        """Is one pixel left over by tiles of two?"""
        return self.tile.pixels == 2 and self.block % 2 == 1

    @property
    def tiles(self) -> int:
        return self.block // self.tile.pixels

    @property
    def odd_input(self) -> int:
        return (self.block - 2) * self.tile.inputs

    @property
    def odd_output(self) -> int:
        return (self.block - 2) * self.tile.outputs


def matrix(params: Conv2DInt) -> Pointwise:
    """The filters as rows of a matrix [out, kernel_h · kernel_w · in]."""
    return Pointwise(
        rows=params.output_shape[1],
        row_pixels=params.output_shape[2],
        by_rows=True,
        weights=params.weights.reshape(len(params.weights), -1),
        bias=params.bias,
        folded_bias=params.folded_bias,
        multiplier=params.multiplier,
        shift=params.shift,
        input_zero_point=params.input_zero_point,
        output_zero_point=params.output_zero_point,
        activation_min=params.activation_min,
    )


def supports(params: Conv2DInt) -> bool:
    """One group of int8, and a matrix the tile is proved for."""
    return (
        params.element == "int8"
        and params.groups == 1
        and not is_pointwise(params)
        and arm_mve.fits(matrix(params))
        and params.lines.run <= LONGEST_RUN
        and params.lines.column_bytes <= ADD_REACH
    )


def pack(params: Conv2DInt) -> Mapping[str, Array]:
    return arm_mve.pack(matrix(params))


def details(params: Conv2DInt) -> ConvTile:
    tile, run = arm_mve.tile_of(matrix(params)), params.lines.run
    most = max(COLUMN_BYTES // tile.inputs, 2)
    blocks = -(-tile.row_pixels // most)
    even = -(-tile.row_pixels // (2 * blocks)) * 2
    return ConvTile(
        tile=tile,
        block=min(even, tile.row_pixels),
        blocks=blocks,
        runs=params.window.kernel[1] * params.input_shape[3] // run,
        run=run,
        copy=copy(run, params.lines.column_bytes, tile.inputs),
        columns_at=ring_bytes(params.window, params.input_shape),
    )


def copy(run: int, source_step: int, target_step: int) -> tuple[str, ...]:
    """Copy `run` bytes by vectors, both pointers end at the next pixel."""
    if run < LANES:
        text = ["vpstt", f"vldrbt.u8 q0, [r1]{post(source_step)}", f"vstrbt.8 q0, [r2]{post(target_step)}"]
        return (*text, *moved("r1", source_step), *moved("r2", target_step))
    starts = group_starts(run, LANES)
    text = []
    for number, (start, end) in enumerate(pairwise([*starts, -1])):
        last = end < 0
        from_here, to_here = (source_step - start, target_step - start) if last else (end - start, end - start)
        text += [f"vldrb.u8 q{number % 2}, [r1]{post(from_here)}", f"vstrb.8 q{number % 2}, [r2]{post(to_here)}"]
    return (*text, *moved("r1", source_step - starts[-1]), *moved("r2", target_step - starts[-1]))


def post(step: int) -> str:
    """Increment of a pointer within its load or store, if the instruction can hold it."""
    return f", #{step}" if step and abs(step) <= BYTE_REACH else ""


def moved(pointer: str, step: int) -> list[str]:
    """The increment as an instruction, otherwise."""
    return [f"{'add' if step > 0 else 'sub'} {pointer}, {pointer}, #{abs(step)}"] if abs(step) > BYTE_REACH else []


def scratch(params: Conv2DInt) -> int:
    tile = details(params)
    return tile.columns_at + tile.block * tile.tile.inputs


def cost(params: Conv2DInt) -> Cost:
    """Instructions of both loops, counted; the C around them (fitted)."""
    k, window = details(params), params.window
    rows = params.output_shape[1]
    products = k.tile.groups * ((k.tiles + k.odd) * k.tile.instructions + 23 * (1 + k.odd))
    copies = window.kernel[0] * k.runs * (k.block * (len(k.copy) + 2) + 14)
    filled = (rows - 1) * window.stride[0] + window.extent[0] if window.padded else 0
    return Cost(
        instructions=rows * (k.blocks * (products + copies + 10) + 10) + filled * (50 + params.lines.bytes // 5) + 40,
        code_bytes=4 * (k.tile.instructions + len(k.copy)) + 700,
    )


KERNELS = (
    Kernel(
        op="conv_2d",
        isa="arm_mve",
        template="conv_2d/arm_mve_kxk.c.j2",
        supports=supports,
        pack=pack,
        scratch=scratch,
        by_rows=lambda params: True,
        cost=cost,
        details=details,
    ),
)
