"""Sizes a converter did not know: settled for a batch of one, held to what LiteRT makes of the same file."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tiny_tflite import Wiring
from tests.tiny_tflite import model_bytes as write_model
from tinyptq.float_run import run_float
from tinyptq.frontend.shape_values import known_value
from tinyptq.frontend.tflite import load_tflite
from tinyptq.graph import Array, QParams, Shape, Tensor
from tinyptq.ops.base import TfliteCode, TfliteOperator
from tinyptq.passes import normalize

FLOAT32, INT8, INT32 = np.dtype(np.float32), np.dtype(np.int8), np.dtype(np.int32)
RANDOM = np.random.default_rng(23)
RESHAPE, SHAPE = TfliteCode("RESHAPE"), TfliteCode("SHAPE", "ShapeOptions", {"OutType": 2})
PACK = TfliteCode("PACK", "PackOptions", {"ValuesCount": 3})
DENSE = TfliteCode("FULLY_CONNECTED", "FullyConnectedOptions")
FIRST = TfliteCode("STRIDED_SLICE", "StridedSliceOptions", {"ShrinkAxisMask": 1})


def real(name: str, *shape: int) -> Tensor:
    return Tensor(name, shape, FLOAT32)


def constant(name: str, values: Array) -> Tensor:
    return Tensor(name, values.shape, values.dtype, values)


def integers(*values: int) -> Array:
    return np.array(values, np.int32)


def dense_over_a_sequence(rows: int = 1) -> bytes:
    """What Keras' Dense on [batch, 4, 3] becomes: rows folded together, and back to a shape read from the input.

    rows: what the file says instead of 4.
    """
    tensors = [
        real("open_x", 1, 4, 3),
        constant("rows_shape", integers(-1, 3)),
        real("open_rows", rows, 3),
        constant("weights", RANDOM.standard_normal((2, 3)).astype(np.float32)),
        real("open_products", 1, 2),
        Tensor("sizes", (3,), INT32),
        constant("zero", integers(0)),
        constant("one", integers(1)),
        Tensor("batch", (), INT32),
        constant("four", np.array(4, np.int32)),
        constant("two", np.array(2, np.int32)),
        Tensor("back", (3,), INT32),
        real("open_y", 1, 4, 2),
    ]
    wiring: Wiring = [
        (RESHAPE, [0, 1], [2]),
        (DENSE, [2, 3], [4]),
        (SHAPE, [0], [5]),
        (FIRST, [5, 6, 7, 7], [8]),
        (PACK, [8, 9, 10], [11]),
        (RESHAPE, [4, 11], [12]),
    ]
    return write_model(tensors, wiring, [0], [12])


@pytest.mark.parametrize("rows", [-1, -4])
def test_negative_sizes_are_placeholders_too(rows: int) -> None:
    """As TensorFlow 2.4 writes them."""
    graphs = [normalize(load_tflite(dense_over_a_sequence(rows))) for rows in (1, rows)]
    assert [node.op for node in graphs[1].nodes] == ["fully_connected"]
    shapes = [{name: tensor.shape for name, tensor in graph.tensors.items()} for graph in graphs]
    assert shapes[0] == shapes[1]


def litert_output(model: bytes, x: Array) -> Array:
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")
    interpreter = litert.Interpreter(model_content=model)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    output: Array = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return output


def test_a_dense_layer_over_a_sequence_of_open_batch() -> None:
    model = dense_over_a_sequence()
    graph = normalize(load_tflite(model))
    assert [node.op for node in graph.nodes] == ["fully_connected"]
    x = RANDOM.standard_normal((1, 4, 3)).astype(np.float32)
    found = run_float(graph, {graph.inputs[0]: x})[graph.outputs[0]]
    np.testing.assert_allclose(found, litert_output(model, x), rtol=1e-5, atol=1e-6)


def test_samples_do_not_mix() -> None:
    """Three samples at once give what each gives alone: the rows of one sample are no batch."""
    graph = normalize(load_tflite(dense_over_a_sequence()))
    x = RANDOM.standard_normal((3, 4, 3)).astype(np.float32)
    together = run_float(graph, {graph.inputs[0]: x})[graph.outputs[0]]
    alone = [run_float(graph, {graph.inputs[0]: x[i : i + 1]})[graph.outputs[0]] for i in range(3)]
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-5, atol=1e-6)


def value_of(builtin: str, shape: Shape, *operands: Array, dtype: np.dtype[np.int32] = INT32) -> Array | None:
    inputs = tuple(constant(f"operand{i}", values) for i, values in enumerate(operands))
    return known_value(TfliteOperator(builtin, None, inputs, (Tensor("y", shape, dtype),)))


def test_arithmetic_on_sizes() -> None:
    """6 · 4 = 24, 7 // 2 = 3, 7 mod 2 = 1; the product of (2, 3, 4) is 24; from 1 below 8 by 3: 1, 4, 7."""
    six, four, seven, two = (np.array(n, np.int32) for n in (6, 4, 7, 2))
    assert value_of("MUL", (), six, four) == 24
    assert value_of("FLOOR_DIV", (), seven, two) == 3
    assert value_of("FLOOR_MOD", (), seven, two) == 1
    assert value_of("REDUCE_PROD", (), integers(2, 3, 4), integers(0)) == 24
    np.testing.assert_array_equal(value_of("RANGE", (3,), *map(np.asarray, (1, 8, 3))), [1, 4, 7])
    np.testing.assert_array_equal(value_of("FILL", (2, 2), integers(2, 2), seven), [[7, 7], [7, 7]])


@pytest.mark.parametrize(
    ("builtin", "operands"),
    [
        ("RANGE", (np.int32(0), np.int32(1 << 30), np.int32(1))),
        ("RANGE", (np.int32(0), np.int32(8), np.int32(0))),
        ("FILL", (integers(1 << 20, 1 << 20), np.array(0, np.int32))),
        ("FILL", (integers(-1), np.array(0, np.int32))),
        ("RESHAPE", (integers(1, 2, 3), integers(2, 2))),
        ("GATHER", (integers(1, 2), integers(7))),
        ("FLOOR_DIV", (integers(1), integers(2), integers(3))),
    ],
)
def test_nonsense_stays_an_operator(builtin: str, operands: tuple[Array, ...]) -> None:
    """And nothing large is made on the way."""
    assert value_of(builtin, (1,), *map(np.asarray, operands)) is None


def test_integers_that_stand_for_reals_are_left_alone() -> None:
    scaled = Tensor("x", (2,), INT8, np.array([3, 4], np.int8), QParams.per_tensor(0.5))
    operator = TfliteOperator("ADD", None, (scaled, scaled), (Tensor("y", (2,), INT8, None, QParams.per_tensor(0.5)),))
    assert known_value(operator) is None
