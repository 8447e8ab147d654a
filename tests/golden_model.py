"""The one small model whose generated C is kept under tests/golden: residual, pointwise, mean, dense, softmax.

Its ranges and integers are written down, not calibrated, so that no floating-point library can move a byte.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyptq.graph import Graph, Node, QParams, Shape, Tensor
from tinyptq.lower import lower
from tinyptq.ops.activation import RELU
from tinyptq.ops.add import Add
from tinyptq.ops.conv_2d import Conv2D
from tinyptq.ops.fully_connected import FullyConnected
from tinyptq.ops.mean import Mean
from tinyptq.ops.softmax import OP as SOFTMAX
from tinyptq.ops.softmax import Softmax
from tinyptq.ops.window import make_window
from tinyptq.program import Program
from tinyptq.ptq.recipe import ActivationChoice, ConstantChoice, Recipe

FLOAT32 = np.dtype(np.float32)
IMAGE = (1, 6, 5, 8)
ACTIVATIONS: tuple[tuple[str, Shape, float, int], ...] = (
    ("image", IMAGE, 0.03125, -3),
    ("spatial", IMAGE, 0.0625, -128),
    ("pointwise", IMAGE, 0.0625, -128),
    ("sum", IMAGE, 0.09375, -128),
    ("features", (1, 8), 0.0625, -128),
    ("logits", (1, 3), 0.125, 5),
)
CONSTANTS: tuple[tuple[str, Shape, int], ...] = (
    ("spatial_w", (8, 3, 3, 8), 0),
    ("pointwise_w", (8, 1, 1, 8), 0),
    ("dense_w", (3, 8), 0),
)


def golden_program() -> Program:
    generator = np.random.default_rng(11)
    tensors = {name: Tensor(name, shape, FLOAT32) for name, shape, _, _ in ACTIVATIONS}
    tensors["scores"] = Tensor("scores", (1, 3), FLOAT32)
    choices = {name: activation(scale, zero) for name, _, scale, zero in ACTIVATIONS}
    assert isinstance(SOFTMAX.quantization, QParams)
    choices["scores"] = ActivationChoice(0.0, 1.0, SOFTMAX.quantization, "fixed by the operator")
    constants = {}
    for name, shape, axis in CONSTANTS:
        source = {"spatial_w": "image", "pointwise_w": "spatial", "dense_w": "features"}[name]
        scale = np.float32(2.0**-7) * (1 + np.arange(shape[0], dtype=np.float32) / 16)
        weights = generator.integers(-127, 128, shape, np.int8)
        bias = generator.integers(-2000, 2000, shape[0]).astype(np.int32)
        bias_scale = scale * choices[source].qparams.scale[0]
        constants[name] = constant(weights, scale, axis)
        constants[name[:-1] + "b"] = constant(bias, bias_scale, 0)
    tensors |= {n: Tensor(n, c.values.shape, FLOAT32, c.values.astype(np.float32)) for n, c in constants.items()}
    graph = Graph("golden", tensors, nodes(), ("image",), ("scores",))
    return lower(graph, Recipe(choices, constants), "0" * 64)


def nodes() -> tuple[Node, ...]:
    three, one = make_window("same", (6, 5), (3, 3)), make_window("same", (6, 5), (1, 1))
    return (
        node("conv_2d", "spatial", Conv2D(three, RELU), "image", "spatial_w", "spatial_b"),
        node("conv_2d", "pointwise", Conv2D(one, RELU), "spatial", "pointwise_w", "pointwise_b"),
        node("add", "sum", Add(), "spatial", "pointwise"),
        node("mean", "features", Mean((1, 2), False), "sum"),
        node("fully_connected", "logits", FullyConnected(), "features", "dense_w", "dense_b"),
        node("softmax", "scores", Softmax(1.0), "logits"),
    )


def node(op: str, output: str, attrs: Any, *inputs: str) -> Node:
    return Node(op, output, inputs, (output,), attrs, f"layer '{output}'")


def activation(scale: float, zero_point: int) -> ActivationChoice:
    low, high = scale * (-128 - zero_point), scale * (127 - zero_point)
    return ActivationChoice(low, high, QParams.per_tensor(scale, zero_point), "written down")


def constant(values: np.ndarray[Any, Any], scale: np.ndarray[Any, Any], axis: int) -> ConstantChoice:
    zeros = np.zeros(len(scale), np.int32)
    return ConstantChoice(values, QParams(scale.astype(np.float32), zeros, axis), "written down")
