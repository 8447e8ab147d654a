"""Keras' recurrent layers: a trained model against its conversion by TensorFlow, layers as files, refusals."""

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
from tinyptq import pipeline, verbs
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


@pytest.mark.parametrize("class_name", ["LSTM", "GRU"])
@pytest.mark.parametrize("change", [{"activation": "relu"}, {"recurrent_activation": "hard_sigmoid"}])
def test_variants_that_mean_something_else_are_refused(tmp_path: Path, class_name: str, change: dict[str, Any]) -> None:
    (key,) = change
    with pytest.raises(TinyptqError, match=f"{key}=.* works"):
        load_model(recurrent_model(tmp_path, class_name, {**CONFIG, **change}, weights(4, (20,))))


def test_a_gru_without_the_option_resets_before(tmp_path: Path) -> None:
    """Files from before Keras had reset_after: one row of biases."""
    x = np.random.default_rng(2).standard_normal((2, 7, 3)).astype(np.float32)
    old = predict(recurrent_model(tmp_path, "GRU", CONFIG, weights(3, (15,))), x)
    new = predict(recurrent_model(tmp_path, "GRU", {**CONFIG, "reset_after": False}, weights(3, (15,))), x)
    assert np.array_equal(old, new)


@pytest.mark.parametrize(("class_name", "gates"), [("LSTM", 4), ("GRU", 3)])
def test_stateful_layers_go_on_where_they_ended(tmp_path: Path, class_name: str, gates: int) -> None:
    x = np.random.default_rng(3).standard_normal((2, 7, 3)).astype(np.float32)
    path = recurrent_model(tmp_path, class_name, {**CONFIG, "stateful": True}, weights(gates, (gates * 5,)))
    kept = predict(path, x)
    path = recurrent_model(tmp_path, class_name, CONFIG, weights(gates, (gates * 5,)))
    fresh = predict(path, x)
    assert np.abs(kept[0] - fresh[0]).max() < 1e-5 < np.abs(kept[1] - fresh[1]).max()


def wrapper(class_name: str, inside: str, **options: object) -> dict[str, Any]:
    key = "cell" if class_name == "RNN" else "layer"
    return {"name": "outside", key: {"class_name": inside, "config": CONFIG}, **options}


@pytest.mark.parametrize(
    ("class_name", "config", "reason"),
    [
        ("Bidirectional", wrapper("Bidirectional", "Dense"), "wraps Dense, only LSTM or GRU or SimpleRNN works"),
        ("Bidirectional", wrapper("Bidirectional", "LSTM", merge_mode="max"), "merge_mode='max', only 'concat' or"),
        ("RNN", wrapper("RNN", "StackedRNNCells"), "wraps StackedRNNCells"),
        ("RNN", {"name": "outside", "cell": 3}, "wraps nothing"),
        ("TimeDistributed", wrapper("TimeDistributed", "Sequential"), "wraps Sequential"),
        ("Masking", {"name": "mask"}, "train without it"),
    ],
)
def test_wrappers_refuse_in_words(tmp_path: Path, class_name: str, config: dict[str, Any], reason: str) -> None:
    with pytest.raises(TinyptqError) as caught:
        load_model(recurrent_model(tmp_path, class_name, config, []))
    assert reason in caught.value.message


def functional(folder: Path, class_name: str, output: int, *calls: str) -> Path:
    """Inputs a and b, one recurrent layer called on `calls`, its output number `output` is the model's."""
    inputs = [
        {"class_name": "InputLayer", "name": n, "config": {"batch_shape": [None, 7, 3], "name": n}, "inbound_nodes": []}
        for n in "ab"
    ]
    config = {**CONFIG, "return_state": True}
    nodes = [[[name, 0, 0, {}] for name in calls]]
    layer = {"class_name": class_name, "name": "memory", "config": config, "inbound_nodes": nodes}
    model = {"name": "m", "layers": [*inputs, layer], "input_layers": [["a", 0, 0], ["b", 0, 0]]}
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for index, array in enumerate(weights(4, (20,))):
            file[f"layers/lstm/cell/vars/{index}"] = array
    whole = {"class_name": "Functional", "config": {**model, "output_layers": [["memory", 0, output]]}}
    return archive(folder, whole, buffer.getvalue())


def test_states_that_are_not_there_are_refused(tmp_path: Path) -> None:
    x = np.ones((1, 7, 3), np.float32)
    graph = load_model(functional(tmp_path, "LSTM", 1, "a"))
    assert run_float(graph, {"a": x, "b": x})[graph.outputs[0]].shape == (1, 5)
    with pytest.raises(TinyptqError, match="the cell state of layer 'memory' is read"):
        load_model(functional(tmp_path, "LSTM", 2, "a"))
    with pytest.raises(TinyptqError, match="an initial state is given"):
        load_model(functional(tmp_path, "LSTM", 0, "a", "b"))


@pytest.mark.parametrize(("class_name", "gates"), [("LSTM", 4), ("GRU", 3)])
@pytest.mark.parametrize("change", [{"stateful": True}, {"return_sequences": True, "go_backwards": True}])
def test_firmware_equals_simulator_and_tflm(
    tmp_path: Path, class_name: str, gates: int, change: dict[str, object]
) -> None:
    """Every layer, run after run; a GRU is exported as the operators of all its steps."""
    pytest.importorskip("tflite_micro")
    path = recurrent_model(tmp_path, class_name, {**CONFIG, **change}, weights(gates, (gates * 5,)))
    samples = np.random.default_rng(4).standard_normal((40, 7, 3)).astype(np.float32)
    np.save(tmp_path / "samples.npy", samples)
    calibration = tmp_path / "samples.npy"
    built = pipeline.build(path, board="host", calibration=calibration, output=tmp_path / "out", count=32)
    assert built.report["verification"]["differing_bytes"] == 0
    *_, against = verbs.verify(built.directory, against="tflm")
    assert against.comparison.samples == 32 and against.comparison.equal, against.as_json()


@pytest.mark.parametrize("file", ["gunpoint_lstm.keras", "gunpoint_lstm_float.tflite"])
def test_accuracy_of_the_trained_model_is_kept(tmp_path: Path, file: str) -> None:
    """As a Keras layer and as a loop: within one sample of float on the 150 of GunPoint's test split."""
    calibration, x, labels = dataset("gunpoint")
    np.save(tmp_path / "samples.npy", calibration.astype(np.float32))
    np.save(tmp_path / "test.npy", x.astype(np.float32))
    path = shared_path("models", "trained_keras", file)
    built = pipeline.build(path, board="host", calibration=tmp_path / "samples.npy", output=tmp_path / "out")
    (found,) = verbs.simulate(built.directory, tmp_path / "test.npy", tmp_path / "found.npz").values()
    assert labels is not None and abs(int((found.argmax(1) == labels).sum()) - 146) <= 1


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TinyptqError):
        load_model(recurrent_model(tmp_path, "LSTM", {**CONFIG, "units": 6}, weights(4, (20,))))
    with pytest.raises(TinyptqError, match="holds 2 weights"):
        load_model(recurrent_model(tmp_path, "LSTM", CONFIG, weights(4, (20,))[:2]))
