"""Float operators between integer ones: their 256 values, against tflite-micro on the file as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.tiny_tflite import Wiring
from tests.tiny_tflite import model_bytes as write_model
from tinyptq import pipeline, tflm
from tinyptq.frontend.tflite import load_tflite
from tinyptq.graph import Array, QParams, Tensor
from tinyptq.lower import lower
from tinyptq.ops import function
from tinyptq.ops.base import Operand, TfliteCode
from tinyptq.ops.function import Function
from tinyptq.passes import normalize, simplify
from tinyptq.program import Program
from tinyptq.ptq.imported import imported_recipe
from tinyptq.simulate import simulate
from tinyptq.verify import verify_against_tflm

FLOAT32, INT8, INT32 = np.dtype(np.float32), np.dtype(np.int8), np.dtype(np.int32)
DEQUANTIZE, QUANTIZE = TfliteCode("DEQUANTIZE"), TfliteCode("QUANTIZE")
SUB = TfliteCode("SUB", "SubOptions")
MUL = TfliteCode("MUL", "MulOptions")
EVERY = np.arange(-128, 128).astype(np.int8)
SHAPE = (1, 4, 64)
SCALE = QParams.per_tensor(0.03, -20)
START = (  # something in integers: without it the file is a float model with int8 ends
    Tensor("x", (1, 256), INT8, None, SCALE),
    Tensor("shape", (3,), INT32, np.array(SHAPE, np.int32)),
    Tensor("reshaped", SHAPE, INT8, None, SCALE),
)
RESHAPED: tuple[TfliteCode, list[int], list[int]] = (TfliteCode("RESHAPE"), [0, 1], [2])


def island(*operators: TfliteCode, output: QParams) -> bytes:
    """x → RESHAPE → DEQUANTIZE → one-operand operators → QUANTIZE → y."""
    tensors = [*START, Tensor("real", SHAPE, FLOAT32)]
    wiring: Wiring = [RESHAPED, (DEQUANTIZE, [2], [3])]
    for code in operators:
        tensors.append(Tensor(f"real{len(tensors)}", SHAPE, FLOAT32))
        wiring.append((code, [len(tensors) - 2], [len(tensors) - 1]))
    tensors.append(Tensor("y", SHAPE, INT8, None, output))
    wiring.append((QUANTIZE, [len(tensors) - 2], [len(tensors) - 1]))
    return write_model(tensors, wiring, [0], [len(tensors) - 1])


def imported(model: bytes) -> Program:
    graph = normalize(load_tflite(model))
    return lower(graph, imported_recipe(graph), "0" * 64)


def every_byte(program: Program) -> dict[str, Array]:
    return {program.inputs[0]: EVERY.reshape(1, 256)}


def test_on_paper() -> None:
    """Values that fall from 127: inputs −128, 0 and 127 have the first, the one in the middle, and the last."""
    operand = Operand((1, 3), QParams.per_tensor(1.0))
    params = function.lower(Function(tuple(range(127, -129, -1))), (operand,), (operand,))
    assert function.OP.run_int(params, np.array([[-128, 0, 127]], np.int8)).tolist() == [[127, -1, -128]]


def test_firmware_equals_simulator(tmp_path: Path) -> None:
    path = tmp_path / "island.tflite"
    path.write_bytes(island(TfliteCode("ELU"), output=QParams.per_tensor(0.03, -90)))
    report = pipeline.build(path, board="host", output=tmp_path / "out", count=8).report
    assert report["verification"]["differing_bytes"] == 0


@pytest.mark.parametrize(
    ("operators", "output"),
    [
        ((), QParams.per_tensor(0.021, 7)),
        (("ELU",), QParams.per_tensor(0.03, -90)),
        (("ABS", "SQRT"), QParams.per_tensor(0.01, -128)),
        (("EXP", "NEG", "TANH"), QParams.per_tensor(1 / 128, 0)),
    ],
    ids=["another scale", "elu", "chain", "three"],
)
def test_islands_equal_tflm_in_every_byte(operators: tuple[str, ...], output: QParams) -> None:
    """TFLite Micro has these operators in float: its floats are the authority, for every byte there is."""
    pytest.importorskip("tflite_micro")
    model = island(*map(TfliteCode, operators), output=output)
    program = imported(model)
    assert [layer.op for layer in program.layers] == ["reshape", "function"]
    inputs = every_byte(program)
    ours = simulate(program, inputs)
    np.testing.assert_array_equal(ours["y"], tflm.run_tflm(model, inputs)["y"])
    assert verify_against_tflm(program, ours).equal


def test_an_island_with_numbers_and_two_paths() -> None:
    """x · (1 − x): both operands of the product come from the one DEQUANTIZE."""
    pytest.importorskip("tflite_micro")
    real = [Tensor(name, SHAPE, FLOAT32) for name in ("r", "s", "p")]
    tensors = [
        *START,
        *real,
        Tensor("one", (), FLOAT32, np.array(1, np.float32)),
        Tensor("y", SHAPE, INT8, None, QParams.per_tensor(0.1, 100)),
    ]
    wiring: Wiring = [RESHAPED, (DEQUANTIZE, [2], [3]), (SUB, [6, 3], [4]), (MUL, [3, 4], [5]), (QUANTIZE, [5], [7])]
    model = write_model(tensors, wiring, [0], [7])
    program = imported(model)
    assert [layer.op for layer in program.layers] == ["reshape", "function"]
    inputs = every_byte(program)
    np.testing.assert_array_equal(simulate(program, inputs)["y"], tflm.run_tflm(model, inputs)["y"])


def test_moves_inside_an_island_are_made_on_integers() -> None:
    pytest.importorskip("tflite_micro")
    swapped = (1, 64, 4)
    tensors = [
        *START,
        Tensor("real", SHAPE, FLOAT32),
        Tensor("order", (3,), INT32, np.array([0, 2, 1], np.int32)),
        Tensor("moved", swapped, FLOAT32),
        Tensor("elu", swapped, FLOAT32),
        Tensor("y", swapped, INT8, None, QParams.per_tensor(0.03, -90)),
    ]
    wiring: Wiring = [
        RESHAPED,
        (DEQUANTIZE, [2], [3]),
        (TfliteCode("TRANSPOSE"), [3, 4], [5]),
        (TfliteCode("ELU"), [5], [6]),
        (QUANTIZE, [6], [7]),
    ]
    model = write_model(tensors, wiring, [0], [7])
    program = imported(model)
    assert [layer.op for layer in program.layers] == ["reshape", "transpose", "function"]
    inputs = every_byte(program)
    np.testing.assert_array_equal(simulate(program, inputs)["y"], tflm.run_tflm(model, inputs)["y"])


def test_what_is_no_function_of_one_tensor_stays() -> None:
    """A sum of two tensors that are dequantized apart."""
    tensors = [
        *START,
        Tensor("z", SHAPE, INT8, None, SCALE),
        *(Tensor(name, SHAPE, FLOAT32) for name in ("a", "b", "sum")),
        Tensor("y", SHAPE, INT8, None, SCALE),
    ]
    add = TfliteCode("ADD", "AddOptions")
    wiring: Wiring = [
        RESHAPED,
        (DEQUANTIZE, [2], [4]),
        (DEQUANTIZE, [3], [5]),
        (add, [4, 5], [6]),
        (QUANTIZE, [6], [7]),
    ]
    graph = simplify(load_tflite(write_model(tensors, wiring, [0, 3], [7])))
    assert "add" in [node.op for node in graph.nodes]
