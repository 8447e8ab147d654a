"""Graph + float inputs -> float tensors: what the model means, before anything is quantized."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from tinyptq.graph import Array, Graph
from tinyptq.ops import BY_NAME


def iterate_float(graph: Graph, inputs: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    """(name, float32 array [n, ...]) of every activation as it is computed, inputs first.

    A tensor is forgotten after its last reader, so memory stays near that of one inference times n.
    """
    last = {name: i for i, node in enumerate(graph.nodes) for name in node.inputs}
    tensors = {name: np.asarray(inputs[name], np.float32) for name in graph.inputs}
    yield from tensors.items()
    for position, node in enumerate(graph.nodes):
        operands = [operand(graph, tensors, name) for name in node.inputs]
        results = BY_NAME[node.op].run_float(node.attrs, *operands)
        outputs = results if isinstance(results, tuple) else (results,)
        produced = dict(zip(node.outputs, outputs, strict=True))
        tensors.update(produced)
        yield from produced.items()
        for name in (*node.inputs, *node.outputs):
            if last.get(name, -1) <= position:
                tensors.pop(name, None)


def run_float(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Every activation of the graph at once, [n, ...] each."""
    return dict(iterate_float(graph, inputs))


def operand(graph: Graph, tensors: Mapping[str, Array], name: str) -> Array:
    data = graph.tensors[name].data
    return tensors[name] if data is None else data
