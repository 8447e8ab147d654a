"""What can be computed now."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyptq.graph import Array, Graph, Node, rebuild
from tinyptq.obstacles import FLOAT32, Foreign
from tinyptq.ops import BY_NAME

MAX_ELEMENTS = 1 << 24


def fold_constants(graph: Graph) -> Graph:
    """Before: a node reads constants only. After: its outputs are constants, the node is gone."""
    tensors, kept = dict(graph.tensors), []
    for node in graph.nodes:
        values = folded(replace(graph, tensors=tensors), node)
        if values is None:
            kept.append(node)
        else:
            tensors.update((name, replace(tensors[name], data=v)) for name, v in zip(node.outputs, values, strict=True))
    return rebuild(replace(graph, tensors=tensors), tuple(kept))


def folded(graph: Graph, node: Node) -> tuple[Array, ...] | None:
    """The node's outputs when they can be known; outputs of the graph and values of variables keep their node."""
    outputs = [graph.tensors[name] for name in node.outputs]
    data = [graph.tensors[name].data for name in node.inputs]
    if isinstance(node.attrs, Foreign) or any(name in graph.wanted for name in node.outputs):
        return None
    operands = [values for values in data if values is not None]
    if not operands or len(operands) < len(data) or sum(np.prod(output.shape) for output in outputs) > MAX_ELEMENTS:
        return None
    if any(values.dtype != FLOAT32 for values in operands) or any(output.dtype != FLOAT32 for output in outputs):
        return None
    if node.op == "reshape":  # a constant has no batch axis to keep
        shape = outputs[0].shape
        return (operands[0].reshape(shape),) if operands[0].size == np.prod(shape) else None
    try:
        results = BY_NAME[node.op].run_float(node.attrs, *operands)
    except (ValueError, IndexError, ArithmeticError):  # shapes that do not fit: the constraints will say so
        return None
    values = tuple(np.asarray(v, FLOAT32) for v in (results if isinstance(results, tuple) else (results,)))
    return values if [v.shape for v in values] == [output.shape for output in outputs] else None
