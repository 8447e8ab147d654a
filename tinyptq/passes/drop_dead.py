"""Nodes nobody needs."""

from __future__ import annotations

from tinyptq.graph import Graph, Node, rebuild


def drop_dead(graph: Graph) -> Graph:
    """Before: nodes whose results reach no output (the SHAPE, STRIDED_SLICE and PACK that compute a reshape's
    target). After: they are gone.
    """
    needed = set(graph.outputs)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            kept.append(node)
            needed.update(node.inputs)
    return rebuild(graph, tuple(reversed(kept)))
