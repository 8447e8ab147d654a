"""Concatenations of tensors whose scales differ, in models that others quantized."""

from __future__ import annotations

from dataclasses import replace

from tinyptq.graph import Graph, Node, Tensor, fresh_name, rebuild
from tinyptq.ops.quantize import Quantize


def rescale_inputs(graph: Graph) -> Graph:
    """Before: a concatenation reads a run-time tensor whose scale or zero point is not its output's.
    After: a quantize between them brings it to the output's. (tflite-micro refuses such a file; bytes joined as they
    are would mean other numbers.)
    """
    nodes: list[Node] = []
    added: list[Tensor] = []
    for node in graph.nodes:
        inputs = list(node.inputs)
        for position, name in enumerate(inputs):
            if node.op == "concatenation" and differs(graph.tensors[name], graph.tensors[node.outputs[0]]):
                known = replace(graph, tensors={**graph.tensors, **{t.name: t for t in added}})
                target = replace(
                    graph.tensors[name],
                    name=fresh_name(known, f"{name}_rescaled"),
                    qparams=graph.tensors[node.outputs[0]].qparams,
                )
                added.append(target)
                source = f"input {position} of {node.source}"
                nodes.append(Node("quantize", target.name, (name,), (target.name,), Quantize(), source))
                inputs[position] = target.name
        nodes.append(replace(node, inputs=tuple(inputs)))
    return rebuild(graph, tuple(nodes), tuple(added))


def differs(tensor: Tensor, output: Tensor) -> bool:
    """Both are quantized, and not alike; constants keep their integers."""
    if tensor.data is not None or tensor.qparams is None or output.qparams is None:
        return False
    return not tensor.qparams.same_as(output.qparams)
