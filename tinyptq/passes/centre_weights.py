"""Weights with a zero point become weights without one, exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyptq.graph import Array, Graph, Node, QParams, Shape, Tensor, fresh_name, rebuild
from tinyptq.ops.conv_2d import Conv2D
from tinyptq.ops.depthwise_conv_2d import DepthwiseConv2D
from tinyptq.ops.fully_connected import FullyConnected
from tinyptq.ops.gather import Gather
from tinyptq.ops.reshape import Reshape

WIDEST = 127  # of the weights a kernel reads


def centre_weights(graph: Graph) -> Graph:
    """Before: x → layer, weights w of zero point z, |w − z| up to 255: beyond int8.
    After: x → gather (channels x₀ x₁ … and again those that need it) → layer, weights a | b with a + b = w − z.

    Every sum is the one before, so every output is. Where w − z fits int8 nothing is gathered. A depthwise
    convolution becomes one of groups that read a channel twice: x₀ x₀ x₁ x₁ …
    """
    for name in [node.outputs[0] for node in graph.nodes if node.outputs]:
        node = graph.producer(name)
        if node is not None and has_zero_point(graph, node):
            graph = centred(graph, node)
    return graph


def has_zero_point(graph: Graph, node: Node) -> bool:
    if not isinstance(node.attrs, Conv2D | DepthwiseConv2D | FullyConnected) or len(node.inputs) < 2:
        return False
    weights = graph.tensors[node.inputs[1]]
    if weights.data is None or weights.qparams is None or weights.dtype != np.int8 or weights.data.ndim < 2:
        return False
    return bool(weights.qparams.zero_point.any())


def centred(graph: Graph, node: Node) -> Graph:
    weights, source = graph.tensors[node.inputs[1]], graph.tensors[node.inputs[0]]
    assert weights.data is not None and weights.qparams is not None
    shape = [1] * weights.data.ndim
    if weights.qparams.axis is not None:
        shape[weights.qparams.axis] = -1
    parts = int8_parts(weights.data.astype(np.int16) - weights.qparams.zero_point.reshape(shape).astype(np.int16))
    if len(parts) == 1:
        return with_weights(graph, node, source.name, parts[0], weights.qparams.axis, (), ())
    if isinstance(node.attrs, DepthwiseConv2D):
        channels = source.shape[3]
        indices = tuple(channel for channel in range(channels) for _ in parts)
        stacked = np.stack([part[0] for part in parts], axis=-1)  # [kh, kw, out, parts]
        grouped = replace(node, op="conv_2d", attrs=Conv2D(node.attrs.window, node.attrs.activation))
        axis = None if weights.qparams.axis is None else 0
        return gathered(graph, grouped, source, indices, np.ascontiguousarray(stacked.transpose(2, 0, 1, 3)), axis)
    chosen = [np.flatnonzero(part.reshape(-1, part.shape[-1]).any(axis=0)) for part in parts[1:]]
    indices = (*range(weights.shape[-1]), *(int(channel) for part in chosen for channel in part))
    joined = [parts[0], *(part[..., channels] for part, channels in zip(parts[1:], chosen, strict=True))]
    return gathered(graph, node, source, indices, np.concatenate(joined, axis=-1), weights.qparams.axis)


def int8_parts(wide: Array) -> list[Array]:
    """int8 arrays within ±127 whose sum this is."""
    parts: list[Array] = []
    while not parts or wide.any():
        parts.append(np.clip(wide, -WIDEST, WIDEST).astype(np.int8))
        wide = wide - parts[-1]
    return parts


def gathered(
    graph: Graph, node: Node, source: Tensor, indices: tuple[int, ...], values: Array, axis: int | None
) -> Graph:
    """node reading these channels of source, and these weights; a flattening layer reads a flat source."""
    nodes: list[Node] = []
    added: list[Tensor] = []

    def step(op: str, stem: str, shape: Shape, attrs: object) -> None:
        before = added[-1] if added else source
        name = fresh_name(graph, f"{node.name}_{stem}")
        added.append(replace(source, name=name, shape=shape))
        nodes.append(Node(op, name, (before.name,), (name,), attrs, node.source))

    if isinstance(node.attrs, FullyConnected) and not node.attrs.keep_dims:
        flat = (source.shape[0], int(np.prod(source.shape[1:])))
        step("reshape", "flat", flat, Reshape(flat))
    shape = (added[-1] if added else source).shape
    picked = (*shape[:-1], len(indices))
    step("gather", "twice", picked, Gather(len(shape) - 1, indices, (len(indices),)))
    return with_weights(graph, node, added[-1].name, values, axis, tuple(nodes), tuple(added))


def with_weights(
    graph: Graph,
    node: Node,
    source: str,
    values: Array,
    axis: int | None,
    before: tuple[Node, ...],
    added: tuple[Tensor, ...],
) -> Graph:
    weights = graph.tensors[node.inputs[1]]
    assert weights.qparams is not None
    name = fresh_name(graph, f"{weights.name}_centred")
    qparams = QParams(weights.qparams.scale, np.zeros_like(weights.qparams.zero_point), axis)
    constant = Tensor(name, values.shape, values.dtype, values, qparams)
    changed = replace(node, inputs=(source, name, *node.inputs[2:]))
    place = next(position for position, other in enumerate(graph.nodes) if other.outputs == node.outputs)
    nodes = (*graph.nodes[:place], *before, changed, *graph.nodes[place + 1 :])
    return rebuild(graph, nodes, (*added, constant))
