"""The Keras frontend: real models against LiteRT, made ones against Keras itself, small ones by hand."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from tests.data import dataset
from tests.keras_files import FIXTURES, small_model
from tests.shared import shared_path
from tinyptq import pipeline, verbs
from tinyptq.float_run import run_float
from tinyptq.frontend.keras import load_keras
from tinyptq.graph import Graph, check_graph

FLOAT_TWINS = [  # Keras file, TFLite file made from the same weights, data set
    ("mlperf_tiny/ic/pretrainedResnet.h5", "mlperf_tiny/ic/pretrainedResnet.tflite", "ic"),
    ("mlperf_tiny/vww/vww_96.h5", "mlperf_tiny/vww/vww_96_float.tflite", "vww"),
    ("trained_keras/digits_mlp.keras", "trained_keras/digits_mlp_float.tflite", "digits"),
    ("trained_keras/digits_mlp.h5", "trained_keras/digits_mlp_float.tflite", "digits"),
    ("trained_keras/mnist_dscnn.keras", "trained_keras/mnist_dscnn_float.tflite", "mnist"),
    ("trained_keras/har_conv1d.keras", "trained_keras/har_conv1d_float.tflite", "har"),
    ("keras3/uraich_hello_world.keras", "keras3/uraich_hello_world_float.tflite", "hello"),
]


def evaluate(graph: Graph, *inputs: Any) -> list[Any]:
    tensors = run_float(graph, dict(zip(graph.inputs, inputs, strict=True)))
    return [tensors[name] for name in graph.outputs]


def litert(path: Path, samples: Any) -> Any:
    """A one-input, one-output model on every sample; int8 models are fed and read in int8."""
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    first, last = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    results = []
    for sample in samples:
        value = sample.reshape(first["shape"])
        if first["dtype"] == np.int8:
            scale, zero_point = first["quantization"]
            value = np.clip(np.round(value / scale) + zero_point, -128, 127).astype(np.int8)
        interpreter.set_tensor(first["index"], value)
        interpreter.invoke()
        results.append(interpreter.get_tensor(last["index"])[0])
    return np.stack(results)


@pytest.mark.parametrize(("model", "twin", "data"), FLOAT_TWINS, ids=[m.rpartition("/")[2] for m, _, _ in FLOAT_TWINS])
def test_float_results_are_litert_s(model: str, twin: str, data: str) -> None:
    graph = load_keras(shared_path("models", model))
    assert check_graph(graph) == []
    x = dataset(data)[1][:24]
    expected = litert(shared_path("models", twin), x)
    (found,) = evaluate(graph, x)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


def test_anomaly_detector_is_numpy_s() -> None:
    """Its float .tflite has other biases than the .h5, so the h5 is computed by hand, in double."""
    path = shared_path("models", "mlperf_tiny", "ad", "ad01.h5")
    x = dataset("ad")[1][:8].astype(np.float64)
    (found,) = evaluate(load_keras(path), x)
    with h5py.File(path) as file:
        weights = file["model_weights"]
        for number in range(10):
            suffix = f"_{number}" if number else ""
            dense = weights[f"dense{suffix}/dense{suffix}"]
            x = x @ dense["kernel:0"][:].astype(np.float64) + dense["bias:0"][:]
            if number < 9:
                norm = weights[f"batch_normalization{suffix}/batch_normalization{suffix}"]
                x = (x - norm["moving_mean:0"][:]) / np.sqrt(norm["moving_variance:0"][:].astype(np.float64) + 1e-3)
                x = np.maximum(x * norm["gamma:0"][:] + norm["beta:0"][:], 0)
    assert np.abs(found - x).max() <= 1e-4 * np.abs(x).max()


def test_streaming_wake_word_agrees_with_its_int8_model() -> None:
    """No float twin exists: the labels and the official int8 model have to agree with us."""
    x, y = dataset("sww")[1:]
    (found,) = evaluate(load_keras(shared_path("models", "mlperf_tiny", "sww", "str_ww_ref_model.h5")), x)
    official = litert(shared_path("models", "mlperf_tiny", "sww", "str_ww_ref_model.tflite"), x)
    assert (found.argmax(axis=1) == official.argmax(axis=1)).mean() >= 0.97
    assert (found.argmax(axis=1) == y).mean() >= 0.9
    assert np.abs(found - (official.astype(np.float64) + 128) / 256).mean() < 0.02


@pytest.mark.parametrize("name", sorted(p.name for p in FIXTURES.glob("*.*") if p.suffix in (".keras", ".h5")))
def test_made_models_compute_what_keras_computes(name: str) -> None:
    """Nested, shared, multi-branch, one- and two-dimensional layers with every option; outputs are Keras 3's own."""
    graph = load_keras(FIXTURES / name)
    assert check_graph(graph) == []
    golden = np.load(FIXTURES / Path(name).with_suffix(".npz"))
    found = evaluate(graph, *(golden[f"x{i}"] for i in range(len(graph.inputs))))
    assert len(found) == sum(key.startswith("y") for key in golden)
    for index, value in enumerate(found):
        expected = golden[f"y{index}"]
        assert value.shape == expected.shape
        assert np.abs(value - expected).max() <= 1e-5 * np.abs(expected).max()


def test_consecutive_sequence_layers_share_one_image() -> None:
    """One Reshape into [1, w, 1, c] where the sequence enters, one where it leaves; none in between."""
    graph = load_keras(FIXTURES / "sequences.keras")
    reshapes = [node for node in graph.nodes if node.op == "reshape"]
    assert [node.inputs[0] for node in reshapes] == [graph.inputs[0], "conv1d_2"]


def test_a_layer_called_twice_has_one_set_of_weights() -> None:
    graph = load_keras(FIXTURES / "nested.keras")
    convolutions = [node for node in graph.nodes if node.source == "layer 'shared_stem' (Conv2D)"]
    assert [node.outputs for node in convolutions] == [("shared_stem",), ("shared_stem_1",)]
    assert convolutions[0].inputs[1:] == convolutions[1].inputs[1:]


def test_depthwise_channels_are_input_channel_times_multiplier_plus_index(tmp_path: Path) -> None:
    """kernel[0, 0, c, m] = 10 c + m, input all ones: the output is the kernel in channel order."""
    kernel = np.array([[[[0, 1], [10, 11], [20, 21]]]], np.float32)
    config = {"name": "dw", "kernel_size": [1, 1], "depth_multiplier": 2, "use_bias": False}
    path = small_model(tmp_path, "DepthwiseConv2D", config, [1, 1, 3], [kernel])
    (found,) = evaluate(load_keras(path), np.ones((1, 1, 1, 3), np.float32))
    assert found.ravel().tolist() == [0, 1, 10, 11, 20, 21]


def test_normalization_by_one_number(tmp_path: Path) -> None:
    """axis=None is stored as an empty list: (5 − 1) / √4 = 2"""
    weights = [np.float32(1), np.float32(4), np.int64(9)]
    path = small_model(tmp_path, "Normalization", {"name": "n", "axis": []}, [2, 2], weights)
    (found,) = evaluate(load_keras(path), np.full((1, 2, 2), 5, np.float32))
    assert found.ravel().tolist() == [2, 2, 2, 2]


def test_batch_normalization_by_hand(tmp_path: Path) -> None:
    """γ (x − μ) / √(σ² + ε) + β = 2 (5 − 1) / √(3 + 1) − 3 = 1"""
    weights = [np.array([value], np.float32) for value in (2, -3, 1, 3)]
    path = small_model(tmp_path, "BatchNormalization", {"name": "bn", "epsilon": 1.0}, [1], weights)
    (found,) = evaluate(load_keras(path), np.array([[5]], np.float32))
    assert found.tolist() == [[1.0]]


@pytest.mark.parametrize("shape", [[4], [5, 4], [3, 2, 4]])
def test_layer_normalization_by_hand(tmp_path: Path, shape: list[int]) -> None:
    """γ (x − μ) / √(σ² + ε) + β over the last axis."""
    gamma, beta = np.array([1, 2, 3, -1], np.float32), np.array([0, 1, -1, 2], np.float32)
    config = {"name": "layer_normalization", "axis": [-1], "epsilon": 0.5}
    path = small_model(tmp_path, "LayerNormalization", config, shape, [gamma, beta])
    x = np.random.default_rng(4).normal(1, 2, (3, *shape)).astype(np.float32)
    (found,) = evaluate(load_keras(path), x)
    root = np.sqrt(x.var(axis=-1, keepdims=True) + 0.5)
    np.testing.assert_allclose(found, gamma * (x - x.mean(axis=-1, keepdims=True)) / root + beta, atol=1e-5)


def test_causal_convolution_looks_back_only(tmp_path: Path) -> None:
    """kernel (1, 10), dilation 2: y[t] = x[t − 2] + 10 x[t]"""
    kernel = np.array([[[1]], [[10]]], np.float32)
    config = {
        "name": "c",
        "filters": 1,
        "kernel_size": [2],
        "dilation_rate": [2],
        "padding": "causal",
        "use_bias": False,
    }
    path = small_model(tmp_path, "Conv1D", config, [4, 1], [kernel])
    (found,) = evaluate(load_keras(path), np.array([[[1], [2], [3], [4]]], np.float32))
    assert found.ravel().tolist() == [10, 20, 31, 42]


def test_hard_sigmoid_means_what_the_file_s_keras_means(tmp_path: Path) -> None:
    """Keras 2: 0.2 x + 0.5; Keras 3: x / 6 + 0.5. Without a version, a zip is one of Keras 3."""
    path = small_model(tmp_path, "Activation", {"name": "h", "activation": "hard_sigmoid"}, [3], [])
    x = np.array([[-2.75, 0, 1.5]], np.float32)
    newer, older = [1 / 24, 0.5, 0.75], [0, 0.5, 0.8]
    np.testing.assert_allclose(evaluate(load_keras(path), x)[0], [newer], rtol=1e-6)
    for version, expected in (("2.15.0", older), ("3.4.1", newer), (None, newer), ("?", newer)):
        with zipfile.ZipFile(path, "a") as file:
            file.writestr("metadata.json", json.dumps({"keras_version": version}))
        np.testing.assert_allclose(evaluate(load_keras(path), x)[0], [expected], rtol=1e-6)
        path = small_model(tmp_path, "Activation", {"name": "h", "activation": "hard_sigmoid"}, [3], [])


def test_a_layer_as_activation(tmp_path: Path) -> None:
    """Dense(…, activation=LeakyReLU(0.25)), as Keras 3 writes it and, with alpha, Keras 2."""
    x, kernel = np.array([[-4, 3]], np.float32), np.eye(2, dtype=np.float32)
    for key in ("negative_slope", "alpha"):
        inner = {"class_name": "LeakyReLU", "config": {"name": "leaky", key: 0.25}, "registered_name": None}
        config = {"name": "d", "units": 2, "use_bias": False, "activation": inner}
        graph = load_keras(small_model(tmp_path, "Dense", config, [2], [kernel]))
        assert evaluate(graph, x)[0].tolist() == [[-1, 3]]
    config = {"name": "a", "activation": {"class_name": "ReLU", "config": {"max_value": 2.0, "negative_slope": 0.5}}}
    assert evaluate(load_keras(small_model(tmp_path, "Activation", config, [2], [])), x)[0].tolist() == [[-2, 2]]


@pytest.mark.parametrize(("version", "share"), [("2.9.0", 0.8), ("3.0.5", 0.75), (None, 0.8)])
def test_hard_sigmoid_of_an_hdf5_file(tmp_path: Path, version: str | None, share: float) -> None:
    layers = [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 1], "name": "in"}},
        {"class_name": "Activation", "config": {"name": "h", "activation": "hard_sigmoid"}},
    ]
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"layers": layers}})
        file.create_group("model_weights")
        if version is not None:
            file.attrs["keras_version"] = version
    np.testing.assert_allclose(evaluate(load_keras(path), np.full((1, 1), 1.5, np.float32))[0], [[share]], rtol=1e-6)


def test_indices_become_int32_and_run_in_firmware(tmp_path: Path) -> None:
    pytest.importorskip("tflite_micro")
    golden = np.load(FIXTURES / "indices.npz")
    graph = load_keras(FIXTURES / "indices.keras")
    assert [str(graph.tensors[name].dtype) for name in graph.inputs] == ["int32", "int32", "float32"]
    np.savez(tmp_path / "x.npz", **{name: golden[f"x{i}"] for i, name in enumerate(graph.inputs)})
    model, data = FIXTURES / "indices.keras", tmp_path / "x.npz"
    pipeline.build(model, board="host", calibration=data, output=tmp_path / "out", count=8)
    assert all(found.comparison.equal for found in verbs.verify(tmp_path / "out", against="tflm"))


def test_functions_without_an_operator_in_firmware_and_tflite_micro(tmp_path: Path) -> None:
    """Each becomes a table; the exported file computes the same, byte by byte."""
    pytest.importorskip("tflite_micro")
    golden = np.load(FIXTURES / "functions.npz")
    np.savez(tmp_path / "data.npz", input_layer=golden["x0"])
    built = pipeline.build(
        FIXTURES / "functions.keras",
        board="host",
        calibration=tmp_path / "data.npz",
        output=tmp_path / "out",
        count=8,
    )
    assert built.report["verification"]["differing_bytes"] == 0
    assert all(found.comparison.equal for found in verbs.verify(tmp_path / "out", against="tflm"))
