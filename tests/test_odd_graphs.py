"""Graphs no exporter writes, yet a file can hold: built and proved, or refused in one line that says why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.tiny_tflite import model_bytes
from tinyptq import litert, pipeline
from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, QParams, Tensor
from tinyptq.ops.base import TfliteCode

FLOAT = np.dtype(np.float32)
LOGISTIC, RELU = TfliteCode("LOGISTIC"), TfliteCode("RELU")
DENSE = TfliteCode("FULLY_CONNECTED", "FullyConnectedOptions")


def vector(name: str, data: Array | None = None) -> Tensor:
    return Tensor(name, (1, 4), FLOAT, data)


def build(tmp_path: Path, model: bytes) -> pipeline.Built:
    (tmp_path / "m.tflite").write_bytes(model)
    return pipeline.build(tmp_path / "m.tflite", board="host", calibration="random", output=tmp_path / "out")


def refused(tmp_path: Path, model: bytes, words: str) -> None:
    with pytest.raises(TinyptqError, match=words):
        build(tmp_path, model)
    assert [path.name for path in tmp_path.iterdir()] == ["m.tflite"]


def test_input_no_layer_reads(tmp_path: Path) -> None:
    """It stays in the signature, and the C is still clean under -Wunused-parameter."""
    tensors = [vector("x"), vector("spare"), vector("y")]
    built = build(tmp_path, model_bytes(tensors, [(LOGISTIC, [0], [2])], [0, 1], [2]))
    assert built.report["verification"]["differing_bytes"] == 0
    assert "(void)input1; /* no layer reads it */" in (built.directory / "src" / "m.c").read_text()


@pytest.mark.parametrize("last", [LOGISTIC, RELU], ids=["apart", "fusible"])
def test_output_that_another_layer_reads(last: TfliteCode, tmp_path: Path) -> None:
    """It is an output with its own bytes: a following relu must not be fused into it."""
    weights = Tensor("w", (4, 4), FLOAT, np.eye(4, dtype=np.float32))
    tensors = [vector("x"), weights, vector("middle"), vector("y")]
    built = build(tmp_path, model_bytes(tensors, [(DENSE, [0, 1], [2]), (last, [2], [3])], [0], [2, 3]))
    assert [layer["op"] for layer in built.report["layers"]] == ["fully_connected", last.builtin.lower()]
    assert built.report["verification"]["differing_bytes"] == 0


@pytest.mark.parametrize(
    ("inputs", "outputs", "words"),
    [
        ([0], [1, 1], "listed as output more than once.*'y'"),
        ([0, 0], [1], "listed as input more than once.*'x'"),
    ],
)
def test_ends_that_repeat(inputs: list[int], outputs: list[int], words: str, tmp_path: Path) -> None:
    refused(tmp_path, model_bytes([vector("x"), vector("y")], [(LOGISTIC, [0], [1])], inputs, outputs), words)


def test_no_input(tmp_path: Path) -> None:
    tensors = [vector("x", np.ones((1, 4), np.float32)), vector("y")]
    refused(tmp_path, model_bytes(tensors, [(LOGISTIC, [0], [1])], [], [1]), "the model has no input")


@pytest.mark.filterwarnings("error")
def test_float_result_that_is_infinite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finite weights, infinite sums: no range can be chosen, and NumPy's own warning is not the complaint."""
    monkeypatch.setattr(litert, "RUNTIMES", ())
    weights = Tensor("w", (4, 4), FLOAT, np.full((4, 4), 3e38, np.float32))
    model = model_bytes([vector("x"), weights, vector("y")], [(DENSE, [0, 1], [2])], [0], [2])
    refused(tmp_path, model, "operator 0 'y': fully_connected yields infinity")


@pytest.mark.parametrize(
    ("scale", "zero_point", "words"),
    [(0.0, 0, "the scale of a tensor is zero"), (0.1, 300, "zero point 300 is no int8")],
)
def test_quantized_tensor_that_means_nothing(scale: float, zero_point: int, words: str, tmp_path: Path) -> None:
    int8, qparams = np.dtype(np.int8), QParams.per_tensor(0.1)
    tensors = [
        Tensor("x", (1, 4), int8, None, QParams.per_tensor(scale, zero_point)),
        Tensor("w", (4, 4), int8, np.eye(4, dtype=np.int8), qparams),
        Tensor("y", (1, 4), int8, None, qparams),
    ]
    refused(tmp_path, model_bytes(tensors, [(DENSE, [0, 1], [2])], [0], [2]), words)
