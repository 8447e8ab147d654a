"""QUANTIZE and DEQUANTIZE at the ends of a model that computes in integers."""

from __future__ import annotations

from dataclasses import replace

from tinyptq.graph import Graph, Node, rebuild
from tinyptq.obstacles import FLOAT32


def strip_float_ends(graph: Graph) -> Graph:
    """Before: float input → QUANTIZE → integer operators → DEQUANTIZE → float output.
    After: the integer tensors are the graph's inputs and outputs; the caller converts, by the scales in the header.
    """
    entry = {n.inputs[0]: n for n in graph.nodes if is_entry(graph, n)}
    exits = {n.outputs[0]: n for n in graph.nodes if is_exit(graph, n)}
    shared = {name for name in entry if len(graph.consumers(name)) > 1}
    gone = {id(n) for name, n in entry.items() if name not in shared} | {id(n) for n in exits.values()}
    stripped = replace(
        graph,
        inputs=tuple(entry[n].outputs[0] if n in entry and n not in shared else n for n in graph.inputs),
        outputs=tuple(exits[n].inputs[0] if n in exits else n for n in graph.outputs),
    )
    return rebuild(stripped, tuple(n for n in graph.nodes if id(n) not in gone))


def is_entry(graph: Graph, node: Node) -> bool:
    """A variable may not hold an input itself: what it holds is written by a node."""
    if node.op != "quantize" or node.outputs[0] in graph.wanted:
        return False
    return node.inputs[0] in graph.inputs and graph.tensors[node.inputs[0]].dtype == FLOAT32


def is_exit(graph: Graph, node: Node) -> bool:
    """Only a model output reads the float it makes."""
    result = node.outputs[0]
    return node.op == "dequantize" and result in graph.outputs and not is_read(graph, result)


def is_read(graph: Graph, tensor: str) -> bool:
    """By a node, or by the next run."""
    return bool(graph.consumers(tensor)) or any(variable.after == tensor for variable in graph.variables)
