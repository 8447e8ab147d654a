"""Comparisons, selections, powers, roundings of one tensor become one function of its elements."""

from __future__ import annotations

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, Graph, Node, Tensor, is_quantized, rebuild
from tinyptq.obstacles import FLOAT32
from tinyptq.ops import BY_NAME
from tinyptq.ops.base import Operand
from tinyptq.ops.function import Function
from tinyptq.passes.drop_dead import drop_dead
from tinyptq.passes.elementary import ARITHMETIC, CHOICES, COMPARISONS, REALS, compare_int8, sources_of
from tinyptq.ptq.imported import NO_SCALE

INT8 = np.dtype(np.int8)
EVERY = np.arange(-128, 128).astype(np.int8)[None]  # [1, 256]


def fold_functions(graph: Graph) -> Graph:
    """Before: x → greater than 0 → select (x, exp(x) − 1) → y, the parts of a SELU.
    After: x → function → y: a table of the values that the operators have together, one by one.

    Only where y has x's shape and everything in between comes from x and single numbers.
    """
    fold = folded_integers if is_quantized(graph) else folded_reals
    changed: dict[int, Node] = {}
    for node in graph.nodes:
        if node.op in REALS and len(node.outputs) == 1 and not casts_numbers(graph, node):
            function = fold(graph, node)
            if function is not None:
                changed[id(node)] = function
                graph = rebuild(graph, tuple(function if other is node else other for other in graph.nodes))
    return drop_dead(graph) if changed else graph


def casts_numbers(graph: Graph, node: Node) -> bool:
    """A CAST that is an operator of its own."""
    return node.op == "cast" and graph.tensors[node.inputs[0]].dtype != np.bool_


def folded_reals(graph: Graph, last: Node) -> Node | None:
    island = sources_of(graph, last, lambda node: node.op in ARITHMETIC or node.op in REALS or node.op == "function")
    if island is None or graph.tensors[last.outputs[0]].dtype != FLOAT32:
        return None
    source, nodes = island
    if not alike(graph, source, last, FLOAT32):
        return None
    constants = {name: graph.tensors[name].data for node in nodes for name in node.inputs if graph.is_constant(name)}

    def real(x: Array) -> Array:
        live: dict[str, Array] = {name: data.reshape(()) for name, data in constants.items() if data is not None}
        live[source] = x
        for node in nodes:
            live[node.outputs[0]] = step(node, [live[name] for name in node.inputs])
        return np.broadcast_to(live[last.outputs[0]], x.shape).astype(np.float32)

    return Node("function", last.name, (source,), last.outputs, Function(real=real), last.source)


def step(node: Node, operands: list[Array]) -> Array:
    """One node in float."""
    with np.errstate(all="ignore"):
        rule = REALS.get(node.op)
        result: Array = rule(*operands) if rule is not None else BY_NAME[node.op].run_float(node.attrs, *operands)
    return result


def alike(graph: Graph, source: str, last: Node, dtype: np.dtype[np.generic]) -> bool:
    first, result = graph.tensors[source], graph.tensors[last.outputs[0]]
    return first.shape == result.shape and first.dtype == result.dtype == dtype


def folded_integers(graph: Graph, last: Node) -> Node | None:
    """Every node by its own int8 kernel, comparisons and selections by TFLite Micro's."""
    island = sources_of(graph, last, lambda node: node.op in ARITHMETIC or node.op in COMPARISONS or node.op in CHOICES)
    if island is None or last.op not in CHOICES:
        return None
    source, nodes = island
    if not alike(graph, source, last, INT8):
        return None
    live: dict[str, Array] = {source: EVERY}
    try:
        for node in nodes:
            live[node.outputs[0]] = integer_step(graph, node, live)
    except (TinyptqError, ValueError, KeyError, AssertionError):
        return None
    values = live[last.outputs[0]]
    if values.shape != EVERY.shape or values.dtype != INT8:
        return None
    return Node("function", last.name, (source,), last.outputs, Function(tuple(values[0].tolist())), last.source)


def integer_step(graph: Graph, node: Node, live: dict[str, Array]) -> Array:
    tensors = [graph.tensors[name] for name in node.inputs]
    operands = [live[t.name] if t.data is None else t.data.reshape(()) for t in tensors]
    if node.op in COMPARISONS:
        scales = [tensor.qparams for tensor in tensors]
        assert all(tensor.dtype == INT8 for tensor in tensors) and None not in scales
        return compare_int8(node, (operands[0], operands[1]), (scales[0] or NO_SCALE, scales[1] or NO_SCALE))
    if node.op in CHOICES:
        return np.asarray(CHOICES[node.op](*operands))
    op, result = BY_NAME[node.op], graph.tensors[node.outputs[0]]
    inputs = tuple(operand(tensor, tensor.data is None) for tensor in tensors)
    params = op.lower(node.attrs, inputs, (operand(result, True),))
    computed: Array = op.run_int(params, *operands)
    return computed


def operand(tensor: Tensor, varies: bool) -> Operand:
    assert tensor.dtype == INT8
    shape = EVERY.shape if varies else ()
    data = None if tensor.data is None else tensor.data.reshape(())
    return Operand(shape, tensor.qparams or NO_SCALE, data, tensor.dtype)
