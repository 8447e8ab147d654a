"""The graphs of a .tflite file as the file has them: the model itself, and those its operators call by number.

Graph 0 is the model. WHILE names its condition and body by number, CALL_ONCE what runs before the first sample.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from tinyptq.frontend.flatbuffer import (
    MAX_OPERATORS,
    bounded,
    builtin_name,
    guarded,
    options_table,
    read_root,
    require,
    vector,
)
from tinyptq.frontend.tflite_tensors import KEPT, Operands, read_tensors
from tinyptq.graph import Tensor
from tinyptq.ops.base import TfliteOperator

MAX_OPERANDS = 1024
MAX_SUBGRAPHS = 256


@dataclass(frozen=True, eq=False)
class FileOperator:
    """An operator in its place. shown: what to call it; name: its first output's, unique where tensors are."""

    operator: TfliteOperator
    shown: str
    name: str
    source: str


@dataclass(frozen=True, eq=False)
class Subgraph:
    """A graph of the file, its operators in the order in which they run.

    Tensor names are unique within one subgraph only: a constant that moves to another graph needs a fresh name.
    """

    operands: Operands
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: tuple[FileOperator, ...]


def read_subgraphs(data: bytes, where: str) -> tuple[Subgraph, ...]:
    """Every graph of the file, in its numbering. where names the file in errors."""
    with guarded(where):
        model = read_root(data)
        count = bounded(model.SubgraphsLength(), MAX_SUBGRAPHS, "subgraphs")
    return tuple(read_subgraph(data, model, index, where) for index in count)


def read_subgraph(data: bytes, model: Any, index: int, where: str) -> Subgraph:
    place = f"{where}: subgraph {index}" if index else where
    with guarded(place):
        table = model.Subgraphs(index)
        operands = read_tensors(data, model, table)
        inputs = pick(operands, vector(table.InputsAsNumpy(), MAX_OPERANDS, "inputs"))
        outputs = pick(operands, vector(table.OutputsAsNumpy(), MAX_OPERANDS, "outputs"))
        count = bounded(table.OperatorsLength(), MAX_OPERATORS, "operators")
    operators = tuple(read_operator(place, model, table, position, operands) for position in count)
    oddities = {**operands.oddities, **shared_states(operands, operators)}
    return Subgraph(replace(operands, oddities=oddities), inputs, outputs, operators)


def shared_states(operands: Operands, operators: tuple[FileOperator, ...]) -> dict[str, str]:
    """{tensor: what is odd about it} of states that are named twice: who writes when would decide what they hold."""
    named = [tensor.name for item in operators for tensor in item.operator.inputs if tensor is not None]
    counts = Counter(name for name in named if operands.oddities.get(name) == KEPT)
    return {name: f"{KEPT}, shared by {count} operands" for name, count in counts.items() if count > 1}


def read_operator(place: str, model: Any, subgraph: Any, index: int, operands: Operands) -> FileOperator:
    with guarded(f"{place}: operator {index}"):
        table = subgraph.Operators(index)
        builtin, shown = builtin_name(model, table)
        operator = TfliteOperator(
            builtin,
            options_table(table),
            pick_optional(operands, vector(table.InputsAsNumpy(), MAX_OPERANDS, "inputs")),
            pick(operands, vector(table.OutputsAsNumpy(), MAX_OPERANDS, "outputs")),
        )
    name = operator.outputs[0].name if operator.outputs else f"operator_{index}"
    return FileOperator(operator, shown, name, f"operator {index} '{name}'")


def pick(operands: Operands, indices: Any) -> tuple[Tensor, ...]:
    """Tensors by index; −1 (absent) is not allowed here."""
    chosen = pick_optional(operands, indices)
    require(all(tensor is not None for tensor in chosen), "a tensor index is −1 where one is needed")
    return tuple(tensor for tensor in chosen if tensor is not None)


def pick_optional(operands: Operands, indices: Any) -> tuple[Tensor | None, ...]:
    """Tensors by index, None for −1."""
    count = len(operands.tensors)
    require(all(-1 <= index < count for index in indices), f"a tensor index is not below {count}")
    return tuple(None if index == -1 else operands.tensors[index] for index in indices)
