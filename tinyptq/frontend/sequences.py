"""Recurrent operators in forms that no record here has, spelled with those that have one.

A sequence with time first, [steps, 1, depth], is reshaped; a BIDIRECTIONAL_SEQUENCE_LSTM becomes two LSTMs, one of them
between two REVERSE_V2, and a CONCATENATION. Source: LiteRT's kernels, which write backward results in forward order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from tinyptq.frontend.subgraphs import FileOperator
from tinyptq.graph import Array, Shape, Tensor
from tinyptq.ops.base import TfliteOperator

SEQUENCES = ("UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN")
BIDIRECTIONAL = "BIDIRECTIONAL_SEQUENCE_LSTM"
PARTS = ((range(1, 18), (35, 36)), (range(18, 35), (37, 38)))  # weights and states of the two directions
AUXILIARY = range(39, 48)
TIME = 1


@dataclass(eq=False)
class Spelling:
    """One operator being spelled out; a running state."""

    item: FileOperator
    taken: set[str]
    tensors: list[Tensor] = field(default_factory=list)
    operators: list[FileOperator] = field(default_factory=list)

    def tensor(self, like: Tensor, part: str, shape: Shape) -> Tensor:
        """A tensor of the same type and scale."""
        return self.add(replace(like, shape=shape, data=None), part)

    def constant(self, part: str, data: Array) -> Tensor:
        return self.add(Tensor("", data.shape, data.dtype, data), part)

    def add(self, tensor: Tensor, part: str) -> Tensor:
        stem = f"{self.item.name}/{part}"
        name = next(n for n in (stem, *(f"{stem}_{i}" for i in range(len(self.taken) + 1))) if n not in self.taken)
        self.taken.add(name)
        self.tensors.append(replace(tensor, name=name))
        return self.tensors[-1]

    def emit(self, builtin: str, options: Any, inputs: tuple[Tensor | None, ...], output: Tensor) -> None:
        operator = TfliteOperator(builtin, options, inputs, (output,))
        self.operators.append(replace(self.item, operator=operator, shown=builtin, name=output.name))

    def reshaped(self, source: Tensor, target: Tensor) -> None:
        shape = self.constant("shape", np.array(target.shape, np.int32))
        self.emit("RESHAPE", None, (source, shape), target)

    def reversed(self, source: Tensor, target: Tensor) -> None:
        axis = self.constant("axis", np.array([TIME], np.int32))
        self.emit("REVERSE_V2", None, (source, axis), target)


def spell_sequences(
    operators: tuple[FileOperator, ...], tensors: Mapping[str, Tensor]
) -> tuple[tuple[FileOperator, ...], Mapping[str, Tensor]]:
    """The same graph without such forms. What is unusual about an operator beyond that stays, and is refused."""
    found: list[FileOperator] = []
    known = dict(tensors)
    for item in operators:
        spell = writer(item.operator)
        if spell is None:
            found.append(item)
            continue
        spelling = Spelling(item, set(known))
        spell(spelling)
        known.update({tensor.name: tensor for tensor in spelling.tensors})
        found += spelling.operators
    return tuple(found), known


def writer(operator: TfliteOperator) -> Callable[[Spelling], None] | None:
    """How the operator is spelled; None when it stays as it is."""
    if operator.options is None or not operator.inputs or operator.inputs[0] is None:
        return None
    shape = operator.inputs[0].shape
    time_first = bool(operator.options.TimeMajor()) if operator.builtin in (*SEQUENCES, BIDIRECTIONAL) else False
    if len(shape) != 3 or shape[1 if time_first else 0] != 1:
        return None
    if operator.builtin in SEQUENCES and time_first:
        return lambda spelling: one_way(spelling, shape)
    if operator.builtin == BIDIRECTIONAL and both_ways_known(operator):
        return lambda spelling: both_ways(spelling, shape, time_first)
    return None


def with_batch_first(operator: TfliteOperator) -> SimpleNamespace:
    """The operator's options, but for the order of the axes; the methods are named as the schema's fields."""
    activation = operator.options.FusedActivationFunction()
    clip = operator.options.CellClip() if operator.builtin != "UNIDIRECTIONAL_SEQUENCE_RNN" else 0.0
    return SimpleNamespace(FusedActivationFunction=lambda: activation, CellClip=lambda: clip, TimeMajor=lambda: False)


def one_way(spelling: Spelling, shape: Shape) -> None:
    operator = spelling.item.operator
    x, y = operator.inputs[0], operator.outputs[0]
    assert x is not None
    first = spelling.tensor(x, "sequence", (1, shape[0], shape[2]))
    result = spelling.tensor(y, "states", (1, y.shape[0], y.shape[2]))
    spelling.reshaped(x, first)
    spelling.emit(operator.builtin, with_batch_first(operator), (first, *operator.inputs[1:]), result)
    spelling.reshaped(result, y)


def both_ways_known(operator: TfliteOperator) -> bool:
    """No second input, and one output when results are merged, else two."""
    auxiliary = any(place < len(operator.inputs) and operator.inputs[place] is not None for place in AUXILIARY)
    merged = bool(operator.options.MergeOutputs())
    ranks = {len(tensor.shape) for tensor in operator.outputs}
    return not auxiliary and len(operator.inputs) > 38 and len(operator.outputs) == 2 - merged and ranks == {3}


def both_ways(spelling: Spelling, shape: Shape, time_first: bool) -> None:
    operator = spelling.item.operator
    x = operator.inputs[0]
    assert x is not None
    steps, depth = shape[0] if time_first else shape[1], shape[2]
    sequence = spelling.tensor(x, "sequence", (1, steps, depth))
    spelling.reshaped(x, sequence)
    backwards = spelling.tensor(x, "backwards", (1, steps, depth))
    spelling.reversed(sequence, backwards)
    units = [number_of_units(operator, states[0]) for _, states in PARTS]
    results = []
    for (weights, states), source, size in zip(PARTS, (sequence, backwards), units, strict=True):
        result = spelling.tensor(operator.outputs[0], "states", (1, steps, size))
        inputs = (source, *(operator.inputs[place] for place in (*weights, *states)))
        spelling.emit(SEQUENCES[0], with_batch_first(operator), inputs, result)
        results.append(result)
    restored = spelling.tensor(operator.outputs[0], "restored", (1, steps, units[1]))
    spelling.reversed(results[1], restored)
    finished = [results[0], restored]
    if operator.options.MergeOutputs():
        joined = spelling.tensor(operator.outputs[0], "joined", (1, steps, sum(units)))
        options = SimpleNamespace(Axis=lambda: 2, FusedActivationFunction=lambda: 0)
        spelling.emit("CONCATENATION", options, tuple(finished), joined)
        finished = [joined]
    for result, output in zip(finished, operator.outputs, strict=True):
        spelling.reshaped(result, output)


def number_of_units(operator: TfliteOperator, state: int) -> int:
    tensor = operator.inputs[state]
    return 1 if tensor is None else tensor.shape[-1]
