"""Float operators that a converter left between integer ones, in a model that others quantized."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyptq.graph import Array, Graph, Node, Tensor, fresh_name, rebuild
from tinyptq.obstacles import FLOAT32
from tinyptq.ops.dequantize import Dequantize
from tinyptq.ops.function import Function
from tinyptq.passes.drop_dead import drop_dead
from tinyptq.passes.elementary import ARITHMETIC, REALS
from tinyptq.passes.fold_functions import step
from tinyptq.ptq.ranges import quantize_array

INT8 = np.dtype(np.int8)
MOVES = frozenset(
    ("reshape", "transpose", "slice", "strided_slice", "split", "split_v", "unpack", "gather", "tile", "reverse_v2")
)
MAX_NODES = 64  # of an island


def fold_float_islands(graph: Graph) -> Graph:
    """Before: x int8 → DEQUANTIZE → float operators, element by element, perhaps with numbers → QUANTIZE → y int8.
    After: x → function → y, the 256 values computed here as TFLite's interpreters compute them, in float32.

    Operators that only move elements go before the DEQUANTIZE first.
    """
    if not any(node.op == "dequantize" for node in graph.nodes):
        return graph
    graph = sink_dequantize(graph)
    changed: dict[int, Node] = {}
    for node in graph.nodes:
        if node.op == "quantize" and is_int8(graph.tensors[node.outputs[0]]):
            changed.update(folded(graph, node))
    nodes = tuple(changed.get(id(node), node) for node in graph.nodes)
    return drop_dead(rebuild(graph, nodes)) if changed else graph


def is_int8(tensor: Tensor) -> bool:
    return tensor.dtype == INT8 and tensor.qparams is not None and tensor.data is None


def sink_dequantize(graph: Graph) -> Graph:
    """Before: x → DEQUANTIZE → move. After: x → move → DEQUANTIZE: the same elements, the same names."""
    sources = {n.outputs[0]: n.inputs[0] for n in graph.nodes if n.op == "dequantize"}
    tensors, nodes = dict(graph.tensors), []
    for node in graph.nodes:
        source = sources.get(node.inputs[0]) if len(node.inputs) == 1 else None
        if source is None or not moves(graph, node) or not is_int8(tensors[source]):
            nodes.append(node)
            continue
        moved = []
        for name in node.outputs:
            known = replace(graph, tensors=tensors)
            twin = fresh_name(known, f"{name}_integer")
            tensors[twin] = replace(tensors[name], name=twin, dtype=INT8, qparams=tensors[source].qparams)
            moved.append(twin)
            sources[name] = twin
        nodes.append(replace(node, inputs=(source,), outputs=tuple(moved)))
        pairs = zip(node.outputs, moved, strict=True)
        nodes += [Node("dequantize", name, (twin,), (name,), Dequantize(), node.source) for name, twin in pairs]
    return rebuild(replace(graph, tensors=tensors), tuple(nodes))


def moves(graph: Graph, node: Node) -> bool:
    """Does a float operator leave every element what it is?"""
    return node.op in MOVES and is_float(graph, node)


def is_float(graph: Graph, node: Node) -> bool:
    return all(graph.tensors[name].dtype == FLOAT32 for name in (*node.inputs, *node.outputs))


def folded(graph: Graph, last: Node) -> dict[int, Node]:
    """{id of last: the function that replaces it}; empty when it is no function of one int8 tensor."""
    island = nodes_before(graph, last.inputs[0])
    if island is None:
        return {}
    source, nodes = island
    start, result = graph.tensors[source.inputs[0]], graph.tensors[last.outputs[0]]
    if start.shape != result.shape or start.qparams is None or result.qparams is None:
        return {}
    steps = np.arange(-128, 128) - int(start.qparams.zero_point[0])
    live: dict[str, Array] = {source.outputs[0]: (steps * float(start.qparams.scale[0])).astype(np.float32)}
    with np.errstate(all="ignore"):
        for node in nodes:
            operands = [live[name] if name in live else constant(graph, name) for name in node.inputs]
            live[node.outputs[0]] = np.asarray(step(node, operands))
    reals = live[last.inputs[0]]
    if reals.shape != (256,) or reals.dtype != FLOAT32 or not np.isfinite(reals).all():
        return {}
    values = tuple(quantize_array(reals, result.qparams).tolist())
    return {id(last): Node("function", last.name, (start.name,), last.outputs, Function(values), last.source)}


def nodes_before(graph: Graph, name: str) -> tuple[Node, list[Node]] | None:
    """(the only DEQUANTIZE of an int8 tensor, the float nodes behind it in order) that `name` is computed from."""
    found: list[Node] = []
    waiting, sources = [name], []
    while waiting:
        tensor = waiting.pop()
        node = graph.producer(tensor)
        data = graph.tensors[tensor].data
        if data is not None:
            if data.size != 1:
                return None
        elif node is None or len(found) > MAX_NODES:
            return None
        elif node.op == "dequantize" and is_int8(graph.tensors[node.inputs[0]]):
            sources.append(node)
        elif node.op in REALS or (node.op in ARITHMETIC and is_float(graph, node)):
            if node not in found:
                found.append(node)
                waiting += node.inputs
        else:
            return None
    if len({id(node) for node in sources}) != 1:
        return None
    return sources[0], [node for node in graph.nodes if node in found]


def constant(graph: Graph, name: str) -> Array:
    data = graph.tensors[name].data
    assert data is not None
    return data.reshape(())
