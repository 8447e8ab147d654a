"""Models of older converters, quantized to uint8: the same integers, each 128 less, are int8."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyptq.graph import CONVERTERS, Graph, Node, QParams, Tensor, Variable
from tinyptq.ops.conv_2d import Conv2D
from tinyptq.ops.depthwise_conv_2d import DepthwiseConv2D
from tinyptq.ops.fully_connected import FullyConnected
from tinyptq.ops.transpose_conv import TransposeConv
from tinyptq.passes.dequantize_constants import along

WEIGHTED = (Conv2D, DepthwiseConv2D, FullyConnected, TransposeConv)
UINT8, INT8 = np.dtype(np.uint8), np.dtype(np.int8)
WARNING = "the model's uint8 is compiled as int8: inputs and outputs are the file's, each 128 less"


def shift_uint8(graph: Graph) -> Graph:
    """Before: operators (other than QUANTIZE and DEQUANTIZE) compute on uint8, zero point z.
    After: on int8, zero point z − 128; every tensor stands for the same reals.

    TFLite Micro runs no such file, so what it says of the shifted one is what counts. LiteRT's uint8 kernels compute
    the same but where they round otherwise: averages at ties, means, softmax. The weights of convolutions and dense
    layers become int16 without a zero point: centre_weights makes int8 of them.
    """
    if not any(computes_on_uint8(graph, node) for node in graph.nodes):
        return graph
    weights = {node.inputs[1] for node in graph.nodes if isinstance(node.attrs, WEIGHTED) and len(node.inputs) > 1}
    tensors = {name: widened(t) if name in weights else shifted(t) for name, t in graph.tensors.items()}
    variables = tuple(shifted_variable(variable, graph.tensors[variable.before]) for variable in graph.variables)
    return replace(graph, tensors=tensors, variables=variables, warnings=(*graph.warnings, WARNING))


def shifted_variable(variable: Variable, before: Tensor) -> Variable:
    if not is_uint8(before):
        return variable
    return replace(variable, initial=(variable.initial.astype(np.int16) - 128).astype(np.int8))


def computes_on_uint8(graph: Graph, node: Node) -> bool:
    names = [name for name in (*node.inputs, *node.outputs) if not graph.is_constant(name)]
    return node.op not in CONVERTERS and any(is_uint8(graph.tensors[name]) for name in names)


def is_uint8(tensor: Tensor) -> bool:
    return tensor.dtype == UINT8 and tensor.qparams is not None


def shifted(tensor: Tensor) -> Tensor:
    if not is_uint8(tensor) or tensor.qparams is None:
        return tensor
    points = tensor.qparams
    data = None if tensor.data is None else (tensor.data.astype(np.int16) - 128).astype(np.int8)
    return replace(tensor, dtype=INT8, data=data, qparams=QParams(points.scale, points.zero_point - 128, points.axis))


def widened(tensor: Tensor) -> Tensor:
    """Constant weights less their zero point."""
    if not is_uint8(tensor) or tensor.qparams is None or tensor.data is None:
        return shifted(tensor)
    points = tensor.qparams
    data = tensor.data.astype(np.int16) - along(points.zero_point, points.axis, tensor.data.ndim).astype(np.int16)
    return replace(tensor, dtype=data.dtype, data=data, qparams=without_zero_point(points))


def without_zero_point(qparams: QParams) -> QParams:
    return QParams(qparams.scale, np.zeros_like(qparams.zero_point), qparams.axis)
