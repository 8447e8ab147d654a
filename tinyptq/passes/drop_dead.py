"""Nodes nobody needs."""

from __future__ import annotations

from dataclasses import replace

from tinyptq.graph import Graph, Node, rebuild


def drop_dead(graph: Graph) -> Graph:
    """Before: nodes whose results reach no output (the SHAPE, STRIDED_SLICE and PACK that compute a reshape's
    target), variables that only feed themselves. After: they are gone.
    """
    kept, needed = needed_nodes(graph, set(graph.outputs))
    waiting = list(graph.variables)
    while read := [variable for variable in waiting if variable.before in needed]:
        waiting = [variable for variable in waiting if variable not in read]
        kept, needed = needed_nodes(graph, needed | {variable.after for variable in read})
    alive = tuple(variable for variable in graph.variables if variable not in waiting)
    return rebuild(replace(graph, variables=alive), kept)


def needed_nodes(graph: Graph, needed: set[str]) -> tuple[tuple[Node, ...], set[str]]:
    """(the nodes that lead to the tensors `needed`, these tensors and all that are read on the way)."""
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            kept.append(node)
            needed.update(node.inputs)
    return tuple(reversed(kept)), needed
