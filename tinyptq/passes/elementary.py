"""Operators that are not layers here, but can be computed element by element: as parts of a function of one tensor.

Such a node is a Foreign one, its op "foreign greater". Its meaning: in float as LiteRT's, in int8 as TFLite Micro's.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinyptq.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from tinyptq.graph import Array, Graph, Node, QParams
from tinyptq.passes.lift_axes import BROADCASTING, ELEMENTWISE

COMPARE_SHIFT = 8  # bits by which TFLite shifts int8 left before it compares
ARITHMETIC = frozenset((*ELEMENTWISE, *BROADCASTING)) - {"quantize", "dequantize", "prelu", "batch_matmul"}
COMPARISONS: dict[str, Callable[[Array, Array], Array]] = {
    "foreign greater": np.greater,
    "foreign greater_equal": np.greater_equal,
    "foreign less": np.less,
    "foreign less_equal": np.less_equal,
    "foreign equal": np.equal,
    "foreign not_equal": np.not_equal,
}
CHOICES: dict[str, Callable[..., Array]] = {
    "foreign logical_and": np.logical_and,
    "foreign logical_or": np.logical_or,
    "foreign logical_not": np.logical_not,
    "foreign select": np.where,
    "foreign select_v2": np.where,
}
REALS: dict[str, Callable[..., Array]] = {
    **COMPARISONS,
    **CHOICES,
    "foreign floor": np.floor,
    "foreign ceil": np.ceil,
    "foreign round": np.rint,  # ties to even, as TFLite rounds
    "foreign sin": np.sin,
    "foreign cos": np.cos,
    "foreign sign": np.sign,
    "foreign pow": np.power,
    "foreign floor_div": lambda x, y: np.floor(x / y),
    "foreign floor_mod": np.mod,
    "foreign add_n": lambda *terms: np.sum(terms, axis=0),
    "cast": lambda x: x.astype(np.float32),  # of the outcome of a comparison
    "foreign zeros_like": np.zeros_like,
}


def compare_int8(node: Node, operands: tuple[Array, Array], scales: tuple[QParams, QParams]) -> Array:
    """Both shifted left by 8 bits and scaled by a multiplier below one. Source: TFLite ComparisonWithScaling."""
    sides = []
    for values, qparams in zip(operands, scales, strict=True):
        multiplier, shift = quantize_multiplier(float(qparams.scale[0]))
        centred = (values.astype(np.int64) - int(qparams.zero_point[0])) << COMPARE_SHIFT
        sides.append(multiply_by_quantized_multiplier(centred, multiplier, shift))
    return COMPARISONS[node.op](sides[0], sides[1])


def sources_of(
    graph: Graph, node: Node, inner: Callable[[Node], bool], most: int = 64
) -> tuple[str, list[Node]] | None:
    """(the nearest tensor that all of node's run-time inputs are computed from, the nodes between, node among them).

    inner: may a node lie between? Constants must be single numbers. None when there is no such tensor.
    """
    place = {name: index for index, other in enumerate(graph.nodes) for name in other.outputs}
    found, waiting = [node], run_time(graph, node)
    while waiting is not None and len(waiting) > 1 and len(found) < most:
        latest = max(waiting, key=lambda name: place.get(name, -1))
        producer = graph.producer(latest)
        if producer is None or len(producer.outputs) != 1 or not inner(producer):
            return None
        before = run_time(graph, producer)
        waiting = None if before is None else (waiting - {latest}) | before
        found.append(producer)
    if waiting is None or len(waiting) != 1:
        return None
    return next(iter(waiting)), sorted(found, key=lambda other: place[other.outputs[0]])


def run_time(graph: Graph, node: Node) -> set[str] | None:
    """Its inputs that are not constant; None when a constant is more than one number."""
    constants = [graph.tensors[name].data for name in node.inputs]
    if any(data is not None and data.size != 1 for data in constants):
        return None
    return {name for name, data in zip(node.inputs, constants, strict=True) if data is None}
