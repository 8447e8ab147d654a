"""Constants of hybrid models become floats."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyptq.graph import Array, Graph, Tensor, rebuild
from tinyptq.obstacles import FLOAT32


def dequantize_constants(graph: Graph) -> Graph:
    """Before: float operators (DEQUANTIZE included) read int8 constants with scales, or float16 ones.
    After: every such constant is float32: scale · (integer − zero_point), or the float16 value.

    Constants that an integer operator reads as well stay as they are.
    """
    candidates = {name for node in graph.nodes if is_float(graph, node.outputs) for name in node.inputs}
    integer = {name for node in graph.nodes if not is_float(graph, node.outputs) for name in node.inputs}
    changed = tuple(
        tensor
        for tensor in (dequantized(graph.tensors[name]) for name in sorted(candidates - integer))
        if tensor is not None
    )
    return rebuild(graph, graph.nodes, changed)


def is_float(graph: Graph, outputs: tuple[str, ...]) -> bool:
    return all(graph.tensors[name].dtype == FLOAT32 for name in outputs)


def dequantized(tensor: Tensor) -> Tensor | None:
    """The float32 twin of a quantized or float16 constant; None for every other tensor."""
    if tensor.data is None:
        return None
    if tensor.dtype == np.float16:
        return replace(tensor, dtype=FLOAT32, data=tensor.data.astype(np.float32))
    if tensor.qparams is None or tensor.dtype.kind not in "iu":
        return None
    scale = along(tensor.qparams.scale, tensor.qparams.axis, tensor.data.ndim)
    zero_point = along(tensor.qparams.zero_point.astype(np.int64), tensor.qparams.axis, tensor.data.ndim)
    values = (tensor.data.astype(np.int64) - zero_point).astype(np.float32) * scale
    return replace(tensor, dtype=FLOAT32, data=values, qparams=None)


def along(values: Array, axis: int | None, rank: int) -> Array:
    """[n] values shaped to broadcast along axis of a tensor of that rank."""
    return values.reshape([-1 if i == axis else 1 for i in range(rank)])
