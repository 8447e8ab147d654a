"""Inputs that are handed on as they are become layers of their own."""

from __future__ import annotations

from dataclasses import replace

from tinyptq.graph import Graph, Node, fresh_name, rebuild
from tinyptq.ops.reshape import Reshape


def copy_inputs(graph: Graph) -> Graph:
    """Before: x is an input and an output. After: x → reshape to its own shape → x_copy, which is the output."""
    for name in dict.fromkeys(graph.outputs):
        if name in graph.inputs and 0 not in graph.tensors[name].shape:
            copy = replace(graph.tensors[name], name=fresh_name(graph, f"{name}_copy"))
            source = f"output '{name}'"
            node = Node("reshape", copy.name, (name,), (copy.name,), Reshape(copy.shape), source)
            outputs = tuple(copy.name if output == name else output for output in graph.outputs)
            graph = rebuild(replace(graph, outputs=outputs), (*graph.nodes, node), (copy,))
    return graph
