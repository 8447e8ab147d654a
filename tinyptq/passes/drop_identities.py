"""Nodes that change nothing."""

from __future__ import annotations

import numpy as np

from tinyptq.graph import Graph, Node
from tinyptq.obstacles import Foreign
from tinyptq.ops.activation import NONE, intersect
from tinyptq.passes.rewrite import bypass, split_constant

CONVERTERS = ("quantize", "dequantize")
POOLS = ("average_pool_2d", "max_pool_2d")
REDUCTIONS = ("mean", "reduce_max")
MOVES = (  # whatever keeps its shape keeps its elements
    *("slice", "tile", "pad_v2", "mirror_pad", "space_to_depth", "depth_to_space"),
    *("resize_nearest_neighbor", "resize_bilinear"),
)


def drop_identities(graph: Graph) -> Graph:
    """Before: x → reshape to x's own shape (or relu of a relu, pad by nothing, · 1, + 0, 1x1 pool, quantize of
    floats) → y. After: readers of y read x; an output of the graph keeps its name.
    """
    for output in [node.outputs[0] for node in graph.nodes if node.outputs]:
        node = graph.producer(output)  # as earlier rewrites left it
        if node is not None and is_identity(graph, node):
            graph = bypass(graph, node) or graph
    return graph


def is_identity(graph: Graph, node: Node) -> bool:
    if isinstance(node.attrs, Foreign) or not node.inputs or len(node.outputs) != 1:
        return False
    run_time = [name for name in node.inputs if not graph.is_constant(name)]
    if len(run_time) != 1 or run_time[0] != node.inputs[0]:
        return False
    before, after = graph.tensors[run_time[0]], graph.tensors[node.outputs[0]]
    if before.shape != after.shape or before.dtype != after.dtype or before.dtype != np.float32:
        return False
    return node.op in ("reshape", "cast", *CONVERTERS) or changes_nothing(graph, node)


def changes_nothing(graph: Graph, node: Node) -> bool:
    """Of a float node whose input and output have one shape."""
    attrs = node.attrs
    if node.op == "relu":
        return is_implied(graph, node)
    if node.op in MOVES:
        return True
    if node.op == "strided_slice":
        return all(step == 1 for step in attrs.step)
    if node.op == "pad":
        return not any((*attrs.before, *attrs.after))
    if node.op in POOLS:
        return bool(attrs.activation == NONE and attrs.window.kernel == (1, 1) and not attrs.window.padded)
    if node.op in REDUCTIONS:
        return all(graph.tensors[node.inputs[0]].shape[axis] == 1 for axis in attrs.axes)
    if node.op == "concatenation":
        return bool(attrs.activation == NONE and len(node.inputs) == 1)
    if node.op in ("add", "mul") and attrs.activation == NONE:
        operands = split_constant(graph, node)
        return operands is not None and bool(np.all(operands[1] == (0 if node.op == "add" else 1)))
    return False


def is_implied(graph: Graph, node: Node) -> bool:
    """The producer's own clamp already does what this relu would."""
    producer = graph.producer(node.inputs[0])
    if node.attrs.clamp == NONE:
        return True
    attrs = None if producer is None else producer.attrs
    earlier = getattr(attrs, "activation", getattr(attrs, "clamp", NONE))
    return bool(earlier != NONE and intersect(earlier, node.attrs.clamp) == earlier)
