"""Program + Board -> Plan: liveness, then offsets; the smallest of several greedy placements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tinyptq.board import Board
from tinyptq.kernels import choose
from tinyptq.kernels.base import Kernel
from tinyptq.ops import BY_NAME
from tinyptq.plan.types import Plan, Slot, Step
from tinyptq.program import Program

ALIGNMENT = 4
MAX_SWAPS = 400


@dataclass(frozen=True)
class Request:
    """size bytes wanted from first_step to last_step (both included) under a key."""

    key: str
    size: int
    first_step: int
    last_step: int


def plan(program: Program, board: Board) -> Plan:
    """The plan of the kernels that are predicted to be the fastest on this board."""
    return plan_kernels(program, tuple(choose(layer, board.isa) for layer in program.layers))


def plan_kernels(program: Program, kernels: tuple[Kernel, ...]) -> Plan:
    """Every layer over all its rows, in program order; activations and scratch in one static arena."""
    schedule = tuple(whole_layer(program, index) for index in range(len(program.layers)))
    requests = (*activation_requests(program), *scratch_requests(program, kernels))
    slots = place(requests)
    scratch = {i: slots[f"scratch {i}"] for i in range(len(kernels)) if f"scratch {i}" in slots}
    return Plan(
        kernels=kernels,
        schedule=schedule,
        slots={key: slot for key, slot in slots.items() if slot not in scratch.values()},
        scratch=scratch,
        arena_size=max((align(s.offset + s.size) for s in slots.values()), default=0),
        kept=kept_values(program),
    )


def kept_values(program: Program) -> dict[str, str]:
    """The last values of variables that can replace the old ones at once: no layer from theirs on reads those.

    A value that is an output too lies with the caller.
    """
    writer = {name: index for index, layer in enumerate(program.layers) for name in layer.outputs}
    reader = {name: index for index, layer in enumerate(program.layers) for name in layer.inputs}
    kept: dict[str, str] = {}
    for variable in program.variables:
        free = reader.get(variable.before, -1) < writer[variable.after]
        if free and variable.after not in (*program.outputs, *kept):
            kept[variable.after] = variable.before
    return kept


def whole_layer(program: Program, index: int) -> Step:
    layer = program.layers[index]
    rows = BY_NAME[layer.op].rows(layer.params)
    return Step(index, 0, rows.count if rows else 1)


def activation_requests(program: Program) -> tuple[Request, ...]:
    """One per intermediate tensor; the program's inputs and outputs are the caller's buffers, variables have memory."""
    elsewhere = {*program.inputs, *program.outputs, *kept_values(program)}
    copied_last = {variable.after for variable in program.variables}
    requests = []
    for index, layer in enumerate(program.layers):
        for name in layer.outputs:
            if name in elsewhere:
                continue
            readers = [i for i, reader in enumerate(program.layers) if name in reader.inputs]
            last = len(program.layers) - 1 if name in copied_last else max(readers, default=index)
            requests.append(Request(name, program.values[name].size_bytes, index, last))
    return tuple(requests)


def alive_bytes(program: Program) -> tuple[int, ...]:
    """Bytes of intermediate tensors that exist while each layer runs."""
    requests = activation_requests(program)
    return tuple(
        sum(r.size for r in requests if r.first_step <= index <= r.last_step) for index in range(len(program.layers))
    )


def scratch_requests(program: Program, kernels: Sequence[Kernel]) -> tuple[Request, ...]:
    sizes = [kernel.scratch(layer.params) for kernel, layer in zip(kernels, program.layers, strict=True)]
    return tuple(Request(f"scratch {i}", size, i, i) for i, size in enumerate(sizes) if size)


def place(requests: Iterable[Request]) -> dict[str, Slot]:
    """Offsets without overlap in time and space: best of greedy first-fit orders, then pairwise swaps."""
    wanted = tuple(requests)
    orders = [
        sorted(wanted, key=lambda r: (-r.size, r.first_step, r.key)),
        sorted(wanted, key=lambda r: (-(r.last_step - r.first_step + 1) * r.size, r.key)),
        sorted(wanted, key=lambda r: (r.first_step, -r.size, r.key)),
    ]
    best = min(orders, key=peak)
    floor = lower_bound(wanted)
    swaps = 0
    while peak(best) > floor and swaps < MAX_SWAPS:
        better, tried = improve(best, MAX_SWAPS - swaps)
        swaps += tried
        if better is None:
            break
        best = better
    return first_fit(best)


def improve(order: list[Request], budget: int) -> tuple[list[Request] | None, int]:
    """The first order with two requests exchanged whose peak is lower, and how many were tried."""
    height, tried = peak(order), 0
    for i in range(len(order)):
        for j in range(i + 1, len(order)):
            if tried >= budget:
                return None, tried
            tried += 1
            swapped = list(order)
            swapped[i], swapped[j] = swapped[j], swapped[i]
            if peak(swapped) < height:
                return swapped, tried
    return None, tried


def first_fit(order: Sequence[Request]) -> dict[str, Slot]:
    """Each request at the lowest aligned offset that is free for its whole life."""
    slots: dict[str, Slot] = {}
    for request in order:
        busy = sorted((s for s in slots.values() if overlaps(s, request)), key=lambda s: s.offset)
        offset = 0
        for slot in busy:
            if offset + request.size <= slot.offset:
                break
            offset = max(offset, align(slot.offset + slot.size))
        slots[request.key] = Slot(request.key, offset, request.size, request.first_step, request.last_step)
    return slots


def overlaps(slot: Slot, request: Request) -> bool:
    return slot.first_step <= request.last_step and request.first_step <= slot.last_step


def peak(order: Sequence[Request]) -> int:
    return max((s.offset + s.size for s in first_fit(order).values()), default=0)


def lower_bound(requests: Sequence[Request]) -> int:
    """Most bytes alive in any one step: no placement can need less."""
    last = max((r.last_step for r in requests), default=-1)
    return max(
        (sum(r.size for r in requests if r.first_step <= t <= r.last_step) for t in range(last + 1)), default=0
    )


def align(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT

