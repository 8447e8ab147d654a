"""Transposes that move nothing."""

from __future__ import annotations

from dataclasses import replace

from tinyptq.graph import Graph, Node
from tinyptq.ops.reshape import Reshape
from tinyptq.ops.transpose import Transpose
from tinyptq.passes.rewrite import substitute


def reshape_transposes(graph: Graph) -> Graph:
    """Before: x → transpose whose axes longer than one keep their order → y. After: x → reshape → y.

    Even the batch axis may change places with another axis of one.
    """
    changed: dict[int, Node | None] = {}
    for node in graph.nodes:
        if isinstance(node.attrs, Transpose) and moves_nothing(graph, node):
            attrs = Reshape(graph.tensors[node.outputs[0]].shape)
            changed[id(node)] = replace(node, op="reshape", attrs=attrs)
    return substitute(graph, changed) if changed else graph


def moves_nothing(graph: Graph, node: Node) -> bool:
    shape = graph.tensors[node.inputs[0]].shape
    longer = [axis for axis in node.attrs.permutation if shape[axis] > 1]
    return longer == sorted(longer) and shape[:1] == (1,) == graph.tensors[node.outputs[0]].shape[:1]
