"""Small graphs for the tests of the passes: one input "x", constants at hand, and the questions asked of a result."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyptq.float_run import run_float
from tinyptq.graph import Array, Graph, Node, Shape, Tensor
from tinyptq.ops import BY_NAME
from tinyptq.ops.activation import NONE, RELU, Clamp
from tinyptq.ops.conv_2d import Conv2D
from tinyptq.ops.pad import Pad
from tinyptq.ops.relu import Relu
from tinyptq.ops.reshape import Reshape
from tinyptq.ops.window import Window

FLOAT32 = np.dtype(np.float32)
Step = tuple[str, Any, tuple[str, ...], str]
RANDOM = np.random.default_rng(17)
CONSTANTS = {
    "w": RANDOM.standard_normal((3, 3, 3, 2)).astype(np.float32),  # [out, kh, kw, in]
    "w1": RANDOM.standard_normal((3, 1, 1, 2)).astype(np.float32),
    "line": np.linspace(-1, 1, 18, dtype=np.float32).reshape(3, 1, 3, 2),
    "stack": np.linspace(-1, 1, 18, dtype=np.float32).reshape(3, 3, 1, 2),
    "d": RANDOM.standard_normal((1, 3, 3, 4)).astype(np.float32),  # [1, kh, kw, in · 2]
    "f": RANDOM.standard_normal((3, 40)).astype(np.float32),  # [out, in]
    "b": RANDOM.standard_normal(3).astype(np.float32),
    "c3": RANDOM.standard_normal(3).astype(np.float32),
    "c3_4d": RANDOM.standard_normal((1, 1, 1, 3)).astype(np.float32),
    "c4": RANDOM.standard_normal(4).astype(np.float32),
    "columns": RANDOM.standard_normal((4, 3)).astype(np.float32),
    "two": np.array(2, np.float32),
    "zero": np.zeros(2, np.float32),
    "one": np.ones((1, 1, 1, 2), np.float32),
}
IMAGE = (1, 5, 4, 2)
SAME3 = Window((3, 3), pad_top=1, pad_bottom=1, pad_left=1, pad_right=1)
VALID3 = Window((3, 3))
BORDER = Pad((0, 2, 1, 0), (0, 0, 1, 0))


def build(*steps: Step, outputs: tuple[str, ...] = ("y",), shape: Shape = IMAGE) -> Graph:
    """A graph from (op, attrs, inputs, output): "x" is the input, CONSTANTS are at hand."""
    tensors = {"x": Tensor("x", shape, FLOAT32)}
    tensors |= {name: Tensor(name, data.shape, FLOAT32, data) for name, data in CONSTANTS.items()}
    nodes = []
    for index, (op, attrs, inputs, output) in enumerate(steps):
        (result,) = BY_NAME[op].infer_shapes(attrs, *(tensors[name].shape for name in inputs))
        tensors[output] = Tensor(output, result, FLOAT32)
        nodes.append(Node(op, output, inputs, (output,), attrs, f"operator {index} '{output}'"))
    return Graph("test", tensors, tuple(nodes), ("x",), outputs)


def text(graph: Graph) -> str:
    """ "conv_2d relu": the ops in order."""
    return " ".join(node.op for node in graph.nodes)


def outputs_of(graph: Graph, count: int = 3) -> dict[str, Array]:
    random = np.random.default_rng(5)
    inputs = {n: random.standard_normal((count, *graph.tensors[n].shape[1:])).astype(np.float32) for n in graph.inputs}
    return {name: array for name, array in run_float(graph, inputs).items() if name in graph.outputs}


def assert_same_outputs(before: Graph, after: Graph) -> None:
    expected, found = outputs_of(before), outputs_of(after)
    assert after.outputs == before.outputs and after.inputs == before.inputs
    for name, values in expected.items():
        assert found[name].shape == values.shape
        np.testing.assert_allclose(found[name], values, rtol=2e-5, atol=2e-5 * max(1.0, np.abs(values).max()))


def conv(output: str, source: str = "x", activation: Clamp = NONE, bias: bool = True) -> Step:
    return ("conv_2d", Conv2D(SAME3, activation), (source, "w", *(["b"] if bias else [])), output)


def relu(source: str, output: str, clamp: Clamp = RELU) -> Step:
    return ("relu", Relu(clamp), (source,), output)


def reshape(source: str, output: str, *shape: int) -> Step:
    return ("reshape", Reshape(shape), (source,), output)
