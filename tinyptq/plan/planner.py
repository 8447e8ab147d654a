"""Program + Board -> Plan: how long every tensor and scratch lives, and what may lie over what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tinyptq.board import Board
from tinyptq.kernels import choose
from tinyptq.kernels.base import Kernel
from tinyptq.ops import BY_NAME
from tinyptq.plan.placement import Leads, Request, align, place
from tinyptq.plan.types import Plan, Step
from tinyptq.program import Program

MAX_MORE = 0.03  # of a model's instructions may be spent on a smaller arena
SHARES = (0.01, 0.02, 0.05, 0.1)  # of a layer's


def plan(program: Program, board: Board) -> Plan:
    """The plan of the kernels that are predicted to be the fastest on this board."""
    return plan_kernels(program, tuple(choose(layer, board.isa) for layer in program.layers))


def plan_kernels(program: Program, kernels: tuple[Kernel, ...]) -> Plan:
    """The plan of these kernels, or of closer ones in the place of some where that lowers the arena."""
    plain = best = arrange(program, kernels)
    limit = (1 + MAX_MORE) * instructions(program, kernels)
    for share in SHARES if any(kernel.closer for kernel in kernels) else ():
        closer = tuple(kernel.closer(share) if kernel.closer else kernel for kernel in kernels)
        if instructions(program, closer) > limit:
            break
        best = min(best, arrange(program, closer), key=lambda found: found.arena_size)
    return best if best is plain else with_fewest(program, kernels, best)


def with_fewest(program: Program, kernels: tuple[Kernel, ...], close: Plan) -> Plan:
    """A plan no larger than `close` whose layers keep their kernel where tensors and scratch have room side by side."""
    alive = alive_bytes(program)
    scratch = [kernel.scratch(layer.params) for kernel, layer in zip(kernels, program.layers, strict=True)]
    roomy = (size + more <= close.arena_size for size, more in zip(alive, scratch, strict=True))
    found = arrange(program, tuple(k if room else c for k, c, room in zip(kernels, close.kernels, roomy, strict=True)))
    return min(found, close, key=lambda plan: plan.arena_size)


def instructions(program: Program, kernels: Sequence[Kernel]) -> int:
    """Predicted, of one inference."""
    return sum(kernel.cost(layer.params).instructions for kernel, layer in zip(kernels, program.layers, strict=True))


def arrange(program: Program, kernels: tuple[Kernel, ...]) -> Plan:
    """Every layer over all its rows, in program order; activations and scratch in one static arena."""
    schedule = tuple(whole_layer(program, index) for index in range(len(program.layers)))
    requests = (*activation_requests(program), *scratch_requests(program, kernels))
    slots = place(requests, leads(program, kernels, requests))
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


def leads(program: Program, kernels: Sequence[Kernel], requests: Iterable[Request]) -> Leads:
    """Which outputs may lie over which inputs: of kernels that say so, where the input is not read later."""
    copied_last = {variable.after for variable in program.variables}
    last = {request.key: request.last_step for request in requests if request.key not in copied_last}
    found: dict[tuple[str, str], int] = {}
    for index, (layer, kernel) in enumerate(zip(program.layers, kernels, strict=True)):
        for name, lead in zip(layer.inputs, kernel.leads(layer.params), strict=False):
            if lead is not None and last.get(name) == index and layer.inputs.count(name) == 1:
                found[layer.outputs[0], name] = lead
    return found
