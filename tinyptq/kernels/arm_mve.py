"""Kernels for Arm Helium (Cortex-M55 and later): 128-bit vectors of int8, VMLADAVA into scalar accumulators.

1x1 convolution, fully connected with several vectors: a tile is 2 pixels × 4 output channels. Each of the 8
accumulators is a general register, because VMLADAVA adds 16 products into one; it must have an even number, and there
are exactly 8 of those. Output channels are the outer loop, so bias, multiplier and shift of the four channels stay in
q5-q7 for all pixels. Where a call has a single pixel, scratch memory holds it twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import pairwise

import numpy as np

from tinyptq.graph import Array
from tinyptq.kernels.base import Cost, Kernel, Part
from tinyptq.kernels.leads import blocks, lead_of
from tinyptq.kernels.proofs import (
    Pointwise,
    accumulator_bound,
    group_starts,
    is_pointwise,
    pointwise,
    right_shifts,
    rounds_half_up,
)
from tinyptq.kernels.schedule import Multiply, interleave
from tinyptq.ops.conv_2d import Conv2DInt
from tinyptq.ops.fully_connected import FullyConnectedInt

Params = Conv2DInt | FullyConnectedInt

LANES = 16  # int8 per vector
CHANNELS = 4  # output channels of a tile
PIXELS = 2  # pixels of a tile
ACCUMULATORS = (("r0", "r2", "r4", "r6"), ("r8", "r10", "r12", "lr"))  # [pixel][channel]
POINTERS = ("r1", "r3")  # to the pixels
WEIGHTS = "r11"
VECTORS = ("q0", "q1", "q2", "q3", "q4")
WORD_REACH = 508  # largest immediate offset of VLDRW
BYTE_REACH = 127  # largest immediate offset of VLDRB and VSTRB
STRAIGHT_VECTORS = 8  # more are chunked: C99 knows string literals of up to 4095 characters
MAX_INPUTS = 1024  # the tile is straight-line code: 56 bytes per 16 input channels


@dataclass(frozen=True)
class Chunk:
    """Straight-line code for some vectors of input, repeated."""

    repeat: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Product:
    """What templates/kernels/conv_2d/arm_mve_tile.c.j2 looks up: layers with the same share the function.

    group_bytes   packed weights of a group of 4 output channels.
    centre        where the weight pointer stands in a group so that immediate offsets reach all of it.
    lanes         input channels when they do not fill one vector, else 0.
    chunks        the scheduled loads and multiplies.
    advance       instructions that move the pointers on to the next pixels.
    stores        of the two pixels' outputs, from q2 and q3, and what moves the pointer on.
    half_up       ties below zero may round up.  low, high: clamps.
    """

    inputs: int
    outputs: int
    group_bytes: int
    centre: int
    lanes: int
    chunks: tuple[Chunk, ...]
    advance: tuple[str, ...]
    stores: tuple[tuple[str, ...], tuple[str, ...]]
    half_up: bool
    zero_point: int
    low: int
    high: int

    @property
    def frame(self) -> int:
        """Where in the stack what waits between the groups begins: above the predicate."""
        return 4 if self.lanes else 0

    @property
    def full(self) -> int:
        return self.outputs // CHANNELS

    @property
    def rest(self) -> int:
        """First channel of a group that overlaps the full ones, 0 when none does."""
        return self.outputs - CHANNELS if self.outputs % CHANNELS else 0

    @property
    def rest_weights(self) -> int:
        return self.full * self.group_bytes

    @property
    def rest_parameters(self) -> int:
        return self.full * 3 * CHANNELS

    @property
    def instructions(self) -> int:
        """Of a tile."""
        multiply = sum(chunk.repeat * len(chunk.lines) for chunk in self.chunks)
        stores = sum(len(part) for part in self.stores)
        clamps = 3 * (self.low > -128) + 3 * (self.high < 127)
        return multiply + len(self.advance) + 5 + PIXELS * (6 if self.half_up else 8) + stores + clamps

    def predicted(self, tiles: int) -> int:
        """Of all groups, with the call (measured)."""
        calls = 1 + (self.rest > 0)
        return (self.full + calls - 1) * (tiles * self.instructions + 14) + (20 + 5 * (self.lanes > 0)) * calls


@dataclass(frozen=True)
class PointwiseTile:
    """What templates/kernels/conv_2d/arm_mve_1x1.c.j2 looks up besides the params.

    row_pixels: a call computes a multiple of these.  by_rows: a call is told its rows.
    block: pixels of which all channels are computed before the next ones, an even number; None: all.
    """

    inputs: int
    outputs: int
    row_pixels: int
    by_rows: bool
    product: Product
    block: int | None = None

    @property
    def few_pixels(self) -> bool:
        """May a call have a single pixel?"""
        return self.row_pixels < PIXELS

    @property
    def scratch(self) -> int:
        """A tile of input and output where a call may have less."""
        return PIXELS * (self.inputs + self.outputs) if self.few_pixels else 0

    @property
    def row_input_bytes(self) -> int:
        return self.row_pixels * self.inputs

    @property
    def row_output_bytes(self) -> int:
        return self.row_pixels * self.outputs


def supports(params: Params) -> bool:
    """int8, four channels, right shifts and accumulators that the short requantization covers."""
    if params.element != "int8" or not is_pointwise(params):
        return False
    layer = pointwise(params)
    return layer.pixels > 1 and fits(layer)


def fits(layer: Pointwise) -> bool:
    """Are the tile's preconditions proved for this matrix?"""
    return layer.outputs >= CHANNELS and layer.inputs <= MAX_INPUTS and requantizes(layer)


def requantizes(layer: Pointwise) -> bool:
    """Right shifts and accumulators that the short requantization covers."""
    right = right_shifts(layer)
    return (
        bool((right >= 1).all() and (right <= 31).all())
        and bool((layer.multiplier >= 0).all())
        and bool((accumulator_bound(layer) < 2**31 - 1).all())
    )


def pack(layer: Pointwise) -> Mapping[str, Array]:
    """Weights as the tile loads them; bias, multiplier and shift of a group next to each other.

    weights:    int8 [groups, vectors of 16 inputs, 4 channels, 16], zero where a lane holds nothing to be added.
    parameters: int32 [groups, (bias, multiplier, shift), 4].
    """
    channels = np.array(group_starts(layer.outputs, CHANNELS))[:, None] + np.arange(CHANNELS)  # [groups, 4]
    rows = np.pad(layer.weights, ((0, 0), (0, max(LANES - layer.inputs, 0))))
    vectors = [rows[:, start : start + LANES].copy() for start in vector_starts(layer.inputs)]
    vectors[-1][:, : LANES * len(vectors) - rows.shape[1]] = 0  # lanes the vector before has added already
    weights = np.stack(vectors, axis=1)[channels].transpose(0, 2, 1, 3)
    multiplier = np.broadcast_to(layer.multiplier, (layer.outputs,))
    quantization = np.stack([layer.folded_bias, multiplier, -right_shifts(layer)])  # [3, out]
    return {
        "weights": np.ascontiguousarray(weights),
        "parameters": np.ascontiguousarray(quantization[:, channels].transpose(1, 0, 2).astype(np.int32)),
    }


def vector_starts(inputs: int) -> list[int]:
    """First input of each vector; the last vector is moved back to end with the pixel: nothing beyond is read."""
    return group_starts(max(inputs, LANES), LANES)


def tile_of(layer: Pointwise, clamps: tuple[int, int]) -> PointwiseTile:
    return PointwiseTile(layer.inputs, layer.outputs, layer.row_pixels, layer.by_rows, product_of(layer, clamps))


@lru_cache(maxsize=1024)
def details(params: Params) -> PointwiseTile:
    return tile_of(pointwise(params), (params.activation_min, params.activation_max))


def blocked_details(share: float, params: Params) -> PointwiseTile:
    """Blocks as small as that share of instructions more allows."""
    tile, pixels = details(params), pointwise(params).pixels
    most = int(share * cost(params).instructions / block_cost(tile.product))
    return replace(tile, block=-(-pixels // (PIXELS * (1 + most))) * PIXELS)


def block_cost(product: Product) -> int:
    """Instructions that one more block costs: a pass over the groups of channels (measured)."""
    return 2 * product.predicted(1) - product.predicted(2) + 12


def product_of(layer: Pointwise, clamps: tuple[int, int]) -> Product:
    starts = vector_starts(layer.inputs)
    group_bytes = len(starts) * CHANNELS * LANES
    straight = len(starts) <= STRAIGHT_VECTORS
    centre = min(WORD_REACH, group_bytes // 2) // 4 * 4 if straight else None
    steps = [b - a for a, b in pairwise([*starts, PIXELS * layer.inputs])]
    advance = [] if straight else [f"sub {WEIGHTS}, {WEIGHTS}, #{group_bytes}"]
    if steps[-1] > BYTE_REACH:
        advance += [f"add {pointer}, {pointer}, #{steps[-1]}" for pointer in POINTERS]
        steps[-1] = 0
    return Product(
        inputs=layer.inputs,
        outputs=layer.outputs,
        group_bytes=group_bytes,
        centre=centre or 0,
        lanes=layer.inputs if layer.inputs < LANES else 0,
        chunks=chunks(layer.inputs < LANES, steps, centre),
        advance=tuple(advance),
        stores=stores(layer.outputs),
        half_up=rounds_half_up(layer),
        zero_point=layer.output_zero_point,
        low=clamps[0],
        high=clamps[1],
    )


def stores(outputs: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Four outputs of each pixel; a store moves the pointer by BYTE_REACH at most."""
    first, second = "vstrb.32 q2, [r5]", "vstrb.32 q3, [r5]"
    if outputs <= BYTE_REACH:
        return (f"{first}, #{outputs}",), (f"{second}, #{outputs}",)
    if outputs <= 2 * BYTE_REACH:
        near = outputs - BYTE_REACH
        return (f"{first}, #{BYTE_REACH}",), (f"vstrb.32 q3, [r5, #{near}]", f"add r5, r5, #{near + outputs}")
    return (first, f"add r5, r5, #{outputs}"), (second, f"add r5, r5, #{outputs}")


def chunks(predicated: bool, steps: Sequence[int], centre: int | None) -> tuple[Chunk, ...]:
    """The multiplies of a tile: all at once, or two vectors, two vectors repeated, and the remaining two or three.

    steps: how far the pixel pointers move after each vector.
    """
    if centre is not None:
        return (Chunk(1, multiply(predicated, steps, centre, "vmladav.s8")),)
    rest = 2 + len(steps) % 2
    return (
        Chunk(1, multiply(predicated, steps[:2], None, "vmladav.s8")),
        Chunk((len(steps) - rest) // 2 - 1, multiply(predicated, steps[2:4], None, "vmladava.s8")),
        Chunk(1, multiply(predicated, steps[-rest:], None, "vmladava.s8")),
    )


def multiply(predicated: bool, steps: Sequence[int], centre: int | None, first: str) -> tuple[str, ...]:
    """Scheduled loads and multiplies of consecutive vectors; centre None: the weight pointer moves, too.

    Pixels are read by VLDRB, which has no alignment to keep.
    """
    loads: dict[str, tuple[str, ...]] = {}
    multiplies = []
    for vector, step in enumerate(steps):
        for pixel, pointer in enumerate(POINTERS):
            address = f"{{register}}, [{pointer}], #{step}" if step else f"{{register}}, [{pointer}]"
            plain, under_predicate = (f"vldrb.u8 {address}",), ("vpst", f"vldrbt.u8 {address}")
            loads[f"x{pixel}.{vector}"] = under_predicate if predicated else plain
        for channel in range(CHANNELS):
            name = f"w{channel}.{vector}"
            offset = LANES * (vector * CHANNELS + channel)
            address = f"[{WEIGHTS}], #16" if centre is None else f"[{WEIGHTS}, #{offset - centre}]"
            loads[name] = (f"vldrw.u32 {{register}}, {address}",)
            multiplies += [Multiply(ACCUMULATORS[p][channel], f"x{p}.{vector}", name) for p in range(PIXELS)]
    return interleave(multiplies, loads, VECTORS, first, "vmladava.s8")


def cost(params: Params) -> Cost:
    """Instructions of the loop, counted, and of the C around it (measured)."""
    layer, product = pointwise(params), details(params).product
    odd = product.predicted(1) if layer.pixels % PIXELS else 0
    return Cost(
        instructions=product.predicted(layer.pixels // PIXELS) + odd,
        code_bytes=4 * product.instructions + 260,
    )


def blocked_cost(share: float, params: Params) -> Cost:
    tile, whole = blocked_details(share, params), cost(params)
    more = len(blocks(pointwise(params).pixels, tile.block or 0)) - 1
    return Cost(whole.instructions + more * block_cost(tile.product), whole.code_bytes + 40)


def blocked_leads(share: float, params: Params) -> tuple[int]:
    """A block's pixels are read until its last channels are written."""
    tile = blocked_details(share, params)
    found = blocks(pointwise(params).pixels, tile.block or 0)
    return (lead_of((end * tile.outputs, start * tile.inputs) for start, end in found),)


def product_part(product: Product) -> Mapping[str, Part]:
    return {"mve_product": Part("conv_2d/arm_mve_tile.c.j2", product)}


def kernel(op: str) -> Kernel:
    """The same kernel serves two operators."""
    plain = Kernel(
        op=op,
        isa="arm_mve",
        template="conv_2d/arm_mve_1x1.c.j2",
        supports=supports,
        pack=lambda params: pack(pointwise(params)),
        scratch=lambda params: details(params).scratch,
        by_rows=lambda params: pointwise(params).by_rows,
        cost=cost,
        details=details,
        parts=lambda params: product_part(details(params).product),
    )

    def closer(share: float) -> Kernel:
        return replace(
            plain,
            details=partial(blocked_details, share),
            cost=partial(blocked_cost, share),
            leads=partial(blocked_leads, share),
        )

    return replace(plain, closer=closer)


KERNELS = (kernel("conv_2d"), kernel("fully_connected"))
