"""Which of an operator's constraints a node breaks."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyptq.graph import Array, Graph, Node, Shape, Tensor
from tinyptq.ops.base import Op


def broken(op: Op, attrs: Any, *operands: Shape | Array) -> list[str]:
    """Names of the constraints that do not hold; operands as in laws.Case: a shape, or a constant array."""
    f32 = np.dtype(np.float32)
    tensors = {}
    for index, operand in enumerate(operands):
        constant = None if isinstance(operand, tuple) else operand
        shape = operand if isinstance(operand, tuple) else operand.shape
        tensors[f"in{index}"] = Tensor(f"in{index}", shape, f32, constant)
    node = Node(op.name, "node", tuple(tensors), ("out",), attrs, "operator 0 'node'")
    graph = Graph("graph", tensors, (node,), tuple(tensors), ("out",))
    return [rule.__name__ for rule in op.constraints if not rule(graph, node)]


def sentences(op: Op) -> list[str]:
    """The docstrings of the constraints, which users read."""
    return [rule.__doc__ or "" for rule in op.constraints]
