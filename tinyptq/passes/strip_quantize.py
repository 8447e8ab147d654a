"""QUANTIZE and DEQUANTIZE in a model that computes in float."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyptq.graph import Graph, Tensor, rebuild
from tinyptq.obstacles import FLOAT32, Foreign

CONVERTERS = ("quantize", "dequantize")


def strip_quantize(graph: Graph) -> Graph:
    """Before: int8 input → DEQUANTIZE → float operators → QUANTIZE → int8 output, or QUANTIZE → DEQUANTIZE inside.
    After: the integer tensors between converters are float32, and the converters do nothing (the next pass
    drops them). Integer tensors of a computing operator or a variable stay: such a model is already quantized.
    """
    touched = {
        name
        for node in graph.nodes
        if node.op not in CONVERTERS or isinstance(node.attrs, Foreign)
        for name in (*node.inputs, *node.outputs)
    }
    touched |= {name for variable in graph.variables for name in (variable.before, variable.after)}
    converted = {name for node in graph.nodes if node.op in CONVERTERS for name in (*node.inputs, *node.outputs)}
    disguised = sorted(name for name in converted - touched if is_disguised(graph.tensors[name]))
    warnings = tuple(end_warning(graph.tensors[n]) for n in (*graph.inputs, *graph.outputs) if n in disguised)
    graph = replace(graph, warnings=(*graph.warnings, *warnings))
    return rebuild(graph, graph.nodes, tuple(as_float(graph.tensors[name]) for name in disguised))


def end_warning(tensor: Tensor) -> str:
    return f"'{tensor.name}' is {tensor.dtype} in the model file; calibration data are floats and choose its scale anew"


def is_disguised(tensor: Tensor) -> bool:
    return tensor.data is None and (tensor.qparams is not None or tensor.dtype == np.float16)


def as_float(tensor: Tensor) -> Tensor:
    return replace(tensor, dtype=FLOAT32, qparams=None)
