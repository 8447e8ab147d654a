"""What the passes share: questions about a tensor's readers, and small edits of a graph."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tinyptq.graph import Array, Graph, Node, Tensor, rebuild
from tinyptq.obstacles import FLOAT32


def sole_reader(graph: Graph, tensor: str) -> Node | None:
    """The one node that reads tensor, once; None when there are more, or when it outlives the run."""
    readers = graph.consumers(tensor)
    if len(readers) != 1 or readers[0].inputs.count(tensor) != 1 or tensor in graph.wanted:
        return None
    return readers[0]


def private_producer(graph: Graph, tensor: str) -> Node | None:
    """The node that writes tensor, when nobody but one node reads it."""
    return graph.producer(tensor) if sole_reader(graph, tensor) else None


def substitute(graph: Graph, changed: Mapping[int, Node | None], added: tuple[Tensor, ...] = ()) -> Graph:
    """graph with nodes exchanged by identity (id of the old node); None removes one."""
    nodes = (changed.get(id(node), node) for node in graph.nodes)
    return rebuild(graph, tuple(node for node in nodes if node is not None), added)


def bypass(graph: Graph, node: Node) -> Graph | None:
    """graph without node, whose output equals its first input; None when both names outlive the run."""
    source, result = node.inputs[0], node.outputs[0]
    if result not in graph.wanted:
        return substitute(graph, {id(node): None, **redirect(graph, result, source)})
    producer = graph.producer(source)
    if producer is None or source in graph.wanted:
        return None
    renamed = replace(producer, outputs=tuple(result if name == source else name for name in producer.outputs))
    shaped = replace(graph.tensors[source], name=result)
    others = redirect(graph, source, result)
    return substitute(graph, {**others, id(producer): renamed, id(node): None}, (shaped,))


def redirect(graph: Graph, old: str, new: str) -> dict[int, Node | None]:
    """The readers of old, reading new instead."""
    return {
        id(node): replace(node, inputs=tuple(new if name == old else name for name in node.inputs))
        for node in graph.consumers(old)
    }


def float_constant(graph: Graph, name: str) -> Array | None:
    """Data of a float32 constant, else None."""
    tensor = graph.tensors[name]
    return tensor.data if tensor.dtype == FLOAT32 else None


def split_constant(graph: Graph, node: Node) -> tuple[str, Array] | None:
    """(run-time operand, constant) of a two-operand node with exactly one float32 constant."""
    first, second = node.inputs
    for variable, fixed in ((first, second), (second, first)):
        values = float_constant(graph, fixed)
        if values is not None and not graph.is_constant(variable):
            return variable, values
    return None


def is_channel_vector(values: Array, channels: int) -> bool:
    """One value, or one per index of the last axis."""
    return values.size == 1 or (values.shape[-1] == channels and math.prod(values.shape[:-1]) == 1)


def spread(values: Array, channels: int) -> Array:
    """is_channel_vector's values as float64 [channels]."""
    return np.broadcast_to(values.ravel().astype(np.float64), (channels,))
