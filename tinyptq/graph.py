"""The float graph every frontend produces, and the rules it must obey between passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np

from tinyptq.errors import TinyptqError

Shape = tuple[int, ...]
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class QParams:
    """real = scale · (integer − zero_point), per tensor or along one axis.

    scale: float32 [1] or [shape[axis]]; zero_point: int32, the same length; axis: None when per tensor.
    Source: TFLite 8-bit quantization specification.
    """

    scale: Array
    zero_point: Array
    axis: int | None = None

    @staticmethod
    def per_tensor(scale: float, zero_point: int = 0) -> QParams:
        return QParams(np.array([scale], np.float32), np.array([zero_point], np.int32))

    def same_as(self, other: QParams) -> bool:
        return (
            self.axis == other.axis
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero_point, other.zero_point)
        )


@dataclass(frozen=True, eq=False)
class Tensor:
    """An array by name. shape[0] is the batch (1) for activations; data is None unless constant."""

    name: str
    shape: Shape
    dtype: np.dtype[Any]
    data: Array | None = None
    qparams: QParams | None = None


@dataclass(frozen=True, eq=False)
class Node:
    """One operator. `op` names a record in ops.OPS, `attrs` is that record's attrs dataclass.

    source says where it came from ("operator 12 'block2/conv'"); every later error carries it.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Any
    source: str


@dataclass(frozen=True, eq=False)
class Variable:
    """What a model keeps from one run to the next, beside what operators keep for themselves.

    before: the tensor that holds it when a run begins; after: the one, written by a node, that holds it at the end.
    initial: what it is before the first run and after a reset, [1, ...], of before's shape and dtype.
    """

    name: str
    before: str
    after: str
    initial: Array


@dataclass(frozen=True, eq=False)
class Graph:
    name: str
    tensors: Mapping[str, Tensor]
    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    warnings: tuple[str, ...] = field(default=())
    variables: tuple[Variable, ...] = ()

    @property
    def given(self) -> tuple[str, ...]:
        """Tensors that are there when a run begins."""
        return (*self.inputs, *(variable.before for variable in self.variables))

    @property
    def wanted(self) -> tuple[str, ...]:
        """Tensors that must be there, under their names, when a run ends."""
        return (*self.outputs, *(variable.after for variable in self.variables))

    def producer(self, tensor: str) -> Node | None:
        return next((n for n in self.nodes if tensor in n.outputs), None)

    def consumers(self, tensor: str) -> tuple[Node, ...]:
        return tuple(n for n in self.nodes if tensor in n.inputs)

    def is_constant(self, tensor: str) -> bool:
        return self.tensors[tensor].data is not None


Pass = Callable[[Graph], Graph]


CONVERTERS = ("quantize", "dequantize")


def is_quantized(graph: Graph) -> bool:
    """Does an operator, other than one that converts from or to floats, compute on integers that stand for reals?

    Or is there nothing but integers: conversions between their scales, arithmetic on numbers.
    """
    names = {name for node in graph.nodes if node.op not in CONVERTERS for name in (*node.inputs, *node.outputs)}
    activations = [graph.tensors[name] for name in names if not graph.is_constant(name)]
    if any(tensor.qparams is not None for tensor in activations):
        return True
    between = any(node.op in CONVERTERS and between_integers(graph, node) for node in graph.nodes)
    return (between or bool(activations)) and all(tensor.dtype.kind in "iu" for tensor in activations)


def between_integers(graph: Graph, node: Node) -> bool:
    return all(graph.tensors[name].dtype.kind in "iu" for name in (*node.inputs, *node.outputs))


def rebuild(graph: Graph, nodes: tuple[Node, ...], added: tuple[Tensor, ...] = ()) -> Graph:
    """graph with these nodes: tensors nobody names any more are dropped, `added` ones are put in."""
    tensors = {**graph.tensors, **{t.name: t for t in added}}
    used = {*graph.given, *graph.wanted}
    for node in nodes:
        used.update(node.inputs, node.outputs)
    return replace(graph, nodes=nodes, tensors={n: t for n, t in tensors.items() if n in used})


def fresh_name(graph: Graph, stem: str) -> str:
    """A tensor name not yet in graph, starting with stem."""
    names = graph.tensors.keys()
    return next(n for n in (stem, *(f"{stem}_{i}" for i in range(len(names) + 1))) if n not in names)


def check_graph(graph: Graph) -> list[str]:
    """Every broken rule as a sentence; empty when the graph is well formed."""
    errors = []
    known = {*graph.given, *(n for n, t in graph.tensors.items() if t.data is not None)}
    for name, tensor in graph.tensors.items():
        if name != tensor.name:
            errors.append(f"tensor '{name}' calls itself '{tensor.name}'")
        if tensor.data is not None and tensor.data.shape != tensor.shape:
            errors.append(f"constant '{name}' has data {tensor.data.shape}, declared {tensor.shape}")
    for node in graph.nodes:
        for tensor_name in (*node.inputs, *node.outputs):
            if tensor_name not in graph.tensors:
                errors.append(f"{node.source}: tensor '{tensor_name}' does not exist")
        for tensor_name in node.inputs:
            if tensor_name not in known:
                errors.append(f"{node.source}: reads '{tensor_name}' before it is written")
        for tensor_name in node.outputs:
            if tensor_name in known:
                errors.append(f"{node.source}: writes '{tensor_name}' a second time")
            known.add(tensor_name)
    errors += [f"graph output '{name}' is never written" for name in graph.outputs if name not in known]
    written = {name for node in graph.nodes for name in node.outputs}
    errors += [f"variable '{v.name}' is not written by a node" for v in graph.variables if v.after not in written]
    errors += [f"variable '{v.name}' changes its type or size" for v in graph.variables if not keeps_form(graph, v)]
    return errors


def keeps_form(graph: Graph, variable: Variable) -> bool:
    """What a variable is read as, its last value and its first one are of one type and size."""
    before, after, initial = graph.tensors.get(variable.before), graph.tensors.get(variable.after), variable.initial
    if before is None or after is None:
        return False
    same_size = initial.shape == before.shape and prod(before.shape) == prod(after.shape)
    return before.dtype == after.dtype == initial.dtype and same_size


def require_well_formed(graph: Graph, after: str) -> Graph:
    """graph itself, or one error naming the step that broke it."""
    errors = check_graph(graph)
    if errors:
        raise TinyptqError("bad-graph", "; ".join(errors[:5]), where=f"{graph.name} after {after}")
    return graph
