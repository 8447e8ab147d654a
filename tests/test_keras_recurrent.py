"""Keras' LSTM: a trained model against its conversion by TensorFlow, layers as files, refusals."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.data import dataset
from tests.keras_files import archive
from tests.shared import shared_path
from tinyptq.errors import TinyptqError
from tinyptq.float_run import run_float
from tinyptq.frontend import load_model
from tinyptq.graph import Array

CONFIG = {"name": "memory", "units": 5, "activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True}


def recurrent_model(folder: Path, class_name: str, config: Any, arrays: list[Array]) -> Path:
    """A Sequential of one recurrent layer over [7, 3] as Keras 3 writes it: its weights are those of its cell."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        group = file.create_group(f"layers/{class_name.lower()}/cell/vars")
        for index, array in enumerate(arrays):
            group[str(index)] = array
    layers = [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 7, 3], "name": "in"}},
        {"class_name": class_name, "config": config},
    ]
    return archive(folder, {"class_name": "Sequential", "config": {"name": "m", "layers": layers}}, buffer.getvalue())


def weights(gates: int, bias: tuple[int, ...]) -> list[Array]:
    generator = np.random.default_rng(gates)
    shapes = [(3, gates * 5), (5, gates * 5), bias]
    return [generator.standard_normal(shape).astype(np.float32) * np.float32(0.5) for shape in shapes]


def predict(path: Path, x: Array) -> Array:
    graph = load_model(path)
    return run_float(graph, {graph.inputs[0]: x})[graph.outputs[0]]


def test_trained_model_equals_its_conversion() -> None:
    """The .tflite holds the same LSTM as a loop of single operations; LiteRT runs it."""
    from ai_edge_litert.interpreter import Interpreter

    _, x, labels = dataset("gunpoint")
    interpreter = Interpreter(str(shared_path("models", "trained_keras", "gunpoint_lstm_float.tflite")))
    interpreter.allocate_tensors()
    expected = []
    for sample in x[:20]:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], sample[None].astype(np.float32))
        interpreter.invoke()
        expected.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
    actual = predict(shared_path("models", "trained_keras", "gunpoint_lstm.keras"), x.astype(np.float32))
    assert np.abs(actual[:20] - np.stack(expected)).max() < 1e-5
    assert labels is not None and float((actual.argmax(1) == labels).mean()) == pytest.approx(0.9733, abs=1e-4)


def test_lstm_with_and_without_sequences_and_bias(tmp_path: Path) -> None:
    x = np.random.default_rng(1).standard_normal((4, 7, 3)).astype(np.float32)
    arrays = weights(4, (20,))
    whole = predict(recurrent_model(tmp_path, "LSTM", {**CONFIG, "return_sequences": True}, arrays), x)
    last = predict(recurrent_model(tmp_path, "LSTM", CONFIG, arrays), x)
    assert whole.shape == (4, 7, 5) and np.array_equal(whole[:, -1], last)
    arrays[2][:] = 0
    with_zeros = predict(recurrent_model(tmp_path, "LSTM", CONFIG, arrays), x)
    without = predict(recurrent_model(tmp_path, "LSTM", {**CONFIG, "use_bias": False}, arrays[:2]), x)
    assert np.array_equal(with_zeros, without)


@pytest.mark.parametrize(
    "change",
    [
        {"activation": "relu"},
        {"recurrent_activation": "hard_sigmoid"},
        {"go_backwards": True},
        {"return_state": True},
        {"stateful": True},
    ],
)
def test_variants_that_mean_something_else_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    (key,) = change
    with pytest.raises(TinyptqError, match=f"{key}=.* works"):
        load_model(recurrent_model(tmp_path, "LSTM", {**CONFIG, **change}, weights(4, (20,))))


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TinyptqError):
        load_model(recurrent_model(tmp_path, "LSTM", {**CONFIG, "units": 6}, weights(4, (20,))))
    with pytest.raises(TinyptqError, match="holds 2 weights"):
        load_model(recurrent_model(tmp_path, "LSTM", CONFIG, weights(4, (20,))[:2]))
