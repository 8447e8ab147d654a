"""Convolution for Arm Helium (Cortex-M55 and later): the windows of some pixels side by side, then the 1x1 tile.

A block of output pixels is one matrix product: their windows are copied ("columns") to scratch memory, where each is a
pixel of as many channels as the kernel has weights per output channel. Kernel rows are contiguous in the lines, so a
window is few copies; a copy's last vector is moved back to its end. A short copy of a padded line is a whole vector all
the same: what it writes beyond its run is overwritten by the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from tinyptq.graph import Array
from tinyptq.kernels import arm_mve
from tinyptq.kernels.arm_lines import MVE_BYTE, lines_cost, lines_part
from tinyptq.kernels.arm_mve import BYTE_REACH, LANES, PIXELS, Product
from tinyptq.kernels.base import Cost, Kernel
from tinyptq.kernels.proofs import Pointwise, conv_matrix, group_starts, is_pointwise
from tinyptq.ops.conv_2d import OP, Conv2DInt
from tinyptq.ops.window import ring_bytes

COLUMN_BYTES = 4096  # of scratch memory for windows side by side; two windows at least
ADD_REACH = 4095  # largest immediate of ADD
WRITE_BACK_REACH = 255  # of LDR and STR that move their base
LONGEST_RUN = 1024  # bytes of straight-line copies
LINES = ("r1", "r2", "r3")  # one per kernel row; more rows are copied one by one
SCALARS = {1: ("ldrb", "strb"), 2: ("ldrh", "strh"), 4: ("ldr", "str")}  # for runs of so many bytes


@dataclass(frozen=True)
class ConvTile:
    """What templates/kernels/conv_2d/arm_mve_kxk.c.j2 looks up besides the params.

    rows       of output whose windows are collected before they are multiplied.
    block      pixels copied at a time; blocks of them in a row, the last moved back to end with the row. rows is 1
               when there are several.
    lines      registers that point at the lines under the kernel, copied from together; one: each run on its own.
    runs       contiguous pieces of a kernel row: 1, or its taps when dilated; run: bytes of a piece.
    copy       instructions that copy what belongs to one pixel.  predicated: they want a predicate of `run` lanes.
    columns_at where the windows lie in scratch memory, behind the ring of padded lines.
    twice_at   room there for a single pixel.
    """

    product: Product
    rows: int
    block: int
    blocks: int
    lines: tuple[str, ...]
    runs: int
    run: int
    copy: tuple[str, ...]
    predicated: bool
    columns_at: int
    row_pixels: int

    @property
    def last_start(self) -> int:
        return self.row_pixels - self.block

    @property
    def row_run_bytes(self) -> int:
        """Of a kernel row in a window."""
        return self.runs * self.run

    @property
    def few_pixels(self) -> bool:
        """May a single pixel be all there is to multiply?"""
        return self.row_pixels < PIXELS

    @property
    def odd(self) -> bool:
        """May one pixel be left over by tiles of two?"""
        return self.block % PIXELS == 1

    @property
    def twice_at(self) -> int:
        return self.columns_at + self.rows * self.block * self.product.inputs + LANES

    @property
    def scratch(self) -> int:
        return self.twice_at + (PIXELS * (self.product.inputs + self.product.outputs) if self.few_pixels else 0)


def supports(params: Conv2DInt) -> bool:
    """One group of int8, and a matrix the tile is proved for."""
    return (
        params.element == "int8"
        and params.groups == 1
        and not is_pointwise(params)
        and arm_mve.fits(conv_matrix(params))
        and params.lines.run <= LONGEST_RUN
        and params.lines.column_bytes <= ADD_REACH
    )


def pack(params: Conv2DInt) -> Mapping[str, Array]:
    return arm_mve.pack(conv_matrix(params))


def details(params: Conv2DInt) -> ConvTile:
    layer, run = conv_matrix(params), params.lines.run
    product = arm_mve.product_of(layer, (params.activation_min, params.activation_max))
    rows, block, blocks = blocking(layer)
    runs = params.window.kernel[1] * params.input_shape[3] // run
    together = params.window.kernel[0] <= len(LINES) and runs == 1
    predicated = run < LANES and run not in SCALARS and not (together and params.window.padded)
    lines = LINES[: params.window.kernel[0]] if together else LINES[:1]
    steps = (params.lines.column_bytes, run if together else product.inputs)
    return ConvTile(
        product=product,
        rows=rows,
        block=block,
        blocks=blocks,
        lines=lines,
        runs=runs,
        run=run,
        copy=tuple(text for line in lines for text in copy(run, line, steps, predicated)),
        predicated=predicated,
        columns_at=ring_bytes(params.window, params.input_shape),
        row_pixels=layer.row_pixels,
    )


def blocking(layer: Pointwise) -> tuple[int, int, int]:
    """(rows, pixels of a block, blocks of a row) for which COLUMN_BYTES suffice, pixels even if they can be."""
    most = max(COLUMN_BYTES // layer.inputs, PIXELS)
    if layer.row_pixels > most:
        blocks = -(-layer.row_pixels // most)
        return 1, min(-(-layer.row_pixels // (PIXELS * blocks)) * PIXELS, layer.row_pixels), blocks
    rows = min(most // layer.row_pixels, layer.rows)
    return (rows - rows % 2 if rows > 1 and layer.row_pixels % 2 else rows), layer.row_pixels, 1


def copy(run: int, line: str, steps: tuple[int, int], predicated: bool) -> list[str]:
    """Copy `run` bytes from `line` to r4; steps: how far the two pointers move."""
    source_step, target_step = steps
    if run in SCALARS:
        load, store = SCALARS[run]
        reach = WRITE_BACK_REACH
        text = [f"{load} r0, [{line}]{post(source_step, reach)}", f"{store} r0, [r4]{post(target_step, reach)}"]
        return text + moved(line, source_step, reach) + moved("r4", target_step, reach)
    if run < LANES:
        suffix = "t" if predicated else ""
        text = ["vpstt"] * predicated
        text += [f"vldrb{suffix}.u8 q0, [{line}]{post(source_step)}", f"vstrb{suffix}.8 q0, [r4]{post(target_step)}"]
        return text + moved(line, source_step) + moved("r4", target_step)
    starts = group_starts(run, LANES)
    text = []
    for number, (start, end) in enumerate(pairwise([*starts, -1])):
        last = end < 0
        from_here, to_here = (source_step - start, target_step - start) if last else (end - start, end - start)
        text += [f"vldrb.u8 q{number % 2}, [{line}]{post(from_here)}", f"vstrb.8 q{number % 2}, [r4]{post(to_here)}"]
    return text + moved(line, source_step - starts[-1]) + moved("r4", target_step - starts[-1])


def post(step: int, reach: int = BYTE_REACH) -> str:
    """Increment of a pointer within its load or store, if the instruction can hold it."""
    return f", #{step}" if step and abs(step) <= reach else ""


def moved(pointer: str, step: int, reach: int = BYTE_REACH) -> list[str]:
    """The increment as an instruction, otherwise."""
    return [f"{'add' if step > 0 else 'sub'} {pointer}, {pointer}, #{abs(step)}"] if abs(step) > reach else []


def product_cost(product: Product, pixels: int) -> int:
    """Of so many pixels; an odd one is another call."""
    even, odd = divmod(pixels, PIXELS)
    return (product.predicted(even) if even else 0) + (product.predicted(1) if odd else 0)


def cost(params: Conv2DInt) -> Cost:
    """Instructions of both loops, counted; the C around them (fitted)."""
    k, window = details(params), params.window
    rows = params.output_shape[1]
    full, last = divmod(rows, k.rows)
    products = k.blocks * full * product_cost(k.product, k.rows * k.block)
    products += product_cost(k.product, last * k.block) if last else 0
    calls = 1 if len(k.lines) == window.kernel[0] and k.runs == 1 else window.kernel[0] * k.runs
    copies = calls * (k.block * (len(k.copy) + 1) + 12)
    return Cost(
        instructions=products + rows * (k.blocks * (copies + 10) + 10) + lines_cost(params, MVE_BYTE) + 40,
        code_bytes=4 * (k.product.instructions + len(k.copy)) + 700,
    )


KERNELS = (
    Kernel(
        op="conv_2d",
        isa="arm_mve",
        template="conv_2d/arm_mve_kxk.c.j2",
        supports=supports,
        pack=pack,
        scratch=lambda params: details(params).scratch,
        by_rows=lambda params: True,
        cost=cost,
        leads=OP.leads,
        details=details,
        parts=lambda params: {**lines_part(params), **arm_mve.product_part(details(params).product)},
    ),
)
