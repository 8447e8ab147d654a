"""Weights with a zero point become weights without one, exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyptq.graph import Array, Graph, Node, Shape, Tensor, fresh_name, rebuild
from tinyptq.ops.conv_2d import Conv2D
from tinyptq.ops.depthwise_conv_2d import DepthwiseConv2D
from tinyptq.ops.fully_connected import FullyConnected
from tinyptq.ops.gather import Gather
from tinyptq.ops.reshape import Reshape
from tinyptq.passes.dequantize_constants import along
from tinyptq.passes.shift_uint8 import WEIGHTED, without_zero_point

WIDEST = 127  # of the weights a kernel reads


def centre_weights(graph: Graph) -> Graph:
    """Before: x → layer, weights w of up to ±255 (less their zero point): beyond int8.
    After: x → gather (channels x₀ x₁ … and again those that need it) → layer, weights a | b with a + b = w.

    Every sum is the one before, so every output is. Where w fits int8 nothing is gathered. A depthwise convolution
    becomes one of groups that read a channel twice: x₀ x₀ x₁ x₁ … Zero points of int8 weights count in a dense layer;
    convolutions ignore them, as TFLite and TFLite Micro do.
    """
    for name in [node.outputs[0] for node in graph.nodes if node.outputs]:
        node = graph.producer(name)
        wide = None if node is None else wide_weights(graph, node)
        if node is not None and wide is not None:
            graph = centred(graph, node, wide)
    return graph


def wide_weights(graph: Graph, node: Node) -> Array | None:
    """The weights of a layer as int16 without a zero point; None when the layer reads them as they are."""
    if not isinstance(node.attrs, WEIGHTED) or len(node.inputs) < 2:
        return None
    weights = graph.tensors[node.inputs[1]]
    if weights.data is None or weights.qparams is None or weights.data.ndim < 2 or weights.data.size == 0:
        return None
    points = along(weights.qparams.zero_point, weights.qparams.axis, weights.data.ndim)
    if weights.dtype == np.int16:
        return weights.data if np.abs(weights.data.astype(np.int32)).max() <= 255 else None
    dense = isinstance(node.attrs, FullyConnected) and weights.dtype == np.int8
    return (weights.data - points).astype(np.int16) if dense and points.any() and np.abs(points).max() <= 128 else None


def centred(graph: Graph, node: Node, wide: Array) -> Graph:
    weights, source = graph.tensors[node.inputs[1]], graph.tensors[node.inputs[0]]
    assert weights.qparams is not None
    parts = int8_parts(wide)
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
    qparams = replace(without_zero_point(weights.qparams), axis=axis)
    constant = Tensor(name, values.shape, values.dtype, values, qparams)
    changed = replace(node, inputs=(source, name, *node.inputs[2:]))
    place = next(position for position, other in enumerate(graph.nodes) if other.outputs == node.outputs)
    nodes = (*graph.nodes[:place], *before, changed, *graph.nodes[place + 1 :])
    return rebuild(graph, nodes, (*added, constant))
