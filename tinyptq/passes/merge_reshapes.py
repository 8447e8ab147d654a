"""Chains of reshapes, and reshapes the next node does not need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tinyptq.graph import Graph, Node
from tinyptq.passes.drop_dead import drop_dead
from tinyptq.passes.rewrite import substitute


def merge_reshapes(graph: Graph) -> Graph:
    """Before: x → reshape → reshape → y. After: x → reshape → y; the first stays only if others read it."""
    return rewired(graph, lambda node: node.op == "reshape")


def drop_flatten(graph: Graph) -> Graph:
    """Before: x → reshape (flatten) → fully_connected. After: x → fully_connected, which flattens by itself."""
    flattening = {id(node): replace_keep_dims(graph, node) for node in graph.nodes}
    graph = substitute(graph, flattening)
    return rewired(graph, lambda node: node.op == "fully_connected" and not getattr(node.attrs, "keep_dims", True))


def replace_keep_dims(graph: Graph, node: Node) -> Node:
    """On a matrix [1, in], acting on the last axis is the same as flattening."""
    if node.op != "fully_connected" or not getattr(node.attrs, "keep_dims", False):
        return node
    if len(graph.tensors[node.inputs[0]].shape) != 2:
        return node
    return replace(node, attrs=replace(node.attrs, keep_dims=False))


def rewired(graph: Graph, reads_through: Callable[[Node], bool]) -> Graph:
    """Nodes that look through a reshape read what the reshape reads."""
    for output in [node.outputs[0] for node in graph.nodes if node.outputs]:
        node = graph.producer(output)
        reshape = graph.producer(node.inputs[0]) if node is not None and node.inputs else None
        if node is None or reshape is None or reshape.op != "reshape" or not reads_through(node):
            continue
        if graph.tensors[reshape.inputs[0]].shape[:1] == graph.tensors[node.inputs[0]].shape[:1]:
            inputs = (reshape.inputs[0], *node.inputs[1:])
            graph = substitute(graph, {id(node): replace(node, inputs=inputs)})
    return drop_dead(graph)
