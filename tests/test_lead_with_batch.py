"""Graphs whose tensors do not begin with a batch of 1: the same numbers under shapes that do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.pass_graphs import IMAGE, Step, build, relu, reshape, text
from tinyptq.errors import TinyptqError
from tinyptq.float_run import run_float
from tinyptq.graph import Array, Graph, Shape
from tinyptq.ops.add import Add
from tinyptq.ops.batch_matmul import BatchMatMul
from tinyptq.ops.conv_2d import Conv2D
from tinyptq.ops.fully_connected import FullyConnected
from tinyptq.ops.mean import Mean
from tinyptq.ops.mul import Mul
from tinyptq.ops.softmax import Softmax
from tinyptq.ops.transpose import Transpose
from tinyptq.ops.window import Window
from tinyptq.passes import normalize
from tinyptq.passes.lead_with_batch import lead_with_batch
from tinyptq.passes.unroll_samples import unroll_samples

SEQUENCE = (1, 4, 3)

DENSE = (
    reshape("x", "rows", 4, 3),
    ("fully_connected", FullyConnected(), ("rows", "columns"), "products"),
    ("softmax", Softmax(1.0), ("products",), "shares"),
    reshape("shares", "y", 1, 4, 4),
)
NORMALIZED = (  # layer normalization as TensorFlow writes it: statistics per position are vectors without a batch
    reshape("x", "image", 1, 4, 3, 1),
    ("transpose", Transpose((0, 2, 3, 1)), ("image",), "last"),
    ("mean", Mean((0, 1, 2), False), ("last",), "means"),
    ("mul", Mul(), ("means", "c4"), "scaled"),
    ("add", Add(), ("last", "scaled"), "sum"),
    ("transpose", Transpose((0, 3, 1, 2)), ("sum",), "first"),
    reshape("first", "y", 1, 4, 3),
)
TIME_FIRST = (
    ("transpose", Transpose((1, 0, 2)), ("x",), "steps"),
    relu("steps", "positive"),
    ("transpose", Transpose((1, 0, 2)), ("positive",), "y"),
)
MATRICES = (
    reshape("x", "a", 4, 3),
    ("batch_matmul", BatchMatMul(False, True), ("a", "a"), "products"),
    reshape("products", "y", 1, 16),
)
GRAPHS: dict[str, tuple[tuple[Step, ...], Shape]] = {
    "dense": (DENSE, SEQUENCE),
    "normalized": (NORMALIZED, SEQUENCE),
    "time first": (TIME_FIRST, SEQUENCE),
    "matrices": (MATRICES, SEQUENCE),
}


def each_alone(graph: Graph, x: Array) -> Array:
    """The graph as it is knows one sample at a time."""
    (output,) = graph.outputs
    parts = [run_one(graph, x[i : i + 1]) for i in range(len(x))]
    return np.stack([tensors[output] for tensors in parts]).reshape(len(x), -1)


def run_one(graph: Graph, x: Array) -> dict[str, Array]:
    """NumPy on the shapes the graph declares; run_float assumes a batch in front."""
    tensors: dict[str, Array] = {"x": x}
    rules: dict[str, Callable[..., Array]] = {
        "reshape": lambda node, a: a.reshape(node.attrs.shape),
        "transpose": lambda node, a: a.transpose(node.attrs.permutation),
        "mean": lambda node, a: a.mean(node.attrs.axes, keepdims=node.attrs.keep_dims),
        "relu": lambda node, a: np.maximum(a, 0),
        "mul": lambda node, a, b: a * b,
        "add": lambda node, a, b: a + b,
        "fully_connected": lambda node, a, w: a @ w.T,
        "batch_matmul": lambda node, a, b: a @ b.T,
        "softmax": lambda node, a: np.exp(a) / np.exp(a).sum(-1, keepdims=True),
    }
    for node in graph.nodes:
        operands = [tensors[name] if name in tensors else graph.tensors[name].data for name in node.inputs]
        tensors[node.outputs[0]] = rules[node.op](node, *operands)
    return tensors


@pytest.mark.parametrize("name", GRAPHS)
def test_the_same_numbers_sample_by_sample(name: str) -> None:
    steps, shape = GRAPHS[name]
    before = build(*steps, shape=shape)
    after = normalize(before)
    x = np.random.default_rng(5).standard_normal((3, *shape[1:])).astype(np.float32)
    found = run_float(after, {"x": x})[after.outputs[0]]
    np.testing.assert_allclose(found.reshape(3, -1), each_alone(before, x), rtol=2e-5, atol=2e-5)


def test_a_graph_that_has_its_batch_is_left_alone() -> None:
    graph = build(reshape("x", "flat", 1, 40), ("fully_connected", FullyConnected(), ("flat", "f"), "y"), shape=IMAGE)
    assert lead_with_batch(graph) is graph


def test_an_input_without_batch_gets_one() -> None:
    graph = normalize(build(relu("x", "y"), shape=(4, 3)))
    assert graph.tensors["x"].shape == (1, 4, 3)


def test_a_convolution_of_several_images_becomes_several() -> None:
    """TimeDistributed: three images of a sequence, each convolved."""
    graph = build(
        reshape("x", "images", 3, 5, 4, 2),
        ("conv_2d", Conv2D(Window((3, 3))), ("images", "w", "b"), "maps"),
        reshape("maps", "y", 1, 54),
        shape=(1, 3, 5, 4, 2),
    )
    after = normalize(graph)
    assert text(after).split().count("conv_2d") == 3
    x = np.random.default_rng(5).standard_normal((2, 3, 5, 4, 2)).astype(np.float32)
    one = build(("conv_2d", Conv2D(Window((3, 3))), ("x", "w", "b"), "y"), shape=(1, 5, 4, 2))
    expected = run_float(one, {"x": x.reshape(6, 5, 4, 2)})["y"].reshape(2, 54)
    np.testing.assert_allclose(run_float(after, {"x": x})["y"], expected, rtol=2e-5, atol=2e-5)


def test_too_many_images_are_refused() -> None:
    steps = (
        reshape("x", "images", 65, 3, 3, 2),
        ("conv_2d", Conv2D(Window((3, 3))), ("images", "w", "b"), "maps"),
        reshape("maps", "y", 1, 195),
    )
    graph = build(*steps, shape=(1, 65, 3, 3, 2))
    assert unroll_samples(graph) is graph
    with pytest.raises(TinyptqError, match="CONV_2D of 65 images at once"):
        normalize(graph)
