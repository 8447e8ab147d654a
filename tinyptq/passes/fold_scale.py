"""Batch norm and other factors and terms per channel become part of the weights before them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyptq.graph import Array, Graph, Node, Tensor, fresh_name
from tinyptq.obstacles import FLOAT32
from tinyptq.ops import BY_NAME
from tinyptq.ops.activation import NONE
from tinyptq.passes.rewrite import (
    float_constant,
    is_channel_vector,
    private_producer,
    split_constant,
    spread,
    substitute,
)

WEIGHTED = ("conv_2d", "depthwise_conv_2d", "fully_connected", "transpose_conv")


def fold_scale(graph: Graph) -> Graph:
    """Before: conv_2d, depthwise_conv_2d, transpose_conv or fully_connected (w, b, no activation) → mul or add by a
    constant per channel. After: the same with w · c, b · c or b + c, and the mul's or add's activation and output.

    c is a scalar or a vector along the channels; the products are taken in float64 and stored as float32.
    """
    for output in [node.outputs[0] for node in graph.nodes if node.op in ("mul", "add")]:
        node = graph.producer(output)
        operands = split_constant(graph, node) if node is not None and len(node.inputs) == 2 else None
        if node is None or operands is None:
            continue
        layer = private_producer(graph, operands[0])
        if layer is not None and can_fold(graph, layer, node, operands[1]):
            graph = folded(graph, layer, node, operands[1])
    return graph


def can_fold(graph: Graph, layer: Node, node: Node, values: Array) -> bool:
    if layer.op not in WEIGHTED or getattr(layer.attrs, "activation", None) != NONE:
        return False
    if any(float_constant(graph, name) is None for name in layer.inputs[1:]):
        return False
    shape = graph.tensors[node.outputs[0]].shape
    return shape == graph.tensors[layer.outputs[0]].shape and is_channel_vector(values, shape[-1])


def folded(graph: Graph, layer: Node, node: Node, values: Array) -> Graph:
    channels = graph.tensors[node.outputs[0]].shape[-1]
    operand = spread(values, channels)
    weights = graph.tensors[layer.inputs[1]]
    bias = graph.tensors[layer.inputs[2]] if len(layer.inputs) > 2 else None
    assert weights.data is not None
    if node.op == "mul":
        scaled = weights.data.astype(np.float64) * along_output(operand, layer.op, weights.data.ndim)
        new = [own(graph, weights, scaled)]
        new += [] if bias is None or bias.data is None else [own(graph, bias, bias.data * operand)]
    else:
        before = 0.0 if bias is None or bias.data is None else bias.data.astype(np.float64)
        stem = bias or Tensor(fresh_name(graph, f"{layer.name}_bias"), (channels,), FLOAT32)
        new = [weights, own(graph, stem, before + operand)]
    attrs = replace(layer.attrs, activation=node.attrs.activation)
    inputs = (layer.inputs[0], *(tensor.name for tensor in new))
    merged = replace(layer, inputs=inputs, outputs=node.outputs, attrs=attrs)
    return substitute(graph, {id(layer): merged, id(node): None}, tuple(new))


def along_output(values: Array, op: str, rank: int) -> Array:
    """[out] shaped to broadcast along the output-channel axis of the weights."""
    axis = BY_NAME[op].weight_axis
    return values.reshape([-1 if i == axis else 1 for i in range(rank)])


def own(graph: Graph, tensor: Tensor, values: Array) -> Tensor:
    """A constant with these values: under the tensor's name, or a fresh one where others read the old values."""
    shared = len(graph.consumers(tensor.name)) > 1
    name = fresh_name(graph, f"{tensor.name}_folded") if shared else tensor.name
    data = values.astype(np.float32)
    return Tensor(name, data.shape, FLOAT32, data)
