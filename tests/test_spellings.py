"""Operators that become others while a file is read, against LiteRT: ADD_N, BROADCAST_TO, CUMSUM, wide indices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from tests.tiny_tflite import Wiring, model_bytes
from tinyptq import pipeline, verbs
from tinyptq.float_run import run_float
from tinyptq.frontend.tflite import load_tflite
from tinyptq.graph import Array, QParams, Shape, Tensor
from tinyptq.lower import lower
from tinyptq.obstacles import obstacles
from tinyptq.ops.base import TfliteCode
from tinyptq.passes import normalize
from tinyptq.ptq.imported import imported_recipe
from tinyptq.simulate import simulate

FLOAT, INT8, INT32, INT64 = (np.dtype(name) for name in ("float32", "int8", "int32", "int64"))
TYPE_INT32, TYPE_INT64 = 2, 4
SCALE = QParams.per_tensor(0.1, 3)
WIDE = {"OutputType": TYPE_INT64}
CAST = TfliteCode("CAST", "CastOptions", {"InDataType": TYPE_INT64, "OutDataType": TYPE_INT32})


def numbers(name: str, *values: int) -> Tensor:
    return Tensor(name, (len(values),), INT32, np.array(values, np.int32))


def litert(model: bytes, *inputs: Array) -> Array:
    """The only output of a model for one sample."""
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    for detail, x in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], x)
    interpreter.invoke()
    result: Array = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return result


def labels(builtin: str, cast: bool = False) -> bytes:
    tensors = [Tensor("x", (1, 3, 5), INT8, None, SCALE), numbers("axis", -1), Tensor("y", (1, 3), INT64)]
    wiring: Wiring = [(TfliteCode(builtin, f"Arg{builtin[4:].capitalize()}Options", WIDE), [0, 1], [2])]
    if cast:
        tensors.append(Tensor("z", (1, 3), INT32))
        wiring.append((CAST, [2], [3]))
    return model_bytes(tensors, wiring, [0], [len(tensors) - 1])


@pytest.mark.parametrize("cast", [False, True], ids=["alone", "cast"])
@pytest.mark.parametrize("builtin", ["ARG_MAX", "ARG_MIN"])
def test_indices_of_64_bits_become_32(builtin: str, cast: bool) -> None:
    """TFLite Micro refuses the file; LiteRT's indices are ours."""
    model = labels(builtin, cast)
    graph = normalize(load_tflite(model))
    program = lower(graph, imported_recipe(graph), "0" * 64)
    assert program.values[program.outputs[0]].dtype == INT32
    assert program.warnings == (() if cast else ("output 'y' is int32 here, int64 in the file",))
    for seed in range(8):
        x = np.random.default_rng(seed).integers(-4, 4, (1, 3, 5)).astype(np.int8)
        found = simulate(program, {program.inputs[0]: x})[program.outputs[0]]
        np.testing.assert_array_equal(found, litert(model, x))


def test_firmware_of_64_bit_indices(tmp_path: Path) -> None:
    """The exported file has int32 indices, so TFLite Micro runs it."""
    pytest.importorskip("tflite_micro")
    path = tmp_path / "m.tflite"
    path.write_bytes(labels("ARG_MAX"))
    pipeline.build(path, board="host", output=tmp_path / "out", count=8)
    assert all(found.comparison.equal for found in verbs.verify(tmp_path / "out", against="tflm"))


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_sum_of_many_is_a_chain_of_sums(count: int) -> None:
    tensors = [Tensor(f"x{i}", (1, 4), FLOAT) for i in range(count + 1)]
    model = model_bytes(
        tensors, [(TfliteCode("ADD_N", "AddNOptions"), [*range(count)], [count])], [*range(count)], [count]
    )
    graph = normalize(load_tflite(model))
    assert [node.op for node in graph.nodes] == ["add"] * (count - 1)
    xs = [np.random.default_rng(i).normal(0, 1, (1, 4)).astype(np.float32) for i in range(count)]
    found = run_float(graph, dict(zip(graph.inputs, xs, strict=True)))[graph.outputs[0]]
    np.testing.assert_allclose(found, litert(model, *xs), rtol=1e-6)


def test_a_sum_of_integers_stays_refused() -> None:
    tensors = [Tensor(name, (1, 4), INT8, None, SCALE) for name in ("a", "b", "y")]
    model = model_bytes(tensors, [(TfliteCode("ADD_N", "AddNOptions"), [0, 1], [2])], [0, 1], [2])
    assert "a chain of ADD" in obstacles(load_tflite(model))[0]


@pytest.mark.parametrize(
    ("source", "target"),
    [((1, 1, 4), (1, 3, 4)), ((1, 4), (1, 3, 4)), ((1, 1), (1, 2, 3, 5)), ((1, 2, 1, 3), (1, 2, 4, 3))],
)
def test_broadcasts(source: Shape, target: Shape) -> None:
    tensors = [Tensor("x", source, FLOAT), numbers("shape", *target), Tensor("y", target, FLOAT)]
    wiring: Wiring = [(TfliteCode("BROADCAST_TO", "BroadcastToOptions", version=2), [0, 1], [2])]
    model = model_bytes(tensors, wiring, [0], [2])
    graph = normalize(load_tflite(model))
    x = np.random.default_rng(1).normal(0, 1, source).astype(np.float32)
    found = run_float(graph, {graph.inputs[0]: x})[graph.outputs[0]]
    np.testing.assert_array_equal(found, litert(model, x))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize(("shape", "axis"), [((1, 6), 1), ((1, 5, 3), 1), ((1, 5, 3), -1), ((1, 2, 4, 3), 2)])
def test_running_sums(shape: Shape, axis: int, exclusive: bool, reverse: bool) -> None:
    tensors = [Tensor("x", shape, FLOAT), numbers("axis", axis), Tensor("y", shape, FLOAT)]
    code = TfliteCode("CUMSUM", "CumsumOptions", {"Exclusive": exclusive, "Reverse": reverse})
    model = model_bytes(tensors, [(code, [0, 1], [2])], [0], [2])
    graph = normalize(load_tflite(model))
    x = np.random.default_rng(1).normal(0, 1, shape).astype(np.float32)
    found = run_float(graph, {graph.inputs[0]: x})[graph.outputs[0]]
    np.testing.assert_allclose(found, litert(model, x), atol=1e-5)


def test_a_running_sum_in_firmware(tmp_path: Path) -> None:
    pytest.importorskip("tflite_micro")
    tensors = [Tensor("x", (1, 9, 3), FLOAT), numbers("axis", 1), Tensor("y", (1, 9, 3), FLOAT)]
    path = tmp_path / "m.tflite"
    path.write_bytes(model_bytes(tensors, [(TfliteCode("CUMSUM", "CumsumOptions"), [0, 1], [2])], [0], [2]))
    x = np.random.default_rng(2).normal(0, 1, (16, 9, 3)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x)
    pipeline.build(path, board="host", calibration=tmp_path / "x.npz", output=tmp_path / "out", count=8)
    assert all(found.comparison.equal for found in verbs.verify(tmp_path / "out", against="tflm"))


@pytest.mark.parametrize(
    ("dtype", "shape", "axis"), [(INT8, (1, 4), 1), (FLOAT, (1, 4), 0), (FLOAT, (1, 4), 7), (FLOAT, (1, 513), 1)]
)
def test_running_sums_that_stay_refused(dtype: np.dtype[np.generic], shape: Shape, axis: int) -> None:
    tensors = [Tensor("x", shape, dtype, None, SCALE), numbers("axis", axis), Tensor("y", shape, dtype, None, SCALE)]
    model = model_bytes(tensors, [(TfliteCode("CUMSUM", "CumsumOptions"), [0, 1], [2])], [0], [2])
    assert "triangle of ones" in obstacles(load_tflite(model))[0]
