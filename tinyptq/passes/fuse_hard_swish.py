"""x · relu6(x + 3) / 6, spelled out, becomes one operator."""

from __future__ import annotations

import math

from tinyptq.graph import Graph, Node
from tinyptq.obstacles import FLOAT32
from tinyptq.ops.activation import NONE, RELU6
from tinyptq.ops.add import Add
from tinyptq.ops.hard_swish import HardSwish
from tinyptq.ops.mul import Mul
from tinyptq.passes.rewrite import private_producer, split_constant, substitute


def fuse_hard_swish(graph: Graph) -> Graph:
    """Before: the product of x, of add(x, 3) with RELU6 and of 1/6, in any order (MobileNetV3). After: hard_swish.

    Comes after fuse_activation, which makes RELU6 the add's own.
    """
    for output in [node.outputs[0] for node in graph.nodes if node.op == "mul"]:
        node = graph.producer(output)
        found = None if node is None else match(graph, node)
        if node is not None and found is not None:
            x, inner = found
            swish = Node("hard_swish", node.name, (x,), node.outputs, HardSwish(), node.source)
            graph = substitute(graph, {**{id(n): None for n in inner}, id(node): swish})
    return graph


def match(graph: Graph, node: Node) -> tuple[str, list[Node]] | None:
    """(x, the other nodes of the product) where node ends a hard swish of x."""
    product = factors(graph, node)
    if product is None:
        return None
    leaves, constant, inner = product
    if len(leaves) != 2 or not math.isclose(constant, 1 / 6, rel_tol=1e-5):
        return None
    for x, gated in (leaves, leaves[::-1]):
        gate = private_producer(graph, gated)
        if gate is not None and is_gate(graph, gate, x) and graph.tensors[x].dtype == FLOAT32:
            return x, [*inner, gate]
    return None


def factors(graph: Graph, node: Node, depth: int = 2) -> tuple[list[str], float, list[Node]] | None:
    """(run-time factors, product of the constants, muls below node) of at most depth muls without activation."""
    if depth == 0 or node.attrs != Mul(NONE) or len(node.inputs) != 2:
        return None
    leaves: list[str] = []
    constant, inner = 1.0, []
    operands = split_constant(graph, node)
    if operands is not None and operands[1].size != 1:
        return None
    for name in node.inputs if operands is None else operands[:1]:
        below = private_producer(graph, name)
        nested = None if below is None or below.op != "mul" else factors(graph, below, depth - 1)
        if nested is None or below is None:
            leaves.append(name)
            continue
        leaves += nested[0]
        constant *= nested[1]
        inner += [below, *nested[2]]
    return leaves, constant * (1.0 if operands is None else float(operands[1].ravel()[0])), inner


def is_gate(graph: Graph, node: Node, x: str) -> bool:
    """relu6(x + 3)."""
    if node.attrs != Add(RELU6) or len(node.inputs) != 2:
        return False
    operands = split_constant(graph, node)
    return operands is not None and operands[0] == x and operands[1].size == 1 and float(operands[1].ravel()[0]) == 3.0
