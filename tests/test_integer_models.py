"""Files of nothing but integers, some of which stand for no reals: as they are, in firmware and in tflite-micro."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.tiny_tflite import model_bytes
from tinyptq import pipeline, verbs
from tinyptq.graph import QParams, Shape, Tensor
from tinyptq.ops.base import TfliteCode

QUANTIZE, ADD = TfliteCode("QUANTIZE"), TfliteCode("ADD", "AddOptions")
ROW: Shape = (1, 4)


def integers(name: str, dtype: str, scale: float = 0.0, zero_point: int = 0, shape: Shape = ROW) -> Tensor:
    return Tensor(name, shape, np.dtype(dtype), None, QParams.per_tensor(scale, zero_point) if scale else None)


X = integers("x", "int8", 0.1, 3)
NUMBERS = [integers(name, "int32") for name in ("a", "b", "sum")]
FILES = {
    "scale to scale": ([X, integers("y", "int8", 0.2, -3)], [(QUANTIZE, [0], [1])], [0], [1]),
    "int8 to int16": ([X, integers("y", "int16", 0.05)], [(QUANTIZE, [0], [1])], [0], [1]),
    "uint8 to int8": ([integers("u", "uint8", 0.1, 131), X], [(QUANTIZE, [0], [1])], [0], [1]),
    "numbers": (NUMBERS, [(ADD, [0, 1], [2])], [0, 1], [2]),
    "numbers twice": ([*NUMBERS, integers("all", "int32")], [(ADD, [0, 1], [2]), (ADD, [2, 0], [3])], [0, 1], [3]),
    "to numbers": ([X, integers("y", "int32")], [(TfliteCode("CAST"), [0], [1])], [0], [1]),
    "handed on": ([X, integers("y", "int8", 0.1, 3)], [(TfliteCode("ABS"), [0], [1])], [0], [0, 1]),
    "no axis": (
        [integers("x", "int8", 0.1, 3, ()), integers("y", "int8", 0.1, 3, ())],
        [(QUANTIZE, [0], [1])],
        [0],
        [1],
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_integers_alone(name: str, tmp_path: Path) -> None:
    pytest.importorskip("tflite_micro")
    path = tmp_path / "m.tflite"
    path.write_bytes(model_bytes(*FILES[name]))
    built = pipeline.build(path, board="host", output=tmp_path / "out", count=8)
    assert built.report["verification"]["differing_bytes"] == 0
    for found in verbs.verify(tmp_path / "out", count=16, against="tflm"):
        assert found.comparison.equal, found
