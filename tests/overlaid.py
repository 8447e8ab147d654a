"""Layers whose outputs lie over their inputs as closely as their kernels declare, or closer, in one piece of memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tests.arm_layers import build, joined
from tests.programs import random_inputs
from tinyptq.board import Board
from tinyptq.kernels import kernel_named
from tinyptq.kernels.base import Kernel
from tinyptq.ops.reshape import ReshapeInt
from tinyptq.plan.planner import whole_layer
from tinyptq.plan.types import Plan, Slot
from tinyptq.program import Layer, Program, Value
from tinyptq.run import run_firmware
from tinyptq.simulate import simulate

SAMPLES = 3
STACK_BYTES = 16 << 10  # every input is an argument of the run function


@dataclass(frozen=True)
class Trial:
    """operand: the one that the output lies over. less: bytes by which it lies closer than the kernel declares."""

    title: str
    program: Program
    kernel: Kernel
    operand: int
    less: int = 0

    @property
    def layer(self) -> Layer:
        return self.program.layers[0]

    @property
    def lead(self) -> int | None:
        leads = self.kernel.leads(self.layer.params)
        return leads[self.operand] if self.operand < len(leads) else None

    @property
    def reads_all_first(self) -> bool:
        """Is the lead such that the output may lie anywhere?"""
        return self.lead == -self.program.values[self.layer.inputs[self.operand]].size_bytes

    @property
    def too_close(self) -> int:
        """Bytes of two rows of the output and some: kernels that keep to their channels notice no whole rows."""
        over, under = (self.program.values[n].shape for n in (self.layer.outputs[0], self.layer.inputs[self.operand]))
        if len(over) == 4:
            return 2 * int(np.prod(over[2:])) + 5
        return 5 if over == under else 2 * over[-1] + 5


def trials(programs: Mapping[str, Program], kernels: Mapping[str, Sequence[Kernel]]) -> list[Trial]:
    """One for every operand that some kernel of a program (of one layer) lets its output lie over."""
    found = [
        Trial(f"{title}/{kernel.name}/{number}/{operand}", program, kernel, operand)
        for title, program in programs.items()
        for number, kernel in enumerate(kernels[title])
        for operand in range(len(program.layers[0].inputs))
    ]
    return [trial for trial in found if trial.lead is not None]


def chained(several: Sequence[Trial]) -> tuple[Program, Plan]:
    """(all trials one after another in one piece of memory, their operands brought there by copies; the plan).

    What the trials before have left in that memory is poison to the next.
    """
    copy_kernel = kernel_named("reshape", "portable")
    assert copy_kernel is not None
    values: dict[str, Value] = {}
    layers: list[Layer] = []
    kernels: list[Kernel] = []
    slots: dict[str, Slot] = {}
    scratch: dict[int, Slot] = {}
    sources: list[str] = []
    for trial in several:
        names = {name: f"{trial.title}/{name}" for name in trial.program.values}
        values |= {names[name]: replace(value, name=names[name]) for name, value in trial.program.values.items()}
        inputs, result = [names[name] for name in trial.layer.inputs], names[trial.layer.outputs[0]]
        copies = [f"{name}/copy" for name in inputs]
        values |= {copy: replace(values[name], name=copy) for name, copy in zip(inputs, copies, strict=True)}
        first, step = len(layers), len(layers) + len(inputs)
        layers += [copy_layer(values[name], name, copy) for name, copy in zip(inputs, copies, strict=True)]
        layers.append(replace(trial.layer, name=trial.title, inputs=tuple(copies), outputs=(result,), folded=()))
        kernels += [*[copy_kernel] * len(inputs), trial.kernel]
        sources += inputs
        placed, end = places(trial, values, copies, result)
        begins = {name: first + i for i, name in enumerate(copies)} | {result: step}
        slots |= {name: Slot(name, at, values[name].size_bytes, begins[name], step) for name, at in placed.items()}
        borrowed = trial.kernel.scratch(trial.layer.params)
        if borrowed:
            scratch[step] = Slot(f"scratch {step}", end, borrowed, step, step)
    final = f"{result}/final"
    values[final] = replace(values[result], name=final)
    layers.append(copy_layer(values[result], result, final))
    program = Program("many", "0" * 64, values, tuple(layers), tuple(sources), (final,))
    size = max(slot.offset + slot.size for slot in (*slots.values(), *scratch.values()))
    schedule = tuple(whole_layer(program, index) for index in range(len(layers)))
    return program, Plan((*kernels, copy_kernel), schedule, slots, scratch, aligned(size))


def places(trial: Trial, values: Mapping[str, Value], copies: Sequence[str], result: str) -> tuple[dict[str, int], int]:
    """(offset of operands and result, the first byte behind them)."""
    assert trial.lead is not None
    lead = trial.lead - trial.less
    over, under = max(-lead, 0), max(lead, 0)
    placed = {result: over, copies[trial.operand]: under}
    end = max(at + values[name].size_bytes for name, at in placed.items())
    for name in copies:
        if name not in placed:
            placed[name] = aligned(end)
            end = placed[name] + values[name].size_bytes
    return placed, aligned(end)


def copy_layer(value: Value, source: str, target: str) -> Layer:
    return Layer(target, "reshape", (source,), (target,), (), ReshapeInt(value.shape, "int8"), "test")


def aligned(size: int) -> int:
    return -(-size // 16) * 16


def differing(several: Sequence[Trial], board: Board, folder: Path) -> list[Trial]:
    """The trials whose kernel, in the emulator, gives other bytes than run_int."""
    program, memory = chained(several)
    images = build(program, memory, replace(board, stack_bytes=STACK_BYTES), folder)
    drawn = random_inputs(np.random.default_rng(5), program, SAMPLES)
    expected = simulate(program, drawn)
    sizes = [(i, program.values[layer.outputs[0]].size_bytes) for i, layer in enumerate(program.layers)]
    inputs = joined(program, program.inputs, [drawn[name] for name in program.inputs])
    bytes_out = joined(program, program.outputs, [expected[name] for name in program.outputs]).shape[1]
    result = run_firmware(board, images.trace_elf, inputs, bytes_out, len(program.layers), sizes)
    wrong = {
        layer.name
        for layer, got in zip(program.layers, result.layers, strict=True)
        if not np.array_equal(got, expected[layer.outputs[0]].reshape(SAMPLES, -1))
    }
    return [trial for trial in several if trial.title in wrong]
