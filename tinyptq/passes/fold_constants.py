"""What can be computed now."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyptq.graph import Array, Graph, Node, rebuild
from tinyptq.obstacles import FLOAT32, Foreign
from tinyptq.ops import BY_NAME

MAX_ELEMENTS = 1 << 24


def fold_constants(graph: Graph) -> Graph:
    """Before: a node reads constants only. After: its output is a constant, the node is gone."""
    tensors, kept = dict(graph.tensors), []
    for node in graph.nodes:
        values = folded(replace(graph, tensors=tensors), node)
        if values is None:
            kept.append(node)
        else:
            name = node.outputs[0]
            tensors[name] = replace(tensors[name], data=values)
    return rebuild(replace(graph, tensors=tensors), tuple(kept))


def folded(graph: Graph, node: Node) -> Array | None:
    """The node's output when it can be known; outputs of the graph and values of variables keep their node."""
    output = graph.tensors[node.outputs[0]] if len(node.outputs) == 1 else None
    data = [graph.tensors[name].data for name in node.inputs]
    if output is None or output.name in graph.wanted or isinstance(node.attrs, Foreign):
        return None
    operands = [values for values in data if values is not None]
    if not operands or len(operands) < len(data) or np.prod(output.shape) > MAX_ELEMENTS:
        return None
    if any(values.dtype != FLOAT32 for values in operands) or output.dtype != FLOAT32:
        return None
    if node.op == "reshape":  # a constant has no batch axis to keep
        return operands[0].reshape(output.shape) if operands[0].size == np.prod(output.shape) else None
    try:
        values = np.asarray(BY_NAME[node.op].run_float(node.attrs, *operands), FLOAT32)
    except (ValueError, IndexError, ArithmeticError):  # shapes that do not fit: the constraints will say so
        return None
    return values if values.shape == output.shape else None
