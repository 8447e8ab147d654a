"""Standalone relus become clamps of the node before them."""

from __future__ import annotations

from dataclasses import replace

from tinyptq.graph import Graph, Node
from tinyptq.obstacles import Foreign
from tinyptq.ops.activation import intersect
from tinyptq.ops.relu import Relu
from tinyptq.passes.rewrite import private_producer, substitute

FUSING = ("conv_2d", "depthwise_conv_2d", "transpose_conv", "fully_connected", "add", "mul")


def fuse_activation(graph: Graph) -> Graph:
    """Before: conv_2d, depthwise_conv_2d, transpose_conv, fully_connected, add, mul or relu → relu. After: one node,
    which clamps to both ranges in turn and writes the relu's output.
    """
    for output in [node.outputs[0] for node in graph.nodes if node.op == "relu"]:
        node = graph.producer(output)
        first = None if node is None else private_producer(graph, node.inputs[0])
        merged = None if node is None or first is None else fused(first, node)
        if merged is not None:
            graph = substitute(graph, {id(first): merged, id(node): None})
    return graph


def fused(first: Node, relu: Node) -> Node | None:
    if isinstance(first.attrs, Foreign) or not isinstance(relu.attrs, Relu):
        return None
    if isinstance(first.attrs, Relu):
        return replace(first, outputs=relu.outputs, attrs=Relu(intersect(first.attrs.clamp, relu.attrs.clamp)))
    if first.op not in FUSING:
        return None
    clamp = intersect(first.attrs.activation, relu.attrs.clamp)
    return replace(first, outputs=relu.outputs, attrs=replace(first.attrs, activation=clamp))
