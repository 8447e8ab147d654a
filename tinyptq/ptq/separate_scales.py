"""Graph -> Graph: tensors that may not share a scale are kept apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyptq.graph import Graph, Node, Tensor, fresh_name, rebuild
from tinyptq.ops import BY_NAME
from tinyptq.ops.base import SAME
from tinyptq.ops.quantize import Quantize


def separate_scales(graph: Graph) -> Graph:
    """Before: an operator whose inputs must share one scale reads a tensor whose scale is dictated
    (concatenation of a softmax). After: a Quantize node stands between, which rescales it.
    """
    dictated = dictated_tensors(graph)
    nodes: list[Node] = []
    added: list[Tensor] = []
    for node in graph.nodes:
        inputs = list(node.inputs)
        if BY_NAME[node.op].quantization == SAME and len(inputs) > 1:
            for position, name in enumerate(inputs):
                if name in dictated:
                    named = replace(graph, tensors={**graph.tensors, **{t.name: t for t in added}})
                    rescaled = fresh_name(named, f"{name}_rescaled")
                    tensor = Tensor(rescaled, graph.tensors[name].shape, np.dtype(np.float32))
                    added.append(tensor)
                    nodes.append(
                        Node("quantize", tensor.name, (name,), (tensor.name,), Quantize(), f"input of {node.source}")
                    )
                    inputs[position] = tensor.name
        nodes.append(replace(node, inputs=tuple(inputs)))
    return rebuild(graph, tuple(nodes), tuple(added))


def dictated_tensors(graph: Graph) -> set[str]:
    """Outputs of fixed-scale operators, and what single-input SAME operators and variables pass on from them."""
    dictated: set[str] = set()
    while True:
        dictated |= passed_on(graph, dictated)
        read = {variable.before for variable in graph.variables if variable.after in dictated}
        if read <= dictated:
            return dictated
        dictated |= read


def passed_on(graph: Graph, known: set[str]) -> set[str]:
    dictated = set(known)
    for node in graph.nodes:
        quantization = BY_NAME[node.op].quantization
        passes_on = quantization == SAME and len(node.inputs) == 1 and node.inputs[0] in dictated
        if passes_on or not isinstance(quantization, str):
            dictated.update(node.outputs)
    return dictated
