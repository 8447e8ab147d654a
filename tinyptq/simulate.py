"""Program + integer inputs -> every integer tensor. The reference the firmware is held against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array
from tinyptq.ops import BY_NAME
from tinyptq.program import Program


@dataclass
class Memory:
    """What a model remembers between two runs. A class because it is a running state.

    layers: layer index -> {state name: array}. variables: value read -> array [1, ...].
    """

    layers: dict[int, Mapping[str, Array]]
    variables: dict[str, Array]

    @property
    def is_empty(self) -> bool:
        return not self.layers and not self.variables


BATCH = 16  # samples computed at a time: bounds the memory, whatever the number of inputs


def simulate(program: Program, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Every activation [n, ...] by value name, inputs included; layer outputs in program order."""
    parts = list(simulate_batches(program, inputs))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def simulate_outputs(program: Program, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The program's outputs only, [n, ...] each; memory does not grow with the intermediate tensors."""
    parts = [{name: part[name] for name in program.outputs} for part in simulate_batches(program, inputs)]
    return {name: np.concatenate([part[name] for part in parts]) for name in program.outputs}


def simulate_batches(program: Program, inputs: Mapping[str, Array], batch: int = BATCH) -> Iterator[dict[str, Array]]:
    """simulate() over consecutive slices of at most `batch` samples."""
    count = len(next(iter(inputs.values())))
    memory = initial_memory(program)
    for start in range(0, count, batch):
        yield run_batch(program, {name: inputs[name][start : start + batch] for name in program.inputs}, memory)


def initial_memory(program: Program) -> Memory:
    """What a model remembers after a reset."""
    states = {index: BY_NAME[layer.op].state(layer.params) for index, layer in enumerate(program.layers)}
    layers: dict[int, Mapping[str, Array]] = {
        index: {name: s.initial for name, s in kept.items()} for index, kept in states.items() if kept
    }
    return Memory(layers, {variable.before: variable.initial for variable in program.variables})


def run_batch(program: Program, inputs: Mapping[str, Array], memory: Memory | None = None) -> dict[str, Array]:
    """Every tensor of consecutive runs, variables as they were read included.

    memory: what the model remembers, brought up to date; None: after a reset.
    """
    memory = initial_memory(program) if memory is None else memory
    if not program.variables:
        return run_layers(program, inputs, memory)
    count = len(next(iter(inputs.values())))
    runs = [run_once(program, {name: x[i : i + 1] for name, x in inputs.items()}, memory) for i in range(count)]
    return {name: np.concatenate([run[name] for run in runs]) for name in runs[0]}


def run_once(program: Program, inputs: Mapping[str, Array], memory: Memory) -> dict[str, Array]:
    """One run of a program with variables: what it leaves in them is what the next one reads."""
    tensors = run_layers(program, {**inputs, **memory.variables}, memory)
    for variable in program.variables:
        memory.variables[variable.before] = tensors[variable.after].reshape(variable.initial.shape)
    return tensors


def run_layers(program: Program, inputs: Mapping[str, Array], memory: Memory) -> dict[str, Array]:
    """inputs: every tensor that is there before the first layer."""
    tensors: dict[str, Array] = dict(inputs)
    for index, layer in enumerate(program.layers):
        op = BY_NAME[layer.op]
        operands = [operand_array(program, tensors, name) for name in layer.inputs]
        if index in memory.layers and op.run_state is not None:
            results, memory.layers[index] = op.run_state(layer.params, memory.layers[index], *operands)
        else:
            results = op.run_int(layer.params, *operands)
        outputs = results if isinstance(results, tuple) else (results,)
        tensors.update(zip(layer.outputs, outputs, strict=True))
    return tensors


def operand_array(program: Program, tensors: Mapping[str, Array], name: str) -> Array:
    data = program.values[name].data
    return tensors[name] if data is None else data
