"""Program + integer inputs -> every integer tensor. The reference the firmware is held against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from tinyptq.graph import Array
from tinyptq.ops import BY_NAME
from tinyptq.program import Program

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
    for start in range(0, count, batch):
        yield run_batch(program, {name: inputs[name][start : start + batch] for name in program.inputs})


def run_batch(program: Program, inputs: Mapping[str, Array]) -> dict[str, Array]:
    tensors: dict[str, Array] = dict(inputs)
    for layer in program.layers:
        operands = [operand_array(program, tensors, name) for name in layer.inputs]
        results = BY_NAME[layer.op].run_int(layer.params, *operands)
        outputs = results if isinstance(results, tuple) else (results,)
        tensors.update(zip(layer.outputs, outputs, strict=True))
    return tensors


def operand_array(program: Program, tensors: Mapping[str, Array], name: str) -> Array:
    data = program.values[name].data
    return tensors[name] if data is None else data
