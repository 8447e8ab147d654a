"""Which of an operator's constraints a node breaks."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyptq.graph import Array, Graph, Node, Shape, Tensor
from tinyptq.ops.base import Op


def broken(op: Op, attrs: Any, *operands: Shape | Array, activations: str = "float32") -> list[str]:
    """Names of the constraints that do not hold; operands as in laws.Case: a shape, or a constant array.

    activations: their type; constants are float32 beside float32, else of their own type.
    """
    tensors = {}
    for index, operand in enumerate(operands):
        constant = None if isinstance(operand, tuple) else operand
        shape = operand if isinstance(operand, tuple) else operand.shape
        dtype = np.dtype(activations if constant is None or activations == "float32" else constant.dtype)
        tensors[f"in{index}"] = Tensor(f"in{index}", shape, dtype, constant)
    node = Node(op.name, "node", tuple(tensors), ("out",), attrs, "operator 0 'node'")
    graph = Graph("graph", tensors, (node,), tuple(tensors), ("out",))
    return [rule.__name__ for rule in op.constraints if not rule(graph, node)]


def types_law(op: Op, attrs: Any, shape: Shape, weights: Shape, wide: tuple[str, ...]) -> None:
    """Weights are int8; a bias is int32 beside int8 activations, one of `wide` beside int16 ones."""
    assert op.weight_axis is not None
    for activations, accepted in (("int8", ("int32",)), ("int16", wide)):
        for bias in ("int16", "int32", "int64"):
            constants = np.ones(weights, np.int8), np.ones(weights[op.weight_axis], bias)
            found = broken(op, attrs, shape, *constants, activations=activations)
            assert (found == []) == (bias in accepted), (activations, bias, found)
        assert broken(op, attrs, shape, np.ones(weights, np.int8), activations=activations) == []
        assert len(broken(op, attrs, shape, np.ones(weights, np.int16), activations=activations)) == 1


def sentences(op: Op) -> list[str]:
    """The docstrings of the constraints, which users read."""
    return [rule.__doc__ or "" for rule in op.constraints]
