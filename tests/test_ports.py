"""Several inputs and outputs in emulators: split, unpacked, two heads, an intermediate as an output, two types."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.firmware_fixture import require_tools
from tests.tiny_tflite import model_bytes
from tinyptq import pipeline, tflm
from tinyptq.board import load_board
from tinyptq.frontend import load_model
from tinyptq.graph import Array, QParams, Shape, Tensor
from tinyptq.lower import lower
from tinyptq.ops.base import TfliteCode
from tinyptq.passes import normalize
from tinyptq.ptq.imported import imported_recipe
from tinyptq.samples import array_keys, random_inputs
from tinyptq.simulate import simulate
from tinyptq.store import load_program

BOARDS = ("cortex-m55", "cortex-m4", "cortex-m0", "riscv32")
COUNT = 8
STEP, WIDE = QParams.per_tensor(0.05, -3), QParams.per_tensor(2.0**-12)
SHARE = QParams.per_tensor(1 / 256, -128)
LOGISTIC, RELU = TfliteCode("LOGISTIC"), TfliteCode("RELU", version=2)
DENSE = TfliteCode("FULLY_CONNECTED", "FullyConnectedOptions", version=4)
QUANTIZE = TfliteCode("QUANTIZE", version=2)
SPLIT = TfliteCode("SPLIT", "SplitOptions", {"NumSplits": 2}, version=2)
UNPACK = TfliteCode("UNPACK", "UnpackOptions", {"Num": 3, "Axis": 1}, version=2)
ADD = TfliteCode("ADD", "AddOptions", {"PotScaleInt16": False}, version=2)


def tensor(name: str, shape: Shape, qparams: QParams = STEP, dtype: str = "int8", data: Array | None = None) -> Tensor:
    return Tensor(name, shape, np.dtype(dtype), data, qparams)


def weights(rows: int, columns: int) -> Tensor:
    data = np.random.default_rng(rows).integers(-127, 128, (rows, columns)).astype(np.int8)
    return tensor(f"weights{rows}", data.shape, QParams.per_tensor(0.01), data=data)


def axis(index: int) -> Tensor:
    return Tensor("axis", (), np.dtype(np.int32), np.array(index, np.int32))


X = tensor("x", (1, 3, 4))
FLAT = tensor("flat", (1, 12))
# id -> (tensors, operators, inputs, outputs)
GRAPHS = {
    "split, both halves out": (
        [axis(2), X, tensor("left", (1, 3, 2)), tensor("right", (1, 3, 2))],
        [(SPLIT, [0, 1], [2, 3])],
        [1],
        [2, 3],
    ),
    "unpacked, outputs in another order, one read again": (
        [X, *(tensor(f"row{i}", (1, 4)) for i in range(3)), tensor("y", (1, 4), SHARE)],
        [(UNPACK, [0], [1, 2, 3]), (LOGISTIC, [2], [4])],
        [0],
        [3, 4, 1],
    ),
    "two heads": (
        [FLAT, weights(5, 12), weights(3, 12), tensor("a", (1, 5)), tensor("b", (1, 3)), tensor("c", (1, 3), SHARE)],
        [(DENSE, [0, 1], [3]), (DENSE, [0, 2], [4]), (LOGISTIC, [4], [5])],
        [0],
        [5, 3],
    ),
    "an output that is an intermediate": (
        [FLAT, weights(6, 12), tensor("middle", (1, 6)), tensor("y", (1, 6), SHARE), tensor("z", (1, 6))],
        [(DENSE, [0, 1], [2]), (LOGISTIC, [2], [3]), (RELU, [2], [4])],
        [0],
        [2, 3, 4],
    ),
    "two inputs, one of them read twice": (
        [FLAT, tensor("other", (1, 12), QParams.per_tensor(0.1, 9)), tensor("sum", (1, 12)), tensor("y", (1, 12))],
        [(ADD, [0, 1], [2]), (ADD, [2, 1], [3])],
        [0, 1],
        [3, 2],
    ),
    "int8 and int16 in and out": (
        [
            *(FLAT, tensor("wide", (1, 12), WIDE, "int16"), tensor("narrow", (1, 12))),
            *(tensor("sum", (1, 12)), tensor("widened", (1, 12), WIDE, "int16")),
        ],
        [(QUANTIZE, [1], [2]), (ADD, [0, 2], [3]), (QUANTIZE, [3], [4])],
        [0, 1],
        [4, 3],
    ),
}


def write(name: str, folder: Path) -> Path:
    (folder / "ports.tflite").write_bytes(model_bytes(*GRAPHS[name]))
    return folder / "ports.tflite"


@pytest.mark.parametrize("name", GRAPHS)
def test_simulator_equals_tflite_micro(name: str, tmp_path: Path) -> None:
    pytest.importorskip("tflite_micro")
    path = write(name, tmp_path)
    graph = normalize(load_model(path))
    program = lower(graph, imported_recipe(graph), "0" * 64)
    tensors, _, inputs, outputs = GRAPHS[name]
    assert program.inputs == tuple(tensors[i].name for i in inputs)
    assert program.outputs == tuple(tensors[i].name for i in outputs)
    x = random_inputs(program, COUNT)
    expected, actual = tflm.run_tflm(path.read_bytes(), x), simulate(program, x)
    for output in program.outputs:
        np.testing.assert_array_equal(actual[output], expected[output])


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("name", GRAPHS)
def test_firmware_equals_simulator(name: str, board: str, tmp_path: Path) -> None:
    require_tools(load_board(board))
    built = pipeline.build(write(name, tmp_path), board=board, output=tmp_path / "out", count=COUNT)
    checked = built.report["verification"]
    assert (checked["differing_bytes"], checked["inputs"]) == (0, COUNT)
    assert len(built.report["outputs"]) == len(GRAPHS[name][3])


@pytest.mark.parametrize("name", ["host", "riscv32"])
def test_an_input_that_is_an_output_is_copied(name: str, tmp_path: Path) -> None:
    require_tools(load_board(name))
    tensors, operators, inputs, outputs = GRAPHS["two heads"]
    (tmp_path / "m.tflite").write_bytes(model_bytes(tensors, operators, inputs, [*outputs, inputs[0]]))
    built = pipeline.build(tmp_path / "m.tflite", board=name, output=tmp_path / "out", count=COUNT)
    assert built.report["verification"]["differing_bytes"] == 0
    golden = np.load(tmp_path / "out" / "golden.npz")
    program = load_program(tmp_path / "out" / "program.npz")
    keys = array_keys(program)
    np.testing.assert_array_equal(golden[keys[program.outputs[-1]]], golden[keys[program.inputs[0]]])

