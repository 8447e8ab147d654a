"""ADD of equal shapes for Arm Helium where it is no affine function: four elements per vector, in int32 throughout."""

from __future__ import annotations

from dataclasses import dataclass

from tinyptq.kernels.base import Cost, Kernel
from tinyptq.kernels.leads import pair_leads
from tinyptq.ops.add import AddInt
from tinyptq.ops.base import elements

LANES = 4
HALF = 1 << 30  # a multiplier of one half: the rescaled value is exact


@dataclass(frozen=True)
class AddLoop:
    """What templates/kernels/add/arm_mve_rescaled.c.j2 looks up besides the params.

    constants  (register, value) pairs.  loop: instructions for four elements.
    vectors    of four; rest: element where one more vector ends the tensor, 0 when none is needed.
    """

    constants: tuple[tuple[str, int], ...]
    loop: tuple[str, ...]
    vectors: int
    rest: int


def supports(params: AddInt) -> bool:
    """int8 of equal shapes, four elements or more; right shifts."""
    pair = params.pair
    shifts = (*pair.input_shifts, pair.output_shift)
    return (
        pair.element == "int8"
        and pair.input_shapes[0] == pair.input_shapes[1] == pair.output_shape
        and elements(pair.output_shape) >= LANES
        and all(-31 <= shift <= 0 for shift in shifts)
    )


def shifted(register: str, scratch: str, amount: str, shift: int) -> list[str]:
    """Rounding right shift, ties away from zero."""
    if shift == 0:
        return []
    fix = [f"vshr.s32 {scratch}, {register}, #31", f"vadd.i32 {register}, {register}, {scratch}"]
    return [*fix, f"vrshl.s32 {register}, {amount}"]


def rescaled(params: AddInt, operand: int) -> list[str]:
    """q<operand>: an input less its zero point, brought to the common scale."""
    pair, q, free = params.pair, f"q{operand}", f"q{operand + 5}"
    zero_point, multiplier, amount = (("r12", "r4", "r5"), ("lr", "r6", "r8"))[operand]
    text = [f"vldrb.s32 {q}, [r{operand}], #4", f"vsub.i32 {q}, {q}, {zero_point}"]
    if (pair.input_multipliers[operand], pair.input_shifts[operand]) == (HALF, 0):
        return [*text, f"vshl.i32 {q}, {q}, #{pair.left_shift - 1}"]
    text += [f"vshl.i32 {q}, {q}, #{pair.left_shift}", f"vqrdmulh.s32 {q}, {q}, {multiplier}"]
    return text + shifted(q, free, amount, pair.input_shifts[operand])


def details(params: AddInt) -> AddLoop:
    pair = params.pair
    names = ("r12", "lr", "r4", "r5", "r6", "r8", "r9", "r10", "r11")
    (first, second), (first_shift, second_shift) = pair.input_multipliers, pair.input_shifts
    inputs = (*pair.input_zero_points, first, first_shift, second, second_shift)
    values = (*inputs, pair.output_multiplier, pair.output_shift, pair.output_zero_point)
    both = [line for lines in zip(rescaled(params, 0)[:3], rescaled(params, 1)[:3], strict=True) for line in lines]
    both += rescaled(params, 0)[3:] + rescaled(params, 1)[3:]
    total = ["vadd.i32 q0, q0, q1", "vqrdmulh.s32 q0, q0, r9", *shifted("q0", "q5", "r10", pair.output_shift)]
    end = ["vadd.i32 q0, q0, r11", "vmax.s32 q0, q0, q3", "vmin.s32 q0, q0, q4", "vstrb.32 q0, [r2], #4"]
    count = elements(pair.output_shape)
    return AddLoop(
        constants=tuple(zip(names, values, strict=True)),
        loop=(*both, *total, *end),
        vectors=count // LANES,
        rest=count - LANES if count % LANES else 0,
    )


def cost(params: AddInt) -> Cost:
    """Instructions of the loop, counted, and of what surrounds it (measured)."""
    k = details(params)
    return Cost(k.vectors * (len(k.loop) + 2) + (130 if k.rest else 60), 4 * len(k.loop) + 160)


def leads(params: AddInt) -> tuple[int, int]:
    loop = details(params)
    return pair_leads(loop.vectors * LANES, loop.rest)


KERNELS = (
    Kernel(
        op="add",
        isa="arm_mve",
        template="add/arm_mve_rescaled.c.j2",
        supports=supports,
        pack=lambda params: {},
        scratch=lambda params: 0,
        by_rows=lambda params: False,
        cost=cost,
        leads=leads,
        details=details,
    ),
)
