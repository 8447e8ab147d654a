""".tflite bytes -> Graph. Reads any file; what cannot be compiled stays in the graph as obstacles.Foreign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tinyptq.errors import TinyptqError
from tinyptq.frontend.flatbuffer import guarded, require
from tinyptq.frontend.lookups import read_lookups
from tinyptq.frontend.loops import read_loops
from tinyptq.frontend.remedies import no_such_operator
from tinyptq.frontend.sequences import spell_sequences
from tinyptq.frontend.shapes import settle_shapes
from tinyptq.frontend.spellings import spell_others, warnings
from tinyptq.frontend.subgraphs import FileOperator, read_subgraphs
from tinyptq.frontend.tflite_tensors import KEPT, Operands
from tinyptq.frontend.variables import resolve_variables
from tinyptq.graph import Graph, Node, Tensor, check_graph, rebuild
from tinyptq.obstacles import Foreign
from tinyptq.ops import BY_BUILTIN
from tinyptq.ops.base import Op, TfliteOperator, own_operands


def load_tflite(data: bytes, name: str = "model", where: str | None = None) -> Graph:
    """Graph of the file's first subgraph, as the file has it: no pass has run. where names the file in errors."""
    where = where or name
    subgraphs = read_subgraphs(data, where)
    main = subgraphs[0]
    with guarded(where):
        require(len(main.outputs) > 0, "the model has no output")
        model = resolve_variables(subgraphs)
        kept = frozenset((*names(main.outputs), *(variable.after for variable in model.variables)))
        operators, tensors = read_lookups(model.operators, model.tensors)
        settled = settle_shapes(operators, tensors, main.operands.unknown, kept)
        operators, plain = spell_others(*spell_sequences(settled.operators, settled.tensors))
        loops = read_loops(operators, subgraphs, plain)
    refused = {**model.refused, **loops.refused}
    nodes = tuple(
        node
        for item in operators
        for node in (
            loops.nodes[item.source]
            if item.source in loops.nodes
            else (read_node(where, item, main.operands, refused),)
        )
    )
    tensors = {**plain, **loops.tensors}
    written = {name for node in nodes for name in node.outputs if name in main.operands.oddities}
    tensors.update({name: replace(tensors[name], data=None) for name in written})
    outputs = names(main.outputs)
    known = warnings(settled.tensors, tensors, outputs)
    graph = Graph(name, tensors, nodes, names(main.inputs), outputs, known, model.variables)
    errors = check_graph(graph)
    if errors:
        raise TinyptqError("bad-tflite", f"damaged model: {'; '.join(errors[:5])}", where=where)
    return rebuild(graph, nodes)


def names(tensors: tuple[Tensor, ...]) -> tuple[str, ...]:
    return tuple(tensor.name for tensor in tensors)


def read_node(where: str, item: FileOperator, operands: Operands, refused: Mapping[str, str]) -> Node:
    operator, shown, name, source = item.operator, item.shown, item.name, item.source
    with guarded(f"{where}: {source}"):
        op = BY_BUILTIN.get(operator.builtin)
        reason = refused.get(source) or refusal(operator, op, operands.oddities)
        if op is None or reason is not None:
            return foreign_node(operator, shown, reason or no_such_operator(operator.builtin), name, source)
        return known_node(operator, op, shown, name, source)


def refusal(operator: TfliteOperator, op: Op | None, oddities: dict[str, str]) -> str | None:
    """Why the operator cannot be read, None when it can be tried."""
    if op is None:
        return no_such_operator(operator.builtin)
    own = {tensor.name for tensor in own_operands(operator, op) if tensor is not None}
    for tensor in (*operator.inputs, *operator.outputs):
        if tensor is None or tensor.name not in oddities:
            continue
        if oddities[tensor.name] == KEPT and op.run_state is not None and tensor.name not in own:
            continue  # the operator's own state: params say how it begins
        return f"tensor '{tensor.name}' has {oddities[tensor.name]}"
    return None


def foreign_node(operator: TfliteOperator, shown: str, reason: str, name: str, source: str) -> Node:
    inputs = names(tuple(tensor for tensor in operator.inputs if tensor is not None))
    attrs = Foreign(shown, reason)
    return Node(f"foreign {operator.builtin.lower()}", name, inputs, names(operator.outputs), attrs, source)


def known_node(operator: TfliteOperator, op: Op, shown: str, name: str, source: str) -> Node:
    """Node with the operator's own attrs; its shapes are computed again and must be the declared ones."""
    try:
        attrs = op.read_tflite(operator)
    except TinyptqError as problem:
        return foreign_node(operator, shown, problem.message, name, source)
    kept = own_operands(operator, op)
    while kept and kept[-1] is None:
        kept = kept[:-1]
    inputs = tuple(tensor for tensor in kept if tensor is not None)
    require(len(inputs) == len(kept), "an operand is absent before one that is present")
    shapes = op.infer_shapes(attrs, *(tensor.shape for tensor in inputs))
    declared = tuple(tensor.shape for tensor in operator.outputs)
    reason = None
    if shapes != declared:
        reason = f"output shapes are {listed(shapes)}, the file declares {listed(declared)}"
    if op.weight_axis is not None and len(inputs) > 2 and inputs[2].shape != (inputs[1].shape[op.weight_axis],):
        reason = f"bias of shape {list(inputs[2].shape)} for weights of shape {list(inputs[1].shape)}"
    if reason is not None:
        return foreign_node(operator, shown, reason, name, source)
    return Node(op.name, name, names(inputs), names(operator.outputs), attrs, source)


def listed(shapes: Any) -> str:
    return " ".join(str(list(shape)) for shape in shapes)
