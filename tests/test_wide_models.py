"""16x8 models, imported: equal to tflite-micro in every layer, the firmware equal to the simulator on every core."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.c_model import run_c_model
from tests.tiny_tflite import write_layer
from tests.wide_models import INT16, wide_elements, wide_network, wide_sequence
from tinyptq import pipeline, tflm, verbs
from tinyptq.errors import TinyptqError
from tinyptq.frontend.tflite import load_tflite
from tinyptq.graph import QParams, Shape, Tensor
from tinyptq.kernels import candidates
from tinyptq.lower import lower
from tinyptq.ops.base import TfliteCode
from tinyptq.passes import normalize
from tinyptq.program import Program
from tinyptq.ptq.imported import imported_recipe
from tinyptq.samples import random_inputs
from tinyptq.simulate import simulate
from tinyptq.verify import checkpoints, compare

BOARDS = ("cortex-m55", "cortex-m4", "cortex-m0", "riscv32")
MODELS = {"network": wide_network(), "sequence": wide_sequence(), "elements": wide_elements()}
LAYERS = {"network": 8, "sequence": 3, "elements": 18}


def imported(model: str) -> Program:
    graph = normalize(load_tflite(MODELS[model], "wide"))
    return lower(graph, imported_recipe(graph), "0" * 64)


@pytest.mark.parametrize("model", MODELS)
def test_simulator_equals_tflm_on_the_file_and_on_the_exported_one(model: str) -> None:
    pytest.importorskip("tflite_micro")
    program = imported(model)
    inputs = random_inputs(program, 32)
    simulated = simulate(program, inputs)
    for actual in (tflm.run_tflm(MODELS[model], inputs), tflm.run_program(program, inputs)):
        comparison = compare(simulated, actual, checkpoints(program))
        assert comparison.layers == len(program.layers) == LAYERS[model]
        assert comparison.equal, [str(m) for m in comparison.mismatches]


@pytest.mark.parametrize("model", MODELS)
def test_the_models_say_something(model: str) -> None:
    """Every layer's outputs are spread over their range."""
    program = imported(model)
    tensors = simulate(program, random_inputs(program, 32))
    values = {layer.name: np.unique(tensors[layer.outputs[0]]) for layer in program.layers}
    assert min(len(found) for found in values.values()) > 200, {name: len(found) for name, found in values.items()}


def test_sums_of_both_widths_are_there() -> None:
    widths = [getattr(layer.params, "accumulator", None) for layer in imported("network").layers]
    assert (widths.count("int32"), widths.count("int64")) == (5, 1)


@pytest.mark.parametrize("model", MODELS)
def test_tuned_kernels_leave_int16_alone(model: str) -> None:
    for layer in imported(model).layers:
        assert {kernel.isa for kernel in candidates(layer, ["arm_mve", "arm_dsp", "portable"])} == {"portable"}


@pytest.mark.parametrize("model", MODELS)
def test_c_equals_simulator(model: str, tmp_path: Path) -> None:
    """On the host, under ASan and UBSan."""
    program = imported(model)
    inputs = random_inputs(program, 6)
    assert compare(simulate(program, inputs), run_c_model(program, inputs, tmp_path), checkpoints(program)).equal


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("model", MODELS)
def test_firmware_equals_simulator(model: str, board: str, tmp_path: Path) -> None:
    path = tmp_path / "wide.tflite"
    path.write_bytes(MODELS[model])
    built = pipeline.build(path, board=board, output=tmp_path / "out", count=8)
    assert built.report["verification"]["differing_bytes"] == 0
    assert built.report["verification"]["layers"] == len(built.report["layers"]) == LAYERS[model]
    pytest.importorskip("tflite_micro")
    *_, against = verbs.verify(built.directory, against="tflm")
    assert against.comparison.samples == 8 and against.comparison.equal, against.as_json()


def single(builtin: str, options: str, weights: Tensor, bias: Tensor | None, outputs: Shape, **fields: int) -> bytes:
    """A layer from int16 [1, 4, 4, 2]."""
    image = Tensor("image", (1, 4, 4, 2), INT16, None, QParams.per_tensor(0.001))
    result = Tensor("result", outputs, INT16, None, QParams.per_tensor(0.01))
    operands = (image, weights) if bias is None else (image, weights, bias)
    return write_layer((TfliteCode(builtin, options, fields),), operands, (result,))


@pytest.mark.parametrize("point", [0, 7, -128])
def test_zero_points_of_a_matrix_count(point: int) -> None:
    """As tflite-micro does it, whose convolutions ignore them."""
    pytest.importorskip("tflite_micro")
    data = np.random.default_rng(1).integers(-128, 128, (5, 32)).astype(np.int8)
    weights = Tensor("weights", data.shape, data.dtype, data, QParams.per_tensor(0.01, point))
    model = single("FULLY_CONNECTED", "FullyConnectedOptions", weights, None, (1, 5))
    graph = normalize(load_tflite(model, "matrix"))
    program = lower(graph, imported_recipe(graph), "0" * 64)
    inputs = random_inputs(program, 16)
    expected = tflm.run_tflm(model, inputs)["result"]
    assert np.array_equal(simulate(program, inputs)[program.outputs[0]], expected)


def test_a_bias_tflite_micro_would_misread_is_refused() -> None:
    """It reads 64 bits for each of a depthwise convolution's, whatever the file says."""
    scale = QParams.per_tensor(1e-5)
    weights = Tensor("weights", (1, 1, 1, 2), np.dtype(np.int8), np.ones((1, 1, 1, 2), np.int8), scale)
    bias = Tensor("bias", (2,), np.dtype(np.int32), np.ones(2, np.int32), scale)
    fields = {"Padding": 1, "StrideH": 1, "StrideW": 1, "DepthMultiplier": 1}
    model = single("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", weights, bias, (1, 4, 4, 2), **fields)
    with pytest.raises(TinyptqError, match=r"DEPTHWISE_CONV_2D needs: .* beside int16 activations it is int64"):
        normalize(load_tflite(model, "misread"))
