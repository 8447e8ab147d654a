"""What can be computed now, in a model that is already quantized."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, Graph, Node, Tensor, rebuild
from tinyptq.obstacles import Foreign
from tinyptq.ops import BY_NAME
from tinyptq.ops.base import Operand, folds_constants
from tinyptq.ptq.imported import NO_SCALE

MAX_ELEMENTS = 1 << 20


def fold_integers(graph: Graph) -> Graph:
    """Before: an integer node reads constants only (the zeros an unrolled recurrence begins with, times weights).
    After: its outputs are the constants that its integer kernel computes; the node is gone.
    """
    tensors, kept = dict(graph.tensors), []
    for node in graph.nodes:
        values = folded(replace(graph, tensors=tensors), node)
        if values is None:
            kept.append(node)
        else:
            tensors.update((name, replace(tensors[name], data=v)) for name, v in zip(node.outputs, values, strict=True))
    return rebuild(replace(graph, tensors=tensors), tuple(kept))


def folded(graph: Graph, node: Node) -> tuple[Array, ...] | None:
    """The node's outputs, of their declared shapes and types; None when they cannot be known."""
    constants, outputs = ([graph.tensors[name] for name in names] for names in (node.inputs, node.outputs))
    if isinstance(node.attrs, Foreign) or not constants or any(name in graph.wanted for name in node.outputs):
        return None
    if not all(tensor.data is not None and tensor.data.size <= MAX_ELEMENTS for tensor in constants):
        return None
    if not all(tensor.dtype.kind in "iu" for tensor in (*constants, *outputs)):
        return None
    if node.op == "reshape":  # a constant has no batch axis to keep
        data, shape = constants[0].data, outputs[0].shape
        assert data is not None
        return (data.reshape(shape),) if data.size == np.prod(shape, dtype=np.int64) else None
    return computed(node, tuple(map(operand, constants)), tuple(map(operand, outputs)))


def operand(tensor: Tensor) -> Operand:
    return Operand(tensor.shape, tensor.qparams or NO_SCALE, tensor.data, tensor.dtype)


def computed(node: Node, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> tuple[Array, ...] | None:
    """By the operator's own integers; None when they do not fit one another: the constraints will say so."""
    op = BY_NAME[node.op]
    if op.run_state is not None:
        return None
    read = inputs[:1] if folds_constants(op) else inputs
    try:
        results = op.run_int(op.lower(node.attrs, inputs, outputs), *(operand.data for operand in read))
    except (TinyptqError, ValueError, IndexError, ArithmeticError, AssertionError):
        return None
    values: tuple[Array, ...] = results if isinstance(results, tuple) else (results,)
    fits = [(v.shape, v.dtype) for v in values] == [(output.shape, output.dtype) for output in outputs]
    return values if fits else None
