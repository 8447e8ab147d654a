"""Whole models in uint8, as converters before 2019 wrote them: byte for byte what LiteRT's reference kernels compute.

tflite-micro runs no such file; on the exported int8 one it must agree too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tiny_tflite import Wiring
from tests.tiny_tflite import model_bytes as write_model
from tinyptq import pipeline, tflm
from tinyptq.frontend.tflite import load_tflite
from tinyptq.graph import Array, QParams, Tensor
from tinyptq.lower import lower
from tinyptq.ops.base import TfliteCode
from tinyptq.passes import normalize
from tinyptq.passes.centre_weights import int8_parts
from tinyptq.passes.shift_uint8 import WARNING
from tinyptq.program import Program
from tinyptq.ptq.imported import imported_recipe
from tinyptq.samples import random_inputs
from tinyptq.simulate import simulate
from tinyptq.verify import verify_against_tflm

UINT8, INT32 = np.dtype(np.uint8), np.dtype(np.int32)
RANDOM = np.random.default_rng(41)
CONV = TfliteCode("CONV_2D", "Conv2DOptions", {"StrideH": 2, "StrideW": 2, "FusedActivationFunction": 3})
DEPTHWISE = TfliteCode(
    "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", {"StrideH": 1, "StrideW": 1, "DepthMultiplier": 2}
)
RESHAPE = TfliteCode("RESHAPE")
DENSE = TfliteCode("FULLY_CONNECTED", "FullyConnectedOptions")


def activation(name: str, scale: float, zero_point: int, *shape: int) -> Tensor:
    return Tensor(name, shape, UINT8, None, QParams.per_tensor(scale, zero_point))


def weights(name: str, zero_point: int, *shape: int, spread: int = 127) -> Tensor:
    """uint8 within zero_point ± spread, the ends among them where the type has them."""
    low, high = max(0, zero_point - spread), min(255, zero_point + spread)
    data = RANDOM.integers(low, high + 1, shape).astype(np.uint8)
    data.reshape(-1)[:2] = low, high
    return Tensor(name, shape, UINT8, data, QParams.per_tensor(0.01, zero_point))


def bias(name: str, count: int, scale: float) -> Tensor:
    data = RANDOM.integers(-2000, 2000, count).astype(np.int32)
    return Tensor(name, (count,), INT32, data, QParams.per_tensor(scale))


def network(zero_points: tuple[int, int, int], spread: int = 255) -> bytes:
    """Convolution with ReLU6, depthwise with two filters a channel, dense: every weight tensor with its zero point."""
    first, second, third = zero_points
    tensors = [
        activation("x", 0.02, 100, 1, 9, 7, 3),
        weights("w1", first, 4, 3, 3, 3, spread=spread),
        bias("b1", 4, 0.0002),
        activation("a", 6 / 255, 0, 1, 5, 4, 4),
        weights("w2", second, 1, 3, 3, 8, spread=spread),
        bias("b2", 8, 6 / 25500),
        activation("b", 0.08, 140, 1, 5, 4, 8),
        Tensor("shape", (2,), INT32, np.array([1, 160], np.int32)),
        activation("flat", 0.08, 140, 1, 160),
        weights("w3", third, 6, 160, spread=spread),
        bias("b3", 6, 0.0008),
        activation("y", 0.5, 117, 1, 6),
    ]
    wiring: Wiring = [
        (CONV, [0, 1, 2], [3]),
        (DEPTHWISE, [3, 4, 5], [6]),
        (RESHAPE, [6, 7], [8]),
        (DENSE, [8, 9, 10], [11]),
    ]
    return write_model(tensors, wiring, [0], [11])


def imported(model: bytes) -> Program:
    graph = normalize(load_tflite(model))
    return lower(graph, imported_recipe(graph), "0" * 64)


def litert_tensors(model: bytes, samples: Array, names: tuple[str, ...]) -> dict[str, Array]:
    """uint8 tensors [n, ...] by LiteRT's reference kernels."""
    litert: Any = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")
    interpreter = litert.Interpreter(
        model_content=model,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    places = {detail["name"]: detail["index"] for detail in interpreter.get_tensor_details()}
    found: dict[str, list[Array]] = {name: [] for name in names}
    for sample in samples:
        interpreter.set_tensor(places["x"], sample[None])
        interpreter.invoke()
        for name, parts in found.items():
            parts.append(interpreter.get_tensor(places[name]))
    return {name: np.concatenate(parts) for name, parts in found.items()}


@pytest.mark.parametrize(
    ("zero_points", "spread"),
    [((128, 128, 128), 127), ((117, 141, 122), 255), ((0, 255, 1), 255)],
    ids=["centred", "usual", "one-sided"],
)
def test_every_layer_equals_litert_reference(zero_points: tuple[int, int, int], spread: int) -> None:
    model = network(zero_points, spread)
    program = imported(model)
    inputs = random_inputs(program, 12)
    ours = simulate(program, inputs)
    theirs = litert_tensors(model, (inputs["x"].astype(np.int16) + 128).astype(np.uint8), ("a", "b", "y"))
    for name, expected in theirs.items():
        np.testing.assert_array_equal(ours[name].astype(np.int16) + 128, expected, err_msg=name)


def test_the_exported_model_equals_tflm() -> None:
    pytest.importorskip("tflite_micro")
    program = imported(network((117, 141, 122)))
    assert verify_against_tflm(program, simulate(program, random_inputs(program, 8))).equal


def test_weights_that_fit_int8_cost_nothing() -> None:
    layers = [layer.op for layer in imported(network((128, 128, 128), 127)).layers]
    assert layers == ["conv_2d", "depthwise_conv_2d", "reshape", "fully_connected"]


def test_firmware_equals_simulator_and_the_shift_is_told(tmp_path: Path) -> None:
    path = tmp_path / "old.tflite"
    path.write_bytes(network((117, 141, 122)))
    report = pipeline.build(path, board="host", output=tmp_path / "out", count=4).report
    assert report["verification"]["differing_bytes"] == 0
    assert WARNING in report["warnings"]


def int8_layer(code: TfliteCode, zero_point: int, *shapes: tuple[int, ...]) -> bytes:
    """One layer in int8 whose weights have a zero point, which TFLite's specification does not know."""
    x, w, y = shapes
    data = RANDOM.integers(-100, 100, w).astype(np.int8)
    tensors = [
        Tensor("x", x, np.dtype(np.int8), None, QParams.per_tensor(0.02, 3)),
        Tensor("w", w, np.dtype(np.int8), data, QParams.per_tensor(0.01, zero_point)),
        bias("b", w[0], 0.0002),
        Tensor("y", y, np.dtype(np.int8), None, QParams.per_tensor(0.1, -4)),
    ]
    return write_model(tensors, [(code, [0, 1, 2], [3])], [0], [3])


@pytest.mark.parametrize("zero_point", [7, -128])
def test_zero_points_of_int8_weights_count_where_tflm_counts_them(zero_point: int) -> None:
    """In a dense layer they do, in a convolution not."""
    pytest.importorskip("tflite_micro")
    dense = int8_layer(DENSE, zero_point, (1, 20), (4, 20), (1, 4))
    image = int8_layer(CONV, zero_point, (1, 9, 7, 3), (4, 3, 3, 3), (1, 5, 4, 4))
    for model in (dense, image):
        program = imported(model)
        inputs = random_inputs(program, 8)
        np.testing.assert_array_equal(simulate(program, inputs)["y"], tflm.run_tflm(model, inputs)["y"])


def test_parts_on_paper() -> None:
    """200 = 127 + 73, −255 = −127 − 127 − 1; nothing is left over where everything fits."""
    parts = int8_parts(np.array([[200, -255, 5]], np.int16))
    assert [part.tolist() for part in parts] == [[[127, -127, 5]], [[73, -127, 0]], [[0, -1, 0]]]
    assert len(int8_parts(np.array([[127, -127]], np.int16))) == 1
    assert len(int8_parts(np.zeros((1, 2), np.int16))) == 1
