"""The exported int8 .tflite: TFLM computes every byte as Op.run_int does, and other readers accept the file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tflite

from tests.programs import (
    EXPLICIT,
    SAME_WINDOW,
    activation,
    assert_equals_tflm,
    bias,
    chain_program,
    qparams,
    random_inputs,
    run_numpy,
    run_numpy_layers,
    single_layer_program,
    tflm_tensors,
    weights,
)
from tests.shared import shared_path
from tinyptq import tflm
from tinyptq.emit.tflite import clean_name, exported_tensor_indices, lay_out, unique_names, write_tflite_model
from tinyptq.errors import TinyptqError
from tinyptq.ops.activation import NONE, RELU, RELU6, RELU_N1_TO_1, Clamp
from tinyptq.ops.conv_2d import Conv2D
from tinyptq.ops.window import Window, make_window
from tinyptq.program import Layer, Program


def conv_program(window: Window, clamp: Clamp = NONE, zero_points: tuple[int, int] = (-3, 7), seed: int = 0) -> Program:
    rng = np.random.default_rng(seed)
    x = activation((1, 9, 8, 3), 0.02, zero_points[0])
    w = weights(rng, (5, *window.kernel, 3), axis=0)
    return single_layer_program(
        "conv_2d", Conv2D(window, clamp), [x, w, bias(rng, x, w)], qparams(0.12, zero_points[1])
    )


WINDOWS = {
    "valid": make_window("valid", (9, 8), (3, 3)),
    "same": make_window("same", (9, 8), (3, 3)),
    "same-stride": make_window("same", (9, 8), (3, 2), (2, 3)),
    "same-dilation": make_window("same", (9, 8), (3, 3), (1, 1), (2, 2)),
    "valid-dilation": make_window("valid", (9, 8), (2, 3), (1, 1), (3, 2)),
    "pointwise": make_window("valid", (9, 8), (1, 1)),
    "explicit": EXPLICIT,
    "explicit-wide": Window((2, 3), (1, 1), (1, 2), 3, 0, 0, 4),
}


@pytest.mark.parametrize("clamp", [NONE, RELU, RELU6, RELU_N1_TO_1], ids=["none", "relu", "relu6", "n1to1"])
@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS.keys())
def test_conv_2d_equals_tflm(window: Window, clamp: Clamp) -> None:
    program = conv_program(window, clamp)
    inputs = random_inputs(np.random.default_rng(1), program, 4)
    assert_equals_tflm(program, inputs)
    assert len(np.unique(run_numpy(program, inputs))) > 10, "a clamped constant proves nothing"


@pytest.mark.parametrize("zero_points", [(-128, 127), (127, -128), (0, 0), (-128, -128), (127, 127)])
@pytest.mark.parametrize("window", [WINDOWS["same"], EXPLICIT], ids=["same", "explicit"])
def test_conv_2d_extreme_zero_points(window: Window, zero_points: tuple[int, int]) -> None:
    program = conv_program(window, zero_points=zero_points)
    assert_equals_tflm(program, random_inputs(np.random.default_rng(2), program, 4))


def test_every_intermediate_tensor_is_kept() -> None:
    program = chain_program(5)
    inputs = random_inputs(np.random.default_rng(4), program, 3)
    expected, actual = run_numpy_layers(program, inputs), tflm_tensors(program, inputs)
    assert list(actual) == ["t0", "t1", "t2", "t3", "t4", "t5"]
    for name, tensor in actual.items():
        np.testing.assert_array_equal(expected[name], tensor, err_msg=name)


def test_run_tflm_by_file_names() -> None:
    program = chain_program(2)
    inputs = random_inputs(np.random.default_rng(4), program, 3)
    by_program = tflm_tensors(program, inputs)
    by_name = tflm.run_tflm(write_tflite_model(program), inputs)
    assert set(by_name) == {*by_program, "layer1/step0"}
    np.testing.assert_array_equal(by_name["t2"], by_program["t2"])


# The file.

HOSTILE = ['a"b*/\n../', "é", "\ud800", "\udfff", "", "\0x", "?x"]


def renamed(program: Program, names: dict[str, str]) -> Program:
    def new(old: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(names.get(n, n) for n in old)

    def layer_of(layer: Layer) -> Layer:
        return replace(layer, inputs=new(layer.inputs), outputs=new(layer.outputs), folded=new(layer.folded))

    values = {names.get(n, n): replace(v, name=names.get(n, n)) for n, v in program.values.items()}
    layers = tuple(map(layer_of, program.layers))
    return replace(program, values=values, layers=layers, inputs=new(program.inputs), outputs=new(program.outputs))


def test_hostile_names() -> None:
    program = chain_program(6)
    hostile = renamed(program, {f"t{k}": name for k, name in enumerate(HOSTILE)})
    hostile = replace(hostile, layers=tuple(replace(layer, name="\ud800") for layer in hostile.layers))
    inputs = random_inputs(np.random.default_rng(4), program, 2)
    expected = run_numpy_layers(program, inputs)
    actual = tflm_tensors(hostile, {HOSTILE[0]: inputs["t0"]})
    for k, name in enumerate(HOSTILE):
        np.testing.assert_array_equal(expected[f"t{k}"], actual[name])
    graph = tflite.Model.GetRootAs(write_tflite_model(hostile), 0).Subgraphs(0)
    names = [graph.Tensors(i).Name().decode("utf-8") for i in range(graph.TensorsLength())]
    assert len(set(names)) == len(names)
    assert all(names) and not any("\0" in name for name in names)


def test_unique_names() -> None:
    assert unique_names(["a", "a", "a_1", "a"]) == ["a", "a_1", "a_1_2", "a_3"]
    assert clean_name("\ud800\0") == "??"
    assert clean_name("") == "unnamed"


def test_file_follows_the_schema() -> None:
    program = chain_program(3)
    content = write_tflite_model(program)
    assert content[4:8] == b"TFL3"
    model = tflite.Model.GetRootAs(content, 0)
    assert model.Version() == 3
    assert model.Description() == b"tinyptq"
    assert model.Buffers(0).DataLength() == 0
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    assert [(c.BuiltinCode(), c.DeprecatedBuiltinCode()) for c in codes] == [(3, 3), (34, 34)]  # CONV_2D, PAD
    graph = model.Subgraphs(0)
    for name, index in exported_tensor_indices(program).items():
        tensor, value = graph.Tensors(index), program.values[name]
        assert tensor.Name().decode() == name
        assert tuple(tensor.ShapeAsNumpy()) == value.shape
        assert value.qparams is not None
        np.testing.assert_array_equal(tensor.Quantization().ScaleAsNumpy(), value.qparams.scale)
        np.testing.assert_array_equal(tensor.Quantization().ZeroPointAsNumpy(), value.qparams.zero_point)
        assert tensor.Quantization().QuantizedDimension() == (value.qparams.axis or 0)
        raw = model.Buffers(tensor.Buffer()).DataAsNumpy()
        if value.data is not None:
            np.testing.assert_array_equal(np.asarray(raw).view(value.dtype).reshape(value.shape), value.data)


def test_constants_are_aligned() -> None:
    content = write_tflite_model(chain_program(4))
    for tensor in lay_out(chain_program(4))[0].tensors:
        if tensor.data is not None and tensor.data.nbytes > 16:
            assert content.index(tensor.data.tobytes()) % 16 == 0


def test_same_program_same_bytes() -> None:
    assert write_tflite_model(chain_program(3)) == write_tflite_model(chain_program(3))


def test_litert_loads_the_file() -> None:
    """LiteRT is no oracle for integers: it must load and run the file, and stay within a step of us here."""
    interpreter_module = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")
    program = chain_program(3)
    inputs = random_inputs(np.random.default_rng(5), program, 1)
    interpreter = interpreter_module.Interpreter(model_content=write_tflite_model(program))
    interpreter.allocate_tensors()
    (detail,) = interpreter.get_input_details()
    assert detail["name"] == "t0" and detail["dtype"] == np.int8
    interpreter.set_tensor(detail["index"], inputs["t0"])
    interpreter.invoke()
    got = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    want = run_numpy_layers(program, inputs)["t3"]
    assert np.abs(got.astype(int) - want).max() <= 3


def test_a_layer_without_bias_gets_zeros() -> None:
    """LiteRT crashes on an int8 convolution that has none."""
    rng = np.random.default_rng(6)
    x, w = activation((1, 9, 8, 3), 0.02, 5), weights(rng, (4, 3, 3, 3), axis=0)
    program = single_layer_program("conv_2d", Conv2D(SAME_WINDOW), [x, w], qparams(0.12, 7))
    graph = tflite.Model.GetRootAs(write_tflite_model(program), 0).Subgraphs(0)
    assert graph.Operators(0).InputsLength() == 3
    scales = graph.Tensors(graph.Operators(0).Inputs(2)).Quantization().ScaleAsNumpy()
    np.testing.assert_allclose(scales, np.float32(0.02) * w.qparams.scale, rtol=1e-6)
    assert_equals_tflm(program, random_inputs(rng, program, 4))


# The oracle.


def test_oracle_runs_a_model_of_others() -> None:
    pytest.importorskip("tflite_micro", reason="tflite-micro is not installed")
    model = shared_path("models", "tflm", "hello_world_int8.tflite").read_bytes()
    graph = tflite.Model.GetRootAs(model, 0).Subgraphs(0)
    name = graph.Tensors(graph.Inputs(0)).Name().decode()
    tensors = tflm.run_tflm(model, {name: np.arange(-128, 128, dtype=np.int8).reshape(256, 1)})
    assert len(tensors) == 4
    output = tensors[graph.Tensors(graph.Outputs(0)).Name().decode()]
    sine = np.sin((np.arange(-128, 128) + 128) * graph.Tensors(graph.Inputs(0)).Quantization().Scale(0))
    scale = graph.Tensors(graph.Outputs(0)).Quantization().Scale(0)
    zero_point = graph.Tensors(graph.Outputs(0)).Quantization().ZeroPoint(0)
    assert np.abs((output[:, 0].astype(float) - zero_point) * scale - sine).max() < 0.2  # the model's own error


def test_without_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tflite_micro", None)
    program = chain_program(1)
    with pytest.raises(TinyptqError) as caught:
        tflm.run_program(program, random_inputs(np.random.default_rng(5), program, 1))
    assert caught.value.reference == "no-tflm"
    assert "pip install" in str(caught.value)
