"""The report of what cannot be compiled: each cause once, what would work, and nothing that only follows from it."""

from __future__ import annotations

import numpy as np

from tests.tiny_tflite import Wiring
from tests.tiny_tflite import model_bytes as write_model
from tinyptq.frontend.remedies import REMEDIES
from tinyptq.frontend.tflite import load_tflite
from tinyptq.graph import QParams, Tensor
from tinyptq.obstacles import obstacles
from tinyptq.ops import BY_BUILTIN
from tinyptq.ops.base import TfliteCode
from tinyptq.passes import simplify

FLOAT32, INT8, INT32 = np.dtype(np.float32), np.dtype(np.int8), np.dtype(np.int32)
SCALE = QParams.per_tensor(0.1)
SHAPE = (1, 2, 3)
DEQUANTIZE, QUANTIZE = TfliteCode("DEQUANTIZE"), TfliteCode("QUANTIZE")
ADD = TfliteCode("ADD", "AddOptions")


def integer(name: str) -> Tensor:
    return Tensor(name, SHAPE, INT8, None, SCALE)


def report(tensors: list[Tensor], wiring: Wiring, inputs: list[int], outputs: list[int]) -> list[str]:
    return obstacles(simplify(load_tflite(write_model(tensors, wiring, inputs, outputs))))


def test_float_operators_amid_integers_are_named_not_the_conversions_around_them() -> None:
    tensors = [*map(integer, "xzy"), *(Tensor(name, SHAPE, FLOAT32) for name in ("a", "b", "sum")), integer("end")]
    wiring: Wiring = [
        (ADD, [0, 1], [2]),
        (DEQUANTIZE, [0], [3]),
        (DEQUANTIZE, [2], [4]),
        (ADD, [3, 4], [5]),
        (QUANTIZE, [5], [6]),
    ]
    (found,) = report(tensors, wiring, [0, 1], [6])
    assert found.startswith("ADD computes in floats between integer operators: let the converter quantize it too")
    assert "operator 3 'sum'" in found


def test_an_unknown_operator_amid_integers_is_the_only_obstacle() -> None:
    """Not the reshapes around it, nor the conversions."""
    tensors = [
        integer("x"),
        integer("sum"),
        Tensor("a", SHAPE, FLOAT32),
        Tensor("b", SHAPE, FLOAT32),
        integer("y"),
    ]
    wiring: Wiring = [
        (ADD, [0, 0], [1]),
        (DEQUANTIZE, [1], [2]),
        (TfliteCode("LOCAL_RESPONSE_NORMALIZATION"), [2], [3]),
        (QUANTIZE, [3], [4]),
    ]
    assert report(tensors, wiring, [0], [4]) == [
        "LOCAL_RESPONSE_NORMALIZATION: no such operator here, "
        "what works: batch normalization, which costs nothing (operator 2 'b')"
    ]


def test_remedies_are_for_operators_that_are_not_here() -> None:
    assert not set(REMEDIES) & set(BY_BUILTIN)
