"""A model that someone else quantized: its scales and integers are the recipe, nothing is calibrated."""

from __future__ import annotations

import numpy as np

from tinyptq.graph import Array, Graph, QParams, Tensor
from tinyptq.ptq.recipe import ActivationChoice, ConstantChoice, Recipe

REASON = "from the model file"
NO_SCALE = QParams.per_tensor(1.0)  # of integers that mean themselves: indices, axes, counts


def imported_recipe(graph: Graph) -> Recipe:
    """The file's own scales, zero points, weights and biases; every tensor of graph is an integer one."""
    tensors = graph.tensors.values()
    return Recipe(
        activations={t.name: activation(t) for t in tensors if t.data is None},
        constants={t.name: constant(t, t.data) for t in tensors if t.data is not None},
    )


def activation(tensor: Tensor) -> ActivationChoice:
    qparams = tensor.qparams or NO_SCALE
    scale, zero_point = float(qparams.scale[0]), int(qparams.zero_point[0])
    info = np.iinfo(tensor.dtype)
    low, high = ((limit - zero_point) * scale for limit in (int(info.min), int(info.max)))
    return ActivationChoice(low, high, qparams, REASON, tensor.dtype)


def constant(tensor: Tensor, values: Array) -> ConstantChoice:
    return ConstantChoice(values, tensor.qparams or NO_SCALE, REASON)
