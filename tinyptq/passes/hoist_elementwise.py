"""Element-wise nodes move in front of reshapes, where the passes after this one can fuse them."""

from __future__ import annotations

from dataclasses import replace

from tinyptq.graph import Graph, Node, Tensor, fresh_name
from tinyptq.obstacles import FLOAT32
from tinyptq.passes.rewrite import is_channel_vector, private_producer, split_constant, substitute


def hoist_elementwise(graph: Graph) -> Graph:
    """Before: conv_2d → reshape → mul and add by a channel vector, relu (a Conv1D with batch norm).
    After: conv_2d → mul, add, relu → reshape.
    """
    for output in [node.outputs[0] for node in graph.nodes if node.outputs]:
        node = graph.producer(output)
        while node is not None and (moved := hoisted(graph, node)) is not None:
            graph, node = moved
    return graph


def hoisted(graph: Graph, node: Node) -> tuple[Graph, Node] | None:
    """The graph with node in front of the reshape it reads, and node as it is now; None where it must stay."""
    operand = movable_operand(graph, node)
    reshape = None if operand is None else private_producer(graph, operand)
    if reshape is None or reshape.op != "reshape" or graph.is_constant(reshape.inputs[0]):
        return None
    assert operand is not None
    source, result = graph.tensors[reshape.inputs[0]], graph.tensors[node.outputs[0]]
    if result.shape != graph.tensors[operand].shape or not fits(graph, node, source):
        return None
    between = Tensor(fresh_name(graph, f"{node.name}_hoisted"), source.shape, FLOAT32)
    inputs = tuple(source.name if name == operand else name for name in node.inputs)
    first = replace(node, inputs=inputs, outputs=(between.name,))
    last = replace(reshape, inputs=(between.name,), outputs=node.outputs)
    return substitute(graph, {id(reshape): first, id(node): last}, (between,)), first


def movable_operand(graph: Graph, node: Node) -> str | None:
    """The run-time operand of a relu, or of a mul or add with a constant."""
    if node.op == "relu":
        return node.inputs[0]
    operands = split_constant(graph, node) if node.op in ("mul", "add") and len(node.inputs) == 2 else None
    return operands[0] if operands else None


def fits(graph: Graph, node: Node, source: Tensor) -> bool:
    """The constant means the same before the reshape: one value, or a vector along an unchanged last axis."""
    if node.op == "relu":
        return True
    operands = split_constant(graph, node)
    assert operands is not None
    channels, values = graph.tensors[operands[0]].shape[-1], operands[1]
    if values.ndim > len(source.shape):
        return False
    return values.size == 1 or (source.shape[-1] == channels and is_channel_vector(values, channels))
