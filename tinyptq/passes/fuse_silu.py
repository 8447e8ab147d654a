"""x · logistic(x), as TFLite spells swish, becomes one operator."""

from __future__ import annotations

from tinyptq.graph import Graph, Node
from tinyptq.obstacles import FLOAT32
from tinyptq.ops.activation import NONE
from tinyptq.ops.mul import Mul
from tinyptq.ops.silu import Silu
from tinyptq.passes.rewrite import private_producer, substitute


def fuse_silu(graph: Graph) -> Graph:
    """Before: x → logistic, and mul of x and the result, in any order. After: x → silu, which writes mul's output."""
    for output in [node.outputs[0] for node in graph.nodes if node.op == "mul"]:
        node = graph.producer(output)
        gate = None if node is None else gate_of(graph, node)
        if node is not None and gate is not None:
            silu = Node("silu", node.name, gate.inputs, node.outputs, Silu(), node.source)
            graph = substitute(graph, {id(gate): None, id(node): silu})
    return graph


def gate_of(graph: Graph, node: Node) -> Node | None:
    """The logistic of one operand that is the other operand; None when node is no silu."""
    if node.attrs != Mul(NONE) or len(node.inputs) != 2:
        return None
    for x, gated in (node.inputs, node.inputs[::-1]):
        gate = private_producer(graph, gated)
        if gate is not None and gate.op == "logistic" and gate.inputs == (x,) and graph.tensors[x].dtype == FLOAT32:
            return gate
    return None
