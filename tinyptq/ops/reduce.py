"""What reductions share: reading TFLite's axes, and the loops that walk kept and reduced axes in C."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.graph import Graph, Node, Shape
from tinyptq.ops.base import TfliteCode, TfliteOperator, elements


@dataclass(frozen=True)
class Loop:
    """count steps of `step` elements through the input."""

    count: int
    step: int


@dataclass(frozen=True)
class Loops:
    """A sample as at most two kept and two reduced runs of axes, outer first; a missing run counts 1."""

    kept: tuple[Loop, Loop]
    reduced: tuple[Loop, Loop]


def runs(shape: Shape, axes: tuple[int, ...]) -> list[tuple[bool, Loop]]:
    """Neighbouring axes of one kind merged, axes of size 1 dropped, outer first: (reduced?, loop)."""
    merged: list[tuple[bool, Loop]] = []
    for axis in range(1, len(shape)):
        size, step, reduced = shape[axis], elements(shape[axis + 1 :]), axis in axes
        if size == 1:
            continue
        if merged and merged[-1][0] == reduced:
            size *= merged.pop()[1].count
        merged.append((reduced, Loop(size, step)))
    return merged


def loops(shape: Shape, axes: tuple[int, ...]) -> Loops:
    none = [Loop(1, 0), Loop(1, 0)]
    found = runs(shape, axes)
    kept, reduced = ([*none, *(loop for kind, loop in found if kind is wanted)][-2:] for wanted in (False, True))
    return Loops((kept[0], kept[1]), (reduced[0], reduced[1]))


def read_axes(operator: TfliteOperator) -> tuple[tuple[int, ...], bool]:
    """(axes, keep_dims): axes sorted, counted from the front, each once; the operand must be constant."""
    x, axes = operator.inputs[0], operator.inputs[1] if len(operator.inputs) > 1 else None
    if x is None or axes is None or axes.data is None:
        raise TinyptqError("axes-not-constant", f"{operator.builtin} without constant axes")
    rank = len(x.shape)
    wanted = [int(axis) for axis in axes.data.reshape(-1).tolist()]
    if any(not -rank <= axis < rank for axis in wanted):
        raise TinyptqError("bad-axis", f"{operator.builtin} over axes {wanted} of a tensor with {rank} dimensions")
    keep_dims = operator.options is not None and bool(operator.options.KeepDims())
    return tuple(sorted({axis % rank for axis in wanted})), keep_dims


def write_axes(builtin: str, axes: tuple[int, ...], keep_dims: bool) -> tuple[TfliteCode, ...]:
    operand = np.array(axes, np.int32)
    return (TfliteCode(builtin, "ReducerOptions", {"KeepDims": keep_dims}, operands=(operand,), version=2),)


def reduced_shape(shape: Shape, axes: tuple[int, ...], keep_dims: bool) -> Shape:
    if keep_dims:
        return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def reduces_no_batch(graph: Graph, node: Node) -> bool:
    """At least one axis is reduced, and never the batch axis."""
    return bool(node.attrs.axes) and 0 not in node.attrs.axes


def few_runs(graph: Graph, node: Node) -> bool:
    """Kept and reduced axes alternate no more than twice."""
    kinds = [reduced for reduced, _ in runs(graph.tensors[node.inputs[0]].shape, node.attrs.axes)]
    return kinds.count(True) <= 2 and kinds.count(False) <= 2
