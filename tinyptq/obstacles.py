"""What keeps a graph from being compiled, all of it at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.graph import CONVERTERS, Graph, Node, Tensor, is_quantized
from tinyptq.ops import BY_NAME
from tinyptq.ops.base import Constraint

FLOAT32 = np.dtype(np.float32)
LISTED = 40  # obstacles spelled out in one error; the rest is counted
MAX_IMAGES = 64  # convolved one by one where a model works on several
IMAGE_OPERATORS = (
    *("conv_2d", "depthwise_conv_2d", "transpose_conv", "average_pool_2d", "max_pool_2d"),
    *("resize_bilinear", "resize_nearest_neighbor", "space_to_depth", "depth_to_space"),
)
PLACES = 6  # places spelled out per obstacle


@dataclass(frozen=True)
class Foreign:
    """attrs of a node this compiler cannot run: what the file calls it, and why not.

    Such a node's op is no operator's name, so no pass takes it for one.
    """

    builtin: str
    reason: str


def obstacles(graph: Graph) -> list[str]:
    """One sentence per kind of obstacle, with the places where it stands; empty when the graph can be compiled."""
    bystanders = [node for node in graph.nodes if is_bystander(graph, node)]
    others = [node for node in graph.nodes if node not in bystanders]
    found = [*boundary_obstacles(graph), *dtype_obstacles(graph, others), *node_obstacles(graph, others)]
    found = found or [*dtype_obstacles(graph, bystanders), *node_obstacles(graph, bystanders)]
    places: dict[str, list[str]] = {}
    for what, where in found:
        places.setdefault(what, []).append(where)
    return [f"{what} ({some(where)})" for what, where in places.items()]


def is_bystander(graph: Graph, node: Node) -> bool:
    """Is what is wrong here most likely another node's fault? Then that one is named.

    Reshapes of a batch of several samples, conversions to and from floats between integers, sizes nobody knows.
    """
    if node.op in ("reshape", "cast", *CONVERTERS):
        return True
    unknown = any(0 in graph.tensors[name].shape for name in (*node.inputs, *node.outputs))
    return unknown and not isinstance(node.attrs, Foreign)


def some(places: list[str]) -> str:
    rest = [f"and {len(places) - PLACES} more"] if len(places) > PLACES else []
    return ", ".join(places[:PLACES] + rest)


def require_supported(graph: Graph, file: str) -> Graph:
    """graph itself, or one error that lists every obstacle and names the file."""
    found = obstacles(graph)
    if found:
        rest = f"; and {len(found) - LISTED} more" if len(found) > LISTED else ""
        hint = "`tinyptq ops` lists what is supported"
        raise TinyptqError("unsupported", "; ".join(found[:LISTED]) + rest, where=file, hint=hint)
    return graph


def boundary_obstacles(graph: Graph) -> Iterator[tuple[str, str]]:
    """(what, where) at the graph's inputs and outputs."""
    if not graph.inputs:
        yield "the model has no input", "its outputs are constants"
    for role, names in (("input", graph.inputs), ("output", graph.outputs)):
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"one tensor is listed as {role} more than once", f"{role} '{name}'"
    for name in graph.inputs:
        shape = graph.tensors[name].shape
        if not shape or shape[0] != 1:
            yield f"input of shape {list(shape)}: the first axis must be a batch of 1", f"input '{name}'"
    for name in graph.outputs:
        if graph.producer(name) is None:
            yield "output does not depend on any operator", f"output '{name}'"


def dtype_obstacles(graph: Graph, nodes: list[Node]) -> Iterator[tuple[str, str]]:
    """(what, where) for tensors of a type their operator cannot take; operators already refused do not repeat it."""
    foreign = (node for node in graph.nodes if isinstance(node.attrs, Foreign))
    seen = {name for node in foreign for name in node.outputs}
    quantized = is_quantized(graph)
    for node in nodes:
        if isinstance(node.attrs, Foreign):
            continue
        for name in (*node.inputs, *node.outputs):
            tensor = graph.tensors[name]
            sentence = integer_sentence(node, tensor) if quantized else float_sentence(node, tensor)
            if sentence is not None and name not in seen:
                seen.add(name)
                yield sentence, f"tensor '{name}' of {node.source}"


def float_sentence(node: Node, tensor: Tensor) -> str | None:
    """What is wrong with a tensor of a float model; None when nothing is."""
    if tensor.name in node.outputs and tensor.dtype == BY_NAME[node.op].output_dtype:
        return None
    if is_index(node, tensor):
        return index_sentence(node, tensor)
    if tensor.dtype != FLOAT32 and tensor.qparams is not None:
        return f"tensor is quantized to {tensor.dtype} in a model that computes in floats"
    if tensor.dtype != FLOAT32:
        return f"tensor is {tensor.dtype}, not float32"
    if tensor.data is not None and not np.isfinite(tensor.data).all():
        return "constant holds infinity or not-a-number"
    return None


def is_index(node: Node, tensor: Tensor) -> bool:
    """Does the operator read the tensor as integers that mean themselves?"""
    return bool(BY_NAME[node.op].index_dtypes) and tensor.name == node.inputs[0]


def index_sentence(node: Node, tensor: Tensor) -> str | None:
    accepted = BY_NAME[node.op].index_dtypes
    if str(tensor.dtype) in accepted:
        return None
    return f"{node.op.upper()} by indices of type {tensor.dtype}, only {' and '.join(accepted)}"


def integer_sentence(node: Node, tensor: Tensor) -> str | None:
    """What is wrong with a tensor of a model that is already quantized; None when nothing is."""
    if tensor.dtype == FLOAT32 and node.op not in CONVERTERS:
        return f"{node.op.upper()} computes in floats between integer operators: let the converter quantize it too"
    if tensor.dtype.kind not in "iu":
        return f"tensor is {tensor.dtype} in a model that computes in integers"
    op = BY_NAME[node.op]
    if is_index(node, tensor):
        return index_sentence(node, tensor)
    fixed = op.output_dtype if tensor.name in node.outputs else None
    accepted = op.dtypes if fixed is None else (str(fixed),)
    if tensor.data is None and str(tensor.dtype) not in accepted:
        return f"{node.op.upper()} of {tensor.dtype} is not supported, only of {' and '.join(accepted)}"
    return scale_sentence(tensor) if tensor.data is None and tensor.qparams is not None else None


def scale_sentence(tensor: Tensor) -> str | None:
    """What is wrong with the scale or zero point of a run-time tensor; None when nothing is."""
    assert tensor.qparams is not None
    limits, points = np.iinfo(tensor.dtype), tensor.qparams.zero_point
    if not (tensor.qparams.scale > 0).all():
        return "the scale of a tensor is zero"
    if not ((points >= limits.min) & (points <= limits.max)).all():
        return f"zero point {int(np.abs(points).max())} is no {tensor.dtype}"
    return None


def node_obstacles(graph: Graph, nodes: list[Node]) -> Iterator[tuple[str, str]]:
    """(what, where) for operators that do not exist here, or not in this form."""
    for node in nodes:
        yield from ((what, node.source) for what in sentences(graph, node))


def sentences(graph: Graph, node: Node) -> Iterator[str]:
    """What is wrong with one node."""
    if isinstance(node.attrs, Foreign):
        yield f"{node.attrs.builtin}: {node.attrs.reason}"
        return
    shape = graph.tensors[node.inputs[0]].shape if node.inputs else ()
    if node.op in IMAGE_OPERATORS and len(shape) == 4 and shape[0] != 1:
        yield f"{node.op.upper()} of {shape[0]} images at once: at most {MAX_IMAGES} become one by one"
        return
    for constraint in BY_NAME[node.op].constraints:
        if not holds(constraint, graph, node):
            yield f"{node.op.upper()} needs: {' '.join((constraint.__doc__ or '').split())}"


def holds(constraint: Constraint, graph: Graph, node: Node) -> bool:
    """A predicate that cannot even be asked (an operand or axis is absent) does not hold."""
    try:
        return constraint(graph, node)
    except (IndexError, TypeError, AttributeError):
        return False
