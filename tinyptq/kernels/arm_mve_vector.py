"""One pixel times a matrix for Arm Helium: 1 pixel × 8 output channels, all groups of channels in one assembly block.

The eight accumulators are those of arm_mve.py; here they are eight channels, the even ones first, so that narrowing two
vectors of int32 into one of int16 puts them in order. Inputs beyond the last whole vector are read under a predicate:
the other lanes are zero, whatever weights they meet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array
from tinyptq.kernels.arm_mve import ACCUMULATORS, LANES, VECTORS, Chunk, Params, requantizes
from tinyptq.kernels.base import Cost, Kernel, Part
from tinyptq.kernels.proofs import Pointwise, group_starts, is_pointwise, pointwise, right_shifts, rounds_half_up
from tinyptq.kernels.schedule import Multiply, interleave

CHANNELS = 8
ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # channel of each accumulator
REGISTERS = ACCUMULATORS[0] + ACCUMULATORS[1]
TURN = 8  # vectors of straight-line code, 68 bytes each
MAX_INPUTS = 4095  # immediate of SUB


@dataclass(frozen=True)
class VectorProduct:
    """What templates/kernels/fully_connected/arm_mve_product.c.j2 looks up: layers with the same share the function.

    inputs    the pointer to the pixel is moved back by what whole vectors of these moved it.
    channels  of a group: 8, or all there are.
    first     scheduled loads and multiplies that begin the accumulators; turn, turns: those that follow in a loop.
    tail      inputs in the last vector when it is not full, else 0; last: its loads and multiplies.
    uniform   one multiplier and shift for all channels.  half_up: ties below zero may round up.
    """

    inputs: int
    channels: int
    first: tuple[Chunk, ...]
    turn: tuple[Chunk, ...]
    turns: int
    tail: int
    last: tuple[str, ...]
    uniform: bool
    half_up: bool
    zero_point: int
    low: int
    high: int

    @property
    def rewind(self) -> int:
        return self.inputs - self.tail

    @property
    def instructions(self) -> int:
        """Of a group."""
        first, turn = (sum(c.repeat * len(c.lines) for c in part) for part in (self.first, self.turn))
        multiply = first + self.turns * (turn + 2) + (self.turns > 0) + len(self.last)
        constants = 2 if self.uniform else 6
        clamps = 3 * (self.low > -128) + 3 * (self.high < 127)
        return multiply + constants + 17 + (self.rewind > 0) + 4 * (not self.half_up) + clamps


@dataclass(frozen=True)
class Vector:
    """What templates/kernels/fully_connected/arm_mve_vector.c.j2 looks up besides the params.

    full   groups of eight channels.  rest: first channel of one more that overlaps them, 0 when none does.
    """

    inputs: int
    outputs: int
    full: int
    rest: int
    product: VectorProduct

    @property
    def rest_weights(self) -> int:
        """Where the weights of that group begin."""
        return self.full * CHANNELS * self.inputs

    @property
    def rest_parameters(self) -> int:
        return self.full * (CHANNELS if self.product.uniform else 3 * CHANNELS) + 2 * self.product.uniform


def supports(params: Params) -> bool:
    """A single pixel of int8, and the short requantization."""
    if params.element != "int8" or not is_pointwise(params):
        return False
    layer = pointwise(params)
    return layer.pixels == 1 and layer.inputs <= MAX_INPUTS and requantizes(layer)


def uniform(layer: Pointwise) -> bool:
    """One multiplier and shift for all channels?"""
    multiplier = np.broadcast_to(layer.multiplier, (layer.outputs,))
    return bool((multiplier == multiplier[0]).all() and (right_shifts(layer) == right_shifts(layer)[0]).all())


def group_channels(layer: Pointwise) -> Array:
    """Output channels of each group in the order of the accumulators [groups, 8]; beyond the last: the first."""
    if layer.outputs < CHANNELS:
        channels = np.array(ORDER)
        few: Array = np.where(channels < layer.outputs, channels, 0)[None]
        return few
    groups: Array = np.array(group_starts(layer.outputs, CHANNELS))[:, None] + np.array(ORDER)
    return groups


def pack(params: Params) -> Mapping[str, Array]:
    """weights: int8, per group, vector and channel of it 16 inputs (the last vector: what is left); 16 bytes to spare.

    parameters: int32, (multiplier, −shift) if all channels have the same; per group of eight bias, then where they
    differ multiplier and −shift.
    """
    layer = pointwise(params)
    groups, live = group_channels(layer), min(layer.outputs, CHANNELS)
    used = groups[:, [i for i, channel in enumerate(ORDER) if channel < live]]
    rows = layer.weights[used]  # [groups, channels, inputs]
    starts = range(0, layer.inputs, LANES)
    vectors = [rows[:, :, start : start + LANES].reshape(len(groups), -1) for start in starts]
    weights = np.concatenate([np.concatenate(vectors, axis=1).reshape(-1), np.zeros(LANES, np.int8)])
    multiplier = np.broadcast_to(layer.multiplier, (layer.outputs,)).astype(np.int64)
    numbers = [layer.folded_bias.astype(np.int64), multiplier, -right_shifts(layer)]
    if uniform(layer):
        parameters = np.concatenate([[number[0] for number in numbers[1:]], numbers[0][groups].reshape(-1)])
    else:
        parameters = np.stack([number[groups] for number in numbers], axis=1).reshape(-1)
    return {"weights": weights.astype(np.int8), "parameters": parameters.astype(np.int32)}


def details(params: Params) -> Vector:
    layer = pointwise(params)
    channels, whole = min(layer.outputs, CHANNELS), layer.inputs // LANES
    turns = max(-(-whole // TURN) - 1, 0)
    full = layer.outputs // CHANNELS
    return Vector(
        inputs=layer.inputs,
        outputs=layer.outputs,
        full=max(full, 1),
        rest=layer.outputs - CHANNELS if full and layer.outputs % CHANNELS else 0,
        product=VectorProduct(
            inputs=layer.inputs,
            channels=channels,
            first=straight(channels, whole - TURN * turns, "vmladav.s8"),
            turn=straight(channels, TURN, "vmladava.s8") if turns else (),
            turns=turns,
            tail=layer.inputs % LANES,
            last=multiplies(channels, 1, "vmladava.s8" if whole else "vmladav.s8", layer.inputs % LANES),
            uniform=uniform(layer),
            half_up=rounds_half_up(layer),
            zero_point=layer.output_zero_point,
            low=params.activation_min,
            high=params.activation_max,
        ),
    )


def straight(channels: int, vectors: int, first: str) -> tuple[Chunk, ...]:
    """Two vectors at most, then two repeated."""
    begin = min(vectors, 2 - vectors % 2)
    rest = (vectors - begin) // 2
    chunks = [Chunk(1, multiplies(channels, begin, first, LANES))] if begin else []
    return tuple(chunks + [Chunk(rest, multiplies(channels, 2, "vmladava.s8", LANES))] * (rest > 0))


def multiplies(channels: int, vectors: int, first: str, inputs: int) -> tuple[str, ...]:
    """Scheduled loads and multiplies of some vectors; all pointers move. inputs: of each, fewer than 16 predicated."""
    if inputs == 0:
        return ()
    loads: dict[str, tuple[str, ...]] = {}
    text = []
    for vector in range(vectors):
        load = ("vpst", "vldrbt.u8 {register}, [r1]") if inputs < LANES else ("vldrb.u8 {register}, [r1], #16",)
        loads[f"x.{vector}"] = load
        for register, channel in zip(REGISTERS, ORDER, strict=True):
            if channel < channels:
                name = f"w{channel}.{vector}"
                width = "vldrw.u32" if inputs == LANES else "vldrb.u8"
                loads[name] = (f"{width} {{register}}, [r11], #{inputs}",)
                text.append(Multiply(register, f"x.{vector}", name))
    return interleave(text, loads, VECTORS, first, "vmladava.s8")


def cost(params: Params) -> Cost:
    """Instructions of the block, counted, and of the C around it (measured)."""
    vector = details(params)
    calls = 1 + (vector.rest > 0)
    product = vector.product
    around = 17 + 4 * product.uniform + 6 * (product.tail > 0)
    code = sum(len(chunk.lines) * chunk.repeat for chunk in product.first + product.turn) + 60
    return Cost((vector.full + calls - 1) * product.instructions + around * calls, 4 * code + 60)


def kernel(op: str) -> Kernel:
    """The same kernel serves two operators."""
    return Kernel(
        op=op,
        isa="arm_mve",
        template="fully_connected/arm_mve_vector.c.j2",
        supports=supports,
        pack=pack,
        scratch=lambda params: 0,
        by_rows=lambda params: False,
        cost=cost,
        details=details,
        parts=lambda params: {
            "mve_vector_product": Part("fully_connected/arm_mve_product.c.j2", details(params).product)
        },
    )


KERNELS = (kernel("conv_2d"), kernel("fully_connected"))
