"""Consecutive pads."""

from __future__ import annotations

from dataclasses import replace

from tinyptq.graph import Graph
from tinyptq.ops.pad import Pad
from tinyptq.passes.rewrite import private_producer, substitute


def merge_pads(graph: Graph) -> Graph:
    """Before: x → pad → pad → y. After: x → pad by both → y."""
    for output in [node.outputs[0] for node in graph.nodes if node.op == "pad"]:
        node = graph.producer(output)
        first = None if node is None else private_producer(graph, node.inputs[0])
        if node is None or first is None or not (isinstance(node.attrs, Pad) and isinstance(first.attrs, Pad)):
            continue
        before = tuple(a + b for a, b in zip(first.attrs.before, node.attrs.before, strict=True))
        after = tuple(a + b for a, b in zip(first.attrs.after, node.attrs.after, strict=True))
        merged = replace(node, inputs=first.inputs, attrs=Pad(before, after))
        graph = substitute(graph, {id(first): None, id(node): merged})
    return graph
