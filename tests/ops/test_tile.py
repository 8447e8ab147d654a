"""TILE: repetitions on paper; LiteRT's floats, because TFLM has no such operator; TFLM's integers for BROADCAST_TO."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.laws import Case, c_law, file_law, float_law, int_law, parametrize, widened
from tests.ops.refusals import broken
from tinyptq.errors import TinyptqError
from tinyptq.graph import Tensor
from tinyptq.ops import tile
from tinyptq.ops.base import TfliteOperator
from tinyptq.ops.tile import Tile

BROADCAST = (
    Case("time", Tile((1, 4, 1)), ((1, 1, 3),), "a vector for every step, as RepeatVector makes it"),
    Case("channels", Tile((1, 1, 1, 5)), ((1, 2, 2, 1),), "one element many times"),
    Case("nothing", Tile((1, 1, 1)), ((1, 5, 3),), "once"),
)
CASES = (
    *BROADCAST,
    Case("image", Tile((1, 2, 3, 1)), ((1, 2, 2, 3),), "rows and columns"),
    Case("all", Tile((1, 2, 3, 2)), ((1, 3, 2, 2),), "every axis but the batch"),
)


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(tile.OP, case)


@parametrize((*BROADCAST, *widened(BROADCAST), *widened(BROADCAST, "int32")))
def test_integers_equal_tflm(case: Case) -> None:
    int_law(tile.OP, case)


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(tile.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(tile.OP, CASES, tmp_path)


def test_on_paper() -> None:
    x = np.array([[[1, 2], [3, 4]]], np.float32)
    assert tile.run_float(Tile((1, 1, 2)), x).tolist() == [[[1, 2, 1, 2], [3, 4, 3, 4]]]


def test_int16_in_c(tmp_path: Path) -> None:
    c_law(tile.OP, (Case("int16", Tile((1, 2, 3, 1)), ((1, 2, 2, 3),), "any type", dtype="int16"),), tmp_path)


def test_constraints() -> None:
    assert broken(tile.OP, Tile((1, 2)), (1, 3)) == []
    assert broken(tile.OP, Tile((2, 1)), (1, 3)) == ["keeps_batch"]


@pytest.mark.parametrize("shape", [[1, 4], [2, 3, 2, 2], [1, 6, 4], [1, 0, 2]])
def test_hostile_shapes_are_refused(shape: list[int]) -> None:
    x = Tensor("x", (1, 3, 2), np.dtype(np.int8))
    operand = Tensor("shape", (len(shape),), np.dtype(np.int32), np.array(shape, np.int32))
    with pytest.raises(TinyptqError, match="BROADCAST_TO"):
        tile.OP.read_tflite(TfliteOperator("BROADCAST_TO", None, (x, operand), ()))
