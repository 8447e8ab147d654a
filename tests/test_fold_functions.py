"""Comparisons and selections of one tensor: tflite-micro's bytes in int8, LiteRT's numbers in float."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.tiny_tflite import Wiring
from tests.tiny_tflite import model_bytes as write_model
from tinyptq import tflm
from tinyptq.errors import TinyptqError
from tinyptq.float_run import run_float
from tinyptq.frontend.tflite import load_tflite
from tinyptq.graph import Array, QParams, Tensor
from tinyptq.lower import lower
from tinyptq.ops.base import TfliteCode
from tinyptq.passes import normalize
from tinyptq.ptq.imported import imported_recipe
from tinyptq.simulate import simulate

FLOAT32, INT8, BOOL = np.dtype(np.float32), np.dtype(np.int8), np.dtype(np.bool_)
SHAPE = (1, 4, 64)
EVERY = np.arange(-128, 128).astype(np.int8).reshape(SHAPE)
TANH, NEG, EXP = TfliteCode("TANH"), TfliteCode("NEG"), TfliteCode("EXP")
SELECT = TfliteCode("SELECT_V2")
COMPARISONS = ("GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "EQUAL", "NOT_EQUAL")


def int8(name: str, scale: float, zero_point: int, data: Array | None = None, shape: Any = SHAPE) -> Tensor:
    return Tensor(name, shape, INT8, data, QParams.per_tensor(scale, zero_point))


@pytest.mark.parametrize("comparison", COMPARISONS)
@pytest.mark.parametrize("scale", [0.03, 0.5, 1e-4], ids=["usual", "coarse", "fine"])
def test_selections_of_int8_equal_tflm_in_every_byte(comparison: str, scale: float) -> None:
    """x compared with a number of another scale chooses between tanh(x) and that number's neighbour."""
    pytest.importorskip("tflite_micro")
    number = int8("number", scale / 2, -10, np.array(17, np.int8), ())
    constant = int8("constant", 1 / 128, 0, np.array(-64, np.int8), ())
    tensors = [
        int8("x", scale, -20),
        number,
        Tensor("chosen", SHAPE, BOOL),
        int8("tanh", 1 / 128, 0),
        constant,
        int8("y", 1 / 128, 0),
    ]
    wiring: Wiring = [(TfliteCode(comparison), [0, 1], [2]), (TANH, [0], [3]), (SELECT, [2, 3, 4], [5])]
    model = write_model(tensors, wiring, [0], [5])
    graph = normalize(load_tflite(model))
    assert [node.op for node in graph.nodes] == ["function"]
    program = lower(graph, imported_recipe(graph), "0" * 64)
    np.testing.assert_array_equal(simulate(program, {"x": EVERY})["y"], tflm.run_tflm(model, {"x": EVERY})["y"])


def real(name: str, data: Array | None = None) -> Tensor:
    return Tensor(name, SHAPE if data is None else data.shape, FLOAT32, data)


def float_model(code: TfliteCode, number: float | None) -> bytes:
    """x → code (with a number, perhaps) → tanh."""
    constants = [] if number is None else [real("number", np.array(number, np.float32))]
    tensors = [real("x"), real("y"), real("z"), *constants]
    wiring: Wiring = [(code, [0, *([3] if constants else [])], [1]), (TANH, [1], [2])]
    return write_model(tensors, wiring, [0], [2])


def litert(model: bytes, x: Array) -> Array:
    module = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")
    interpreter = module.Interpreter(model_content=model)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    output: Array = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return output


@pytest.mark.parametrize(
    ("name", "number"),
    [
        *((name, None) for name in ("FLOOR", "CEIL", "ROUND", "SIN", "COS", "SIGN")),
        *(("POW", 3.0), ("FLOOR_DIV", 0.75), ("FLOOR_MOD", 0.75)),
    ],
)
def test_functions_of_reals_equal_litert(name: str, number: float | None) -> None:
    """Halves among them: ROUND ties to even."""
    model = float_model(TfliteCode(name), number)
    graph = normalize(load_tflite(model))
    assert [node.op for node in graph.nodes] == ["function", "tanh"]
    x = np.linspace(-4, 4, 257, dtype=np.float32)[:256].reshape(SHAPE)
    assert 0.5 in x and -1.5 in x
    found = run_float(graph, {"x": x})["z"]
    np.testing.assert_allclose(found, litert(model, x), rtol=1e-5, atol=1e-6)


def test_a_selu_in_float_is_one_function() -> None:
    """TensorFlow writes greater, exp, sub and select; x · 1 on the way up, e^x − 1 on the way down."""
    tensors = [
        real("x"),
        real("zero", np.array(0, np.float32)),
        Tensor("positive", SHAPE, BOOL),
        real("exp"),
        real("one", np.array(1, np.float32)),
        real("minus"),
        real("y"),
    ]
    wiring: Wiring = [
        (TfliteCode("GREATER"), [0, 1], [2]),
        (EXP, [0], [3]),
        (TfliteCode("SUB", "SubOptions"), [3, 4], [5]),
        (SELECT, [2, 0, 5], [6]),
    ]
    model = write_model(tensors, wiring, [0], [6])
    graph = normalize(load_tflite(model))
    assert [node.op for node in graph.nodes] == ["function"]
    x = np.linspace(-4, 4, 256, dtype=np.float32).reshape(SHAPE)
    np.testing.assert_allclose(run_float(graph, {"x": x})["y"], litert(model, x), rtol=1e-5, atol=1e-6)


def test_two_tensors_are_no_function_of_one() -> None:
    tensors = [real("x"), real("z"), Tensor("larger", SHAPE, BOOL), real("y")]
    wiring: Wiring = [(TfliteCode("GREATER"), [0, 1], [2]), (SELECT, [2, 0, 1], [3])]
    with pytest.raises(TinyptqError, match="SELECT_V2: no such operator here"):
        normalize(load_tflite(write_model(tensors, wiring, [0, 1], [3])))
