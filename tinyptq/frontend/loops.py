"""WHILE: a loop that is an LSTM, GRU or simple RNN over a sequence becomes that layer; others are refused in words.

Exporters of recurrent Keras layers write a loop: counters from 0 to the number of steps, the sequence (time first), the
states, and the rows of the output so far. What the loop computes is proved, not guessed: `loop_body` writes one round
as algebra, and only the equations of these layers (in any spelling) are taken for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinyptq.frontend.affine import Atom, Form, UnrecognizedError, atom_form, same
from tinyptq.frontend.loop_body import Body, read_body
from tinyptq.frontend.loop_cells import Cell, find_cell
from tinyptq.frontend.loop_lists import RowList, read_list
from tinyptq.frontend.loop_rows import wiring, written_row
from tinyptq.frontend.subgraphs import FileOperator, Subgraph
from tinyptq.frontend.tflite_tensors import NO_DTYPE
from tinyptq.graph import Array, Node, Shape, Tensor
from tinyptq.ops.reshape import Reshape
from tinyptq.ops.strided_slice import StridedSlice
from tinyptq.passes.dequantize_constants import dequantized

MAX_BODY = 1024  # operators
COUNTER, SEQUENCE, CONSTANT, STATE, ROWS, LIST = "counter", "sequence", "constant", "state", "output", "list"
ADVICE = "give the .keras file, or convert with unroll=True"


@dataclass(frozen=True, eq=False)
class Loop:
    """A WHILE operator. roles: of its variables, by place. body: the graph of one round. steps: how many rounds.

    x: what a round reads of the sequence. states: by place.
    """

    item: FileOperator
    body: Subgraph
    roles: tuple[str, ...]
    steps: int
    x: Atom
    states: Mapping[int, Atom]

    @property
    def sequence(self) -> int:
        return self.roles.index(SEQUENCE)

    @property
    def counters(self) -> frozenset[str]:
        return frozenset(t.name for t, role in zip(self.body.inputs, self.roles, strict=True) if role == COUNTER)


@dataclass(frozen=True, eq=False)
class Layers:
    """What a loop becomes. absorbed: operators around it, by source, that nothing is left of."""

    nodes: tuple[Node, ...]
    tensors: tuple[Tensor, ...]
    absorbed: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Loops:
    """The loops of a graph, by source: what they become, or why they are refused. tensors: what they add, by name."""

    nodes: Mapping[str, tuple[Node, ...]]
    refused: Mapping[str, str]
    tensors: Mapping[str, Tensor]


def read_loops(
    operators: tuple[FileOperator, ...], subgraphs: tuple[Subgraph, ...], tensors: Mapping[str, Tensor]
) -> Loops:
    """operators, tensors: of the model's own graph, which is the first of subgraphs."""
    read = {tensor.name for item in operators for tensor in item.operator.inputs if tensor is not None}
    read.update(tensor.name for tensor in subgraphs[0].outputs)
    nodes: dict[str, tuple[Node, ...]] = {}
    refused: dict[str, str] = {}
    added: dict[str, Tensor] = {}
    for item in operators:
        if item.operator.builtin != "WHILE":
            continue
        found = read_loop(item, subgraphs, {**tensors, **added}, frozenset(read), operators)
        if isinstance(found, str):
            refused[item.source] = found
        else:
            nodes.update({item.source: found.nodes, **dict.fromkeys(found.absorbed, ())})
            added.update({tensor.name: tensor for tensor in found.tensors})
    return Loops(nodes, refused, added)


def read_loop(
    item: FileOperator,
    subgraphs: tuple[Subgraph, ...],
    tensors: Mapping[str, Tensor],
    read: frozenset[str],
    around: tuple[FileOperator, ...] = (),
) -> Layers | str:
    """The layer that the loop is, or why it is none. tensors, around: tensors and operators of the graph around it;
    read: the tensors that are used.
    """
    try:
        loop = find_loop(item, subgraphs)
        body = read_body(loop.body, round_inputs(loop), round_constants(loop))
        cell = find_cell(loop.x, loop.states, {p: body.form(loop.body.outputs[p].name) for p in loop.states})
        check_outputs(loop, body, cell)
        lists = [
            read_list(place, item, loop.body, loop.counters, around)
            for place, role in enumerate(loop.roles)
            if role == LIST
        ]
        check_lists(loop, body, cell, lists)
        return layers(loop, cell, tensors, read, lists)
    except UnrecognizedError as problem:
        return f"a loop that is no LSTM, GRU or simple RNN: {problem}; {ADVICE}"


def find_loop(item: FileOperator, subgraphs: tuple[Subgraph, ...]) -> Loop:
    options, count = item.operator.options, len(item.operator.inputs)
    numbers = (-1, -1) if options is None else (options.CondSubgraphIndex(), options.BodySubgraphIndex())
    if not all(0 < number < len(subgraphs) for number in numbers):
        raise UnrecognizedError("its condition or body does not exist")
    condition, body = (subgraphs[number] for number in numbers)
    if not len(body.inputs) == len(body.outputs) == len(condition.inputs) == len(item.operator.outputs) == count:
        raise UnrecognizedError("its variables differ between condition and body")
    if len(body.operators) > MAX_BODY:
        raise UnrecognizedError(f"its body has {len(body.operators)} operators")
    roles = tuple(role(item, body, place) for place in range(count))
    if roles.count(SEQUENCE) != 1:
        raise UnrecognizedError("it does not go through one sequence")
    shape, steps = body.inputs[roles.index(SEQUENCE)].shape, rounds(condition, roles)
    if len(shape) != 3 or shape[:2] != (steps, 1) or steps < 1:
        raise UnrecognizedError(f"it makes {steps} steps over a sequence of shape {list(shape)}")
    states = {place: state(body.inputs[place]) for place, role in enumerate(roles) if role == STATE}
    return Loop(item, body, roles, steps, Atom("input", shape[2]), states)


def state(tensor: Tensor) -> Atom:
    if len(tensor.shape) != 2 or tensor.shape[0] != 1:
        raise UnrecognizedError(f"its state '{tensor.name}' has the shape {list(tensor.shape)}")
    return Atom("input", tensor.shape[1])


def role(item: FileOperator, body: Subgraph, place: int) -> str:
    """What a variable of the loop is for, by what a round does with it; `check_output` and the cell prove the rest."""
    before, inside, after = item.operator.inputs[place], body.inputs[place], body.outputs[place]
    if before is None:
        raise UnrecognizedError("a variable has no beginning")
    if after.name == inside.name:
        return CONSTANT if before.data is not None else SEQUENCE
    if counts(body, inside.name, after.name):
        if before.data is None or before.data.any():
            raise UnrecognizedError(f"its counter '{inside.name}' does not begin with 0")
        return COUNTER
    if inside.dtype == NO_DTYPE:
        return LIST
    if before.data is None or before.data.any() or before.dtype != np.float32:
        raise UnrecognizedError(f"its variable '{inside.name}' does not begin with zeros")
    return ROWS if len(before.shape) == 3 else STATE


def counts(body: Subgraph, before: str, after: str) -> bool:
    """after = before + 1"""
    for item in body.operators:
        names = [tensor.name for tensor in item.operator.inputs if tensor is not None]
        if [tensor.name for tensor in item.operator.outputs] == [after] and item.operator.builtin == "ADD":
            others = [tensor for tensor in item.operator.inputs if tensor is not None and tensor.name != before]
            return before in names and len(others) == 1 and is_number(others[0], 1)
    return False


def is_number(tensor: Tensor, value: int) -> bool:
    return tensor.data is not None and tensor.dtype.kind in "iu" and tensor.data.reshape(-1).tolist() == [value]


def rounds(condition: Subgraph, roles: tuple[str, ...]) -> int:
    """How often a loop runs that goes on while its counters are below constants."""
    counters = {condition.inputs[place].name for place, role in enumerate(roles) if role == COUNTER}
    sources = {item.operator.outputs[0].name: item.operator for item in condition.operators if item.operator.outputs}
    waiting = [tensor.name for tensor in condition.outputs]
    limits: list[int] = []
    while waiting:
        operator = sources.get(waiting.pop())
        operands = [] if operator is None else [tensor for tensor in operator.inputs if tensor is not None]
        if operator is None or len(operands) != 2 or operator.builtin not in ("LESS", "LOGICAL_AND"):
            raise UnrecognizedError("it does not run a known number of times")
        if operator.builtin == "LOGICAL_AND":
            waiting += [tensor.name for tensor in operands]
            del sources[operator.outputs[0].name]
            continue
        limit = operands[1].data
        if operands[0].name not in counters or limit is None or limit.size != 1:
            raise UnrecognizedError("it does not run a known number of times")
        limits.append(int(limit.reshape(-1)[0]))
    return min(limits, default=0)


def round_inputs(loop: Loop) -> dict[str, Form]:
    """The states, and the row of the sequence that a round reads, as inputs of the algebra."""
    sequence = loop.body.inputs[loop.sequence].name
    found = {loop.body.inputs[place].name: atom_form(atom) for place, atom in loop.states.items()}
    for item in loop.body.operators:
        names = [tensor.name for tensor in item.operator.inputs if tensor is not None]
        if sequence not in names:
            continue
        by_step = item.operator.builtin == "GATHER" and names[0] == sequence and names[1] in loop.counters
        if not by_step or item.operator.options.Axis() != 0:
            raise UnrecognizedError("it does not read its sequence step by step")
        found[item.operator.outputs[0].name] = atom_form(loop.x)
    return found


def round_constants(loop: Loop) -> dict[str, Array]:
    """Constants of the body, and variables that no round changes."""
    constants = {t.name: numbers(t) for t in loop.body.operands.tensors if t.data is not None}
    for place, role in enumerate(loop.roles):
        before = loop.item.operator.inputs[place]
        if role == CONSTANT and before is not None and before.data is not None:
            constants[loop.body.inputs[place].name] = numbers(before)
    return constants


def numbers(tensor: Tensor) -> Array:
    """What a constant holds; the weights of a hybrid model are the floats they stand for."""
    plain = dequantized(tensor) or tensor
    assert plain.data is not None
    return plain.data


def check_outputs(loop: Loop, body: Body, cell: Cell) -> None:
    """The rows of the output are the hidden states, in the order of the rounds; of one row, the last state remains."""
    wires = wiring(loop.body, loop.counters)
    hidden = body.form(loop.body.outputs[cell.hidden].name)
    for place, role in enumerate(loop.roles):
        before, after = loop.body.inputs[place], loop.body.outputs[place]
        if role != ROWS:
            continue
        if before.shape not in ((loop.steps, 1, cell.units), (1, 1, cell.units)):
            raise UnrecognizedError(f"its output has the shape {list(before.shape)}")
        require_hidden(body, written_row(wires, before, after), hidden)


def check_lists(loop: Loop, body: Body, cell: Cell, lists: list[RowList]) -> None:
    """The same of outputs kept in lists."""
    hidden = body.form(loop.body.outputs[cell.hidden].name)
    for rows in lists:
        if rows.count != (1 if rows.last else loop.steps):
            raise UnrecognizedError(f"its list has {rows.count} items")
        require_hidden(body, rows.row, hidden)


def require_hidden(body: Body, row: str, hidden: Form) -> None:
    if not same(body.form(row), hidden):
        raise UnrecognizedError("its output is not its hidden state")


def layers(loop: Loop, cell: Cell, tensors: Mapping[str, Tensor], read: frozenset[str], lists: list[RowList]) -> Layers:
    """The operator over the sequence [1, steps, depth], and the loop's results as views of its output."""
    item = loop.item
    source = item.operator.inputs[loop.sequence]
    assert source is not None
    added: list[Tensor] = []

    def tensor(stem: str, shape: Shape, data: Array | None = None) -> str:
        known = {*tensors, *(other.name for other in added)}
        name = next(n for n in (stem, *(f"{stem}_{i}" for i in range(len(known) + 1))) if n not in known)
        added.append(Tensor(name, shape, np.dtype(np.float32), data))
        return name

    x = tensor(f"{item.name}/sequence", (1, loop.steps, source.shape[-1]))
    y = tensor(f"{item.name}/states", (1, loop.steps, cell.units))
    constants = tuple(tensor(f"{item.name}/{role}", data.shape, data) for role, data in cell.constants.items())
    nodes = [
        Node("reshape", x, (source.name,), (x,), Reshape(added[0].shape), item.source),
        Node(cell.op, y, (x, *constants), (y,), cell.attrs, item.source),
    ]
    for place, (result, role) in enumerate(zip(item.operator.outputs, loop.roles, strict=True)):
        if result.name in read and role != LIST:
            if role != ROWS and place != cell.hidden:
                raise UnrecognizedError(f"its {'cell state' if role == STATE else role} is read behind it")
            nodes.append(view(loop, cell, y, result))
    nodes += [view(loop, cell, y, stacked) for rows in lists for stacked in rows.stacked]
    return Layers(tuple(nodes), tuple(added), tuple(source for rows in lists for source in rows.absorbed))


def view(loop: Loop, cell: Cell, y: str, result: Tensor) -> Node:
    """One result of the loop, all rows or the last one, from all hidden states y [1, steps, units]."""
    source = loop.item.source
    if result.shape == (loop.steps, 1, cell.units):
        return Node("reshape", result.name, (y,), (result.name,), Reshape(result.shape), source)
    if result.shape in ((1, 1, cell.units), (1, cell.units)):
        last = StridedSlice((0, loop.steps - 1, 0), (1, 1, 1), (1, 1, cell.units), result.shape)
        return Node("strided_slice", result.name, (y,), (result.name,), last, source)
    raise UnrecognizedError(f"its result '{result.name}' has the shape {list(result.shape)}")
