"""How a loop writes its output: one row of it is replaced in every round, all others are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tinyptq.frontend.affine import UnrecognizedError
from tinyptq.frontend.subgraphs import Subgraph
from tinyptq.graph import Tensor
from tinyptq.ops.base import TfliteOperator

SAME_ORDER = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
JOINS = ("CONCATENATION", "PACK")
NEXT = 1 << 40  # no index is that large: the number of the round is NEXT + 0, the one after it NEXT + 1
MAX_DEPTH = 16


@dataclass(frozen=True, eq=False)
class Wiring:
    """operators: of a body, by output. counters: the tensors that hold the number of the round."""

    operators: Mapping[str, TfliteOperator]
    counters: frozenset[str]


def wiring(body: Subgraph, counters: frozenset[str]) -> Wiring:
    operators = {tensor.name: item.operator for item in body.operators for tensor in item.operator.outputs}
    return Wiring(operators, counters)


def written_row(wires: Wiring, before: Tensor, after: Tensor) -> str:
    """The tensor that a round writes into the output `before` [rows, 1, units], which `after` then is."""
    row = joined_row(wires, before, after) or updated_row(wires, before, after)
    if row is None and before.shape[0] == 1:
        row = after.name  # the output keeps its last row alone
    if row is None:
        raise UnrecognizedError(f"it does not write '{before.name}' row by row")
    return unshaped(wires, row)


def unshaped(wires: Wiring, name: str) -> str:
    for _ in range(MAX_DEPTH):
        operator = wires.operators.get(name)
        if operator is None or operator.builtin not in SAME_ORDER:
            break
        name = named(operator)[0]
    return name


def named(operator: TfliteOperator) -> list[str]:
    return [tensor.name for tensor in operator.inputs if tensor is not None]


def joined_row(wires: Wiring, before: Tensor, after: Tensor) -> str | None:
    """The rows before this round's, the new one, the rows behind it."""
    operator = wires.operators.get(after.name)
    if operator is None or operator.builtin != "CONCATENATION" or len(operator.inputs) != 3:
        return None
    first, row, last = named(operator)
    wanted = operator.options.Axis() == 0 and operator.options.FusedActivationFunction() == 0
    rows, width = before.shape[0], before.shape[2]
    low = cut(wires, first, before) in (([0, 0, 0], [NEXT, -1, -1]), ([0, 0, 0], [NEXT, 1, width]))
    high = cut(wires, last, before) in (
        ([NEXT + 1, 0, 0], [-1, -1, -1]),
        ([NEXT + 1, 0, 0], [rows - 1 - NEXT, 1, width]),
    )
    return row if wanted and low and high else None


def cut(wires: Wiring, name: str, source: Tensor) -> tuple[list[int], list[int]] | None:
    """(begin, size) of a SLICE of source."""
    operator = wires.operators.get(name)
    if operator is None or operator.builtin != "SLICE" or named(operator)[0] != source.name:
        return None
    _, begin, size = operator.inputs
    return indices(wires, begin), indices(wires, size)


def updated_row(wires: Wiring, before: Tensor, after: Tensor) -> str | None:
    """A row put in its place."""
    operator = wires.operators.get(after.name)
    if operator is None or operator.builtin != "DYNAMIC_UPDATE_SLICE" or len(operator.inputs) != 3:
        return None
    source, row, start = operator.inputs
    if source is None or row is None or source.name != before.name or row.shape != (1, *before.shape[1:]):
        return None
    return row.name if indices(wires, start) == [NEXT, 0, 0] else None


def indices(wires: Wiring, tensor: Tensor | None, depth: int = 0) -> list[int]:
    """The numbers in an integer tensor, NEXT standing for the number of the round; empty when they are unknown."""
    if tensor is None or depth > MAX_DEPTH:
        return []
    if tensor.data is not None:
        return [int(number) for number in tensor.data.reshape(-1)] if tensor.data.size <= MAX_DEPTH else []
    if tensor.name in wires.counters:
        return [NEXT]
    operator = wires.operators.get(tensor.name)
    if operator is None:
        return []
    parts = [indices(wires, operand, depth + 1) for operand in operator.inputs]
    if operator.builtin in SAME_ORDER:
        return parts[0]
    if operator.builtin in JOINS and all(parts):
        return [number for part in parts for number in part]
    if operator.builtin == "ADD" and [len(part) for part in parts] == [1, 1]:
        return [parts[0][0] + parts[1][0]]
    return []
