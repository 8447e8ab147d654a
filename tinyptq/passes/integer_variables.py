"""Variables that a converter left in floats, in a model that others quantized."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tinyptq.graph import Graph, Node, Tensor, Variable, fresh_name, rebuild
from tinyptq.obstacles import FLOAT32
from tinyptq.ops.quantize import Quantize
from tinyptq.ops.reshape import Reshape
from tinyptq.passes.rewrite import redirect, substitute
from tinyptq.ptq.ranges import quantize_array


def integer_variables(graph: Graph) -> Graph:
    """Before: variable float → QUANTIZE → x int8; y int8 → DEQUANTIZE → assigned to the variable.
    After: x is the variable, y is assigned to it.

    What QUANTIZE did when the variable was read it does before it is assigned: the same numbers a run earlier. Where x
    and y have one scale nothing is left to do, and DEQUANTIZE goes as well.
    """
    for name in [variable.before for variable in graph.variables]:
        graph = as_integers(graph, name)
    return graph


def as_integers(graph: Graph, before: str) -> Graph:
    """graph with the variable read as `before` turned into integers; as it was where its readers do not agree."""
    variable = next(v for v in graph.variables if v.before == before)
    readers = graph.consumers(before)
    if graph.tensors[before].dtype != FLOAT32 or not readers or any(not is_entry(graph, node) for node in readers):
        return graph
    held = graph.tensors[readers[0].outputs[0]]
    if any(not alike(graph.tensors[node.outputs[0]], held) for node in readers):
        return graph
    assert held.qparams is not None
    graph, after = assigned(graph, variable, held)
    initial = quantize_array(variable.initial, held.qparams, held.dtype)
    kept = Variable(variable.name, held.name, after, initial)
    graph = replace(graph, variables=tuple(kept if v is variable else v for v in graph.variables))
    for node in readers[1:]:
        graph = substitute(graph, redirect(graph, node.outputs[0], held.name))
    return rebuild(graph, tuple(node for node in graph.nodes if all(node is not reader for reader in readers)))


def is_entry(graph: Graph, node: Node) -> bool:
    return node.op == "quantize" and node.outputs[0] not in graph.wanted


def alike(first: Tensor, second: Tensor) -> bool:
    if first.qparams is None or second.qparams is None or first.shape != second.shape:
        return False
    return first.dtype == second.dtype and first.qparams.same_as(second.qparams)


def assigned(graph: Graph, variable: Variable, held: Tensor) -> tuple[Graph, str]:
    """(graph, the tensor like `held` that a node writes): what DEQUANTIZE read, a copy of it, or a QUANTIZE behind."""
    producer = graph.producer(variable.after)
    assert producer is not None
    source = graph.tensors[producer.inputs[0]] if producer.op == "dequantize" else held
    if source is not held and alike(source, held):
        if graph.producer(source.name) is not None:
            return graph, source.name
        what: tuple[str, Any, str] = ("reshape", Reshape(held.shape), source.name)
    else:
        what = ("quantize", Quantize(), variable.after)
    target = replace(held, name=fresh_name(graph, f"{variable.after}_integer"))
    op, attrs, read = what
    node = Node(op, target.name, (read,), (target.name,), attrs, producer.source)
    place = next(position for position, other in enumerate(graph.nodes) if other is producer) + 1
    return rebuild(graph, (*graph.nodes[:place], node, *graph.nodes[place:]), (target,)), target.name
