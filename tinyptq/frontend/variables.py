"""VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE, CALL_ONCE -> Graph.variables.

The order of the operators decides what a read sees, as in TFLite Micro, which runs them one by one: the value from
the run before until an assignment, the assigned tensor behind it. So a read becomes the name of the tensor that holds
the variable there, and what is left of the variable is the tensor of its first read and that of its last assignment.
Source: TFLite Micro micro_resource_variable.cc.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from tinyptq.frontend.flatbuffer import require
from tinyptq.frontend.subgraphs import FileOperator, Subgraph
from tinyptq.frontend.variable_facts import (
    ASSIGN,
    HANDLE,
    ONCE,
    READ,
    UNKNOWN_HANDLE,
    Facts,
    Key,
    read_facts,
    spelled,
    variable_of,
)
from tinyptq.graph import Array, Tensor, Variable
from tinyptq.ops.base import TfliteOperator


@dataclass(frozen=True, eq=False)
class Stateless:
    """A subgraph without variable operators.

    operators: the others, reading what the variables held, and copies. tensors: of the whole graph, by name.
    refused: operators (by source) that cannot be, and why: the reads of variables that are not understood.
    """

    operators: tuple[FileOperator, ...]
    tensors: Mapping[str, Tensor]
    variables: tuple[Variable, ...]
    refused: Mapping[str, str]


@dataclass(eq=False)
class Walk:
    """Where the walk through the operators is; a running state.

    holder: what holds each variable, by its key. before: what held it at the start. renamed: tensor read -> its holder.
    """

    tensors: dict[str, Tensor]
    inputs: set[str]
    outputs: set[str]
    holder: dict[Key, Tensor] = field(default_factory=dict)
    before: dict[Key, Tensor] = field(default_factory=dict)
    renamed: dict[str, Tensor] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)
    operators: list[FileOperator] = field(default_factory=list)


def resolve_variables(subgraphs: tuple[Subgraph, ...]) -> Stateless:
    """The file's first subgraph; what CALL_ONCE assigns is the variables' value before the first run."""
    main = subgraphs[0]
    tensors = {tensor.name: tensor for tensor in main.operands.tensors}
    if not any(item.operator.builtin in (HANDLE, READ, ASSIGN, ONCE) for item in main.operators):
        return Stateless(main.operators, tensors, (), {})
    facts = read_facts(subgraphs)
    inputs, outputs = ({tensor.name for tensor in ends} for ends in (main.inputs, main.outputs))
    walk = Walk(tensors, inputs, outputs)
    reasons = {item.source: step(walk, item, facts) for item in main.operators}
    refused = {source: reason for source, reason in reasons.items() if reason is not None}
    return Stateless(tuple(walk.operators), walk.tensors, tuple(finished(walk, facts)), refused)


def step(walk: Walk, item: FileOperator, facts: Facts) -> str | None:
    """Take one operator; the reason why it stays as a foreign one, if it does."""
    builtin = item.operator.builtin
    if builtin in (HANDLE, ONCE):
        return None
    if builtin not in (READ, ASSIGN):
        results = {tensor.name for tensor in item.operator.outputs}
        require(not results & walk.renamed.keys(), f"{item.source} writes where READ_VARIABLE has written")
        inputs = tuple(current(walk, tensor) for tensor in item.operator.inputs)
        walk.operators.append(replace(item, operator=replace(item.operator, inputs=inputs)))
        if not converts_input(walk, item):
            walk.written |= results
        return None
    key = variable_of(item, facts.keys)
    reason = UNKNOWN_HANDLE if key is None else facts.complaints[key]
    if reason is not None or key is None:
        if builtin == READ:
            walk.operators.append(replace(item, operator=replace(item.operator, inputs=())))
        return reason
    if builtin == READ:
        read(walk, item, key)
    else:
        assign(walk, item, key)
    return None


def converts_input(walk: Walk, item: FileOperator) -> bool:
    """A QUANTIZE where the model begins: the caller does its work, and there is no node then."""
    operator = item.operator
    return operator.builtin == "QUANTIZE" and any(t is not None and t.name in walk.inputs for t in operator.inputs)


def read(walk: Walk, item: FileOperator, key: Key) -> None:
    """The tensor read is what holds the variable; a copy where it has another shape or scale, or leaves the model."""
    target = item.operator.outputs[0]
    if key not in walk.holder:
        kept = fresh(walk, target, "held") if target.name in walk.outputs else target
        walk.holder[key] = walk.before[key] = kept
    holder = walk.holder[key]
    if holder is target:
        return
    if target.name in walk.outputs or not alike(holder, target):
        copy(walk, item, holder, target)
    else:
        walk.renamed[target.name] = holder


def assign(walk: Walk, item: FileOperator, key: Key) -> None:
    """From here on the variable is the tensor assigned; a copy of it unless an operator wrote it in this run."""
    value = current(walk, item.operator.inputs[1])
    assert value is not None
    if value.name not in walk.written:
        target = fresh(walk, replace(value, data=None), "assigned")
        copy(walk, item, value, target)
        value = target
    walk.holder[key] = value


def current(walk: Walk, tensor: Tensor | None) -> Tensor | None:
    return tensor if tensor is None else walk.renamed.get(tensor.name, tensor)


def copy(walk: Walk, item: FileOperator, source: Tensor, target: Tensor) -> None:
    operator = TfliteOperator("RESHAPE", None, (source,), (target,))
    walk.operators.append(FileOperator(operator, "RESHAPE", target.name, item.source))
    walk.written.add(target.name)


def fresh(walk: Walk, like: Tensor, suffix: str) -> Tensor:
    """A tensor like another one, under a name of its own."""
    name = f"{like.name}_{suffix}"
    while name in walk.tensors:
        name += "_"
    walk.tensors[name] = replace(like, name=name)
    return walk.tensors[name]


def alike(first: Tensor, second: Tensor) -> bool:
    if first.qparams is None or second.qparams is None:
        same = first.qparams is second.qparams
    else:
        same = first.qparams.same_as(second.qparams)
    return same and first.shape == second.shape and first.dtype == second.dtype


def finished(walk: Walk, facts: Facts) -> Iterator[Variable]:
    """The variables that a run changes; one that is only read becomes a constant."""
    for key, before in walk.before.items():
        value = initial_value(facts, key, before)
        if walk.holder[key] is before:
            walk.tensors[before.name] = replace(before, data=value)
        else:
            yield Variable(spelled(key), before.name, walk.holder[key].name, value)


def initial_value(facts: Facts, key: Key, before: Tensor) -> Array:
    """What CALL_ONCE assigned; else every byte is the zero point of the first tensor that the model assigns."""
    if key in facts.initial:
        data = facts.initial[key].data
        assert data is not None
        return np.ascontiguousarray(data).reshape(before.shape)
    first = next(tensor for builtin, tensor in facts.uses[key] if builtin == ASSIGN)
    zero_point = 0 if first.qparams is None else int(first.qparams.zero_point[0])
    one = np.full(before.dtype.itemsize, zero_point & 0xFF, np.uint8).view(before.dtype)
    return np.broadcast_to(one.reshape(()), before.shape)  # takes no memory, whatever the file declares
