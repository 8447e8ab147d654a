"""An independent proof that a plan is sound: it executes the schedule on a byte-by-byte owner map.

Written without the planner's notions: no liveness is computed, nothing of plan/planner.py is imported. Every
arena byte remembers which value was last written there; a layer that reads a value whose bytes have another
owner, or that is given memory outside the arena or overlapping its own operands, is an error.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array
from tinyptq.kernels.base import Kernel
from tinyptq.ops import BY_NAME
from tinyptq.plan.types import Plan, Slot, Step
from tinyptq.program import Layer, Program

FREE = -1


def check_plan(program: Program, plan: Plan) -> list[str]:
    """Every violation as a sentence; empty when the plan is sound."""
    owners = np.full(plan.arena_size, FREE, np.int64)
    held = {variable.before: variable.before for variable in program.variables}  # variable -> value in its memory
    identity = {name: number for number, name in enumerate(program.values)}
    errors = slot_errors(program, plan)
    if errors:
        return errors
    for position, step in enumerate(plan.schedule):
        layer = program.layers[step.layer]
        place = f"step {position}, layer {step.layer} {layer.op}"
        errors += [f"{place}: {complaint}" for complaint in read_errors(layer, plan, owners, identity)]
        errors += [f"{place}: {complaint}" for complaint in variable_errors(layer, plan, held)]
        scratch = plan.scratch.get(step.layer)
        if scratch is not None:
            owners[scratch.offset : scratch.offset + scratch.size] = FREE
        for name in layer.outputs:
            slot = plan.slots.get(name)
            if name in plan.kept:
                held[plan.kept[name]] = name
            if slot is not None:
                owners[slot.offset : slot.offset + slot.size] = identity[name]
        errors += [f"{place}: {complaint}" for complaint in self_overlap_errors(layer, plan, step)]
    return errors + last_value_errors(program, plan, owners, identity, held) + schedule_errors(program, plan)


def slot_errors(program: Program, plan: Plan) -> list[str]:
    errors = []
    callers = {*program.inputs, *program.outputs}
    written = [name for layer in program.layers for name in layer.outputs]
    for name in written:
        if name in callers or name in plan.kept:
            continue
        slot = plan.slots.get(name)
        if slot is None:
            errors.append(f"value '{name}' has no place")
        elif slot.size < program.values[name].size_bytes:
            errors.append(f"value '{name}' needs {program.values[name].size_bytes} bytes, has {slot.size}")
    for index, (layer, kernel) in enumerate(zip(program.layers, plan.kernels, strict=True)):
        needed, slot = kernel.scratch(layer.params), plan.scratch.get(index)
        if needed > (slot.size if slot else 0):
            errors.append(f"layer {index} needs {needed} bytes of scratch")
    for slot in (*plan.slots.values(), *plan.scratch.values()):
        if slot.offset < 0 or slot.offset + slot.size > plan.arena_size:
            errors.append(f"'{slot.value}' lies outside the arena")
    return errors


def read_errors(layer: Layer, plan: Plan, owners: Array, identity: dict[str, int]) -> list[str]:
    errors = []
    for name in layer.inputs:
        slot = plan.slots.get(name)
        if slot is not None and not (owners[slot.offset : slot.offset + slot.size] == identity[name]).all():
            errors.append(f"input '{name}' was overwritten or never written")
    return errors


def variable_errors(layer: Layer, plan: Plan, held: Mapping[str, str]) -> list[str]:
    """What a layer reads from a variable's memory is there, and not what the layer itself writes."""
    places = {**{before: before for before in held}, **plan.kept}
    errors = [f"input '{n}' is no longer in its variable" for n in layer.inputs if n in places and held[places[n]] != n]
    written = {places[name] for name in layer.outputs if name in places}
    clashes = [name for name in layer.inputs if places.get(name) in written]
    return errors + [f"input '{name}' lies where an output is written" for name in clashes]


def last_value_errors(
    program: Program, plan: Plan, owners: Array, identity: dict[str, int], held: Mapping[str, str]
) -> list[str]:
    """Every variable ends with its last value: in its memory, or intact where it is copied from."""
    errors = []
    for variable in program.variables:
        after = variable.after
        slot = plan.slots.get(after)
        intact = slot is not None and (owners[slot.offset : slot.offset + slot.size] == identity[after]).all()
        if plan.kept.get(after) == variable.before:
            intact = held[variable.before] == after
        elif after in plan.kept:
            intact = held[plan.kept[after]] == after
        if not intact and after not in program.outputs:
            errors.append(f"the last value of variable '{variable.name}' is lost")
    return errors


def self_overlap_errors(layer: Layer, plan: Plan, step: Step) -> list[str]:
    """Kernels may not find their output or scratch on top of an input, unless they say how far ahead it must begin."""
    inputs = [plan.slots[n] for n in layer.inputs if n in plan.slots]
    written = [plan.slots[n] for n in layer.outputs if n in plan.slots]
    if step.layer in plan.scratch:
        written.append(plan.scratch[step.layer])
    pairs = [(a, b) for a in written for b in (*inputs, *written) if a is not b]
    allowed = overlays(layer, plan, plan.kernels[step.layer])
    return [f"'{a.value}' overlaps '{b.value}'" for a, b in pairs if share_bytes(a, b) and (a, b) not in allowed]


def overlays(layer: Layer, plan: Plan, kernel: Kernel) -> set[tuple[Slot, Slot]]:
    """(output, input) that lie far enough apart for the kernel to write over what it has read."""
    output = plan.slots.get(layer.outputs[0])
    found = set()
    for name, lead in zip(layer.inputs, kernel.leads(layer.params), strict=False):
        slot = plan.slots.get(name)
        if output and slot and lead is not None and output.offset + lead <= slot.offset:
            found.add((output, slot))
    return found


def share_bytes(a: Slot, b: Slot) -> bool:
    return a.offset < b.offset + b.size and b.offset < a.offset + a.size


def schedule_errors(program: Program, plan: Plan) -> list[str]:
    """Each layer computes its rows once, in order, all of them."""
    errors = []
    for index, layer in enumerate(program.layers):
        rows = BY_NAME[layer.op].rows(layer.params)
        end = 0
        for step in (s for s in plan.schedule if s.layer == index):
            if step.first_row != end:
                errors.append(f"layer {index}: rows [{end}, {step.first_row}) are skipped or repeated")
            end = step.end_row
        if end != (rows.count if rows else 1):
            errors.append(f"layer {index}: stops after row {end}")
    return errors


def require_sound(program: Program, plan: Plan) -> Plan:
    """plan itself; an unsound one is our fault and must never reach a device."""
    errors = check_plan(program, plan)
    if errors:
        raise TinyptqError("unsound-plan", "; ".join(errors[:3]), hint="this is a fault of tinyptq: please report it")
    return plan
