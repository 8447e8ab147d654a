"""EMBEDDING_LOOKUP: on paper, against tflite-micro and LiteRT, indices out of the table, and what converters write."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.laws import draw
from tests.tiny_tflite import Wiring
from tests.tiny_tflite import model_bytes as write_model
from tinyptq import pipeline, tflm
from tinyptq.float_run import run_float
from tinyptq.frontend.tflite import load_tflite
from tinyptq.graph import Array, QParams, Tensor
from tinyptq.lower import lower
from tinyptq.ops import embedding_lookup
from tinyptq.ops.base import Operand, TfliteCode
from tinyptq.ops.embedding_lookup import EmbeddingLookup
from tinyptq.passes import normalize
from tinyptq.program import Program
from tinyptq.ptq.imported import imported_recipe
from tinyptq.samples import random_inputs
from tinyptq.simulate import simulate
from tinyptq.verbs import verify

OP = embedding_lookup.OP
FLOAT32, INT8, INT32 = np.dtype(np.float32), np.dtype(np.int8), np.dtype(np.int32)
SCALE = QParams.per_tensor(0.05, 3)
NONE = QParams.per_tensor(1.0)
GATHER = TfliteCode("GATHER", "GatherOptions", {"Axis": 0})
CAST = TfliteCode("CAST")
DEQUANTIZE = TfliteCode("DEQUANTIZE")


def integers(values: Any) -> Array:
    return np.array(values, np.int32)


def table(rows: int, *row: int) -> Tensor:
    data = np.random.default_rng(rows).integers(-128, 128, (rows, *row), np.int8)
    return Tensor("table", data.shape, INT8, data, SCALE)


def float_table(rows: int, *row: int) -> Tensor:
    return Tensor("table", (rows, *row), FLOAT32, draw("table", rows, *row))


def imported(model: bytes) -> Program:
    graph = normalize(load_tflite(model))
    return lower(graph, imported_recipe(graph), "0" * 64)


def test_on_paper() -> None:
    """Rows 2, 0, and the last one for an index beyond it."""
    rows = np.array([[0, 1], [2, 3], [4, 5]], np.float32)
    assert embedding_lookup.run_float(EmbeddingLookup(), integers([[2, 0, 9]]), rows).tolist() == [
        [[4, 5], [0, 1], [4, 5]]
    ]


@pytest.mark.parametrize("row", [(4,), (2, 3), ()], ids=["vectors", "matrices", "numbers"])
def test_gather_of_constant_rows_equals_tflm(row: tuple[int, ...]) -> None:
    tensors = [Tensor("x", (1, 5), INT32), table(7, *row), Tensor("y", (1, 5, *row), INT8, None, SCALE)]
    model = write_model(tensors, [(GATHER, [1, 0], [2])], [0], [2])
    program = imported(model)
    inputs = random_inputs(program, 16)
    assert (inputs["x"].min(), inputs["x"].max()) == (0, 6)
    np.testing.assert_array_equal(simulate(program, inputs)["y"], tflm.run_tflm(model, inputs)["y"])


def test_embedding_lookup_equals_gather() -> None:
    """EMBEDDING_LOOKUP has its operands the other way round, and indices without a batch: they get one."""
    tensors = [Tensor("x", (5,), INT32), table(7, 4), Tensor("y", (5, 4), INT8, None, SCALE)]
    program = imported(write_model(tensors, [(TfliteCode("EMBEDDING_LOOKUP"), [0, 1], [2])], [0], [2]))
    x = integers([[6, 0, 3, 3, 1]])
    assert tensors[1].data is not None
    np.testing.assert_array_equal(simulate(program, {"x": x})["y"][0], tensors[1].data[x[0]])


def quantized_indices() -> tuple[bytes, Array]:
    """What the converter makes of a Keras model whose input is float and whose first layer casts it."""
    scale = QParams.per_tensor(0.117, -128)
    tensors = [
        Tensor("x", (1, 5), INT8, None, scale),
        Tensor("real", (1, 5), FLOAT32),
        Tensor("indices", (1, 5), INT32),
        table(25, 4),
        Tensor("y", (1, 5, 4), INT8, None, SCALE),
    ]
    wiring: Wiring = [(DEQUANTIZE, [0], [1]), (CAST, [1], [2]), (GATHER, [3, 2], [4])]
    rows = tensors[3].data
    assert rows is not None
    return write_model(tensors, wiring, [0], [4]), rows


def test_dequantized_and_cast_indices_equal_tflm() -> None:
    """All 208 bytes that name one of 25 rows (0.117 · 208 = 24.3), through DEQUANTIZE and CAST; then the others."""
    model, rows = quantized_indices()
    program = imported(model)
    assert [layer.op for layer in program.layers] == ["embedding_lookup"]
    valid = (np.arange(208).reshape(-1, 4)[:, [0, 1, 2, 3, 3]] - 128).astype(np.int8)
    found = simulate(program, {"x": valid})["y"]
    np.testing.assert_array_equal(found, tflm.run_tflm(model, {"x": valid})["y"])
    np.testing.assert_array_equal(found, tflm.run_program(program, {"x": valid})["y"])
    beyond = np.full((1, 5), 127, np.int8)
    assert (simulate(program, {"x": beyond})["y"][0] == rows[24]).all()


def test_c_equals_numpy(tmp_path: Path) -> None:
    """Indices of the whole int32 range: what lies outside takes the first or the last row."""
    tensors = [Tensor("x", (1, 6), INT32), table(9, 3), Tensor("y", (1, 6, 3), INT8, None, SCALE)]
    path = tmp_path / "lookup.tflite"
    path.write_bytes(write_model(tensors, [(GATHER, [1, 0], [2])], [0], [2]))
    built = pipeline.build(path, board="host", output=tmp_path / "out", count=8)
    ends = integers([-(2**31), -1, 0, 8, 9, 2**31 - 1])
    np.save(tmp_path / "wild.npy", np.stack([ends, ends[::-1]]))
    (result,) = verify(built.directory, inputs=tmp_path / "wild.npy")
    assert result.comparison.equal and result.comparison.samples == 2


def test_indices_cast_from_floats_are_integers(tmp_path: Path) -> None:
    """A float model whose input Keras casts: the firmware takes int32; its rows are the table's, to half a step."""
    tensors = [
        Tensor("x", (1, 5), FLOAT32),
        Tensor("indices", (1, 5), INT32),
        float_table(7, 4),
        Tensor("y", (1, 5, 4), FLOAT32),
    ]
    path = tmp_path / "cast.tflite"
    path.write_bytes(write_model(tensors, [(CAST, [0], [1]), (GATHER, [2, 1], [3])], [0], [3]))
    samples = np.random.default_rng(1).integers(0, 7, (40, 5), np.int32)
    np.save(tmp_path / "samples.npy", samples)
    built = pipeline.build(path, board="host", calibration=tmp_path / "samples.npy", output=tmp_path / "out", count=8)
    assert built.report["verification"]["differing_bytes"] == 0
    assert "int32_t input[" in (tmp_path / "out" / "src" / "cast.h").read_text()
    graph = normalize(load_tflite(path.read_bytes()))
    data = tensors[2].data
    assert data is not None
    np.testing.assert_array_equal(run_float(graph, {"x": samples})["y"], data[samples])


def test_a_table_in_float16_is_found_behind_its_dequantize() -> None:
    half = Tensor("half", (7, 4), np.dtype(np.float16), draw("half", 7, 4).astype(np.float16))
    tensors = [
        Tensor("x", (1, 5), INT32),
        half,
        Tensor("table", (7, 4), FLOAT32),
        Tensor("y", (1, 5, 4), FLOAT32),
    ]
    graph = normalize(load_tflite(write_model(tensors, [(DEQUANTIZE, [1], [2]), (GATHER, [2, 0], [3])], [0], [3])))
    assert [node.op for node in graph.nodes] == ["embedding_lookup"]


def test_a_lowered_table_keeps_its_bytes() -> None:
    rows = table(3, 2)
    inputs = (Operand((1, 4), NONE, None, INT32), Operand((3, 2), SCALE, rows.data))
    params = OP.lower(EmbeddingLookup(), inputs, (Operand((1, 4, 2), SCALE),))
    x = integers([[2, -5, 1, 2**31 - 1]])
    assert rows.data is not None
    expected = rows.data[[[2, 0, 1, 2]]]
    np.testing.assert_array_equal(embedding_lookup.run_int(params, x), expected)
    assert embedding_lookup.index_range(params) == (0, 2)
    assert embedding_lookup.index_range(replace(params, first=-128, index="int8")) == (-128, -126)
