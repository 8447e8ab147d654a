"""TILE: repetitions on paper; LiteRT's integers, because TFLM has no such operator."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.laws import Case, c_law, file_law, float_law, parametrize
from tests.ops.refusals import broken
from tinyptq.ops import tile
from tinyptq.ops.tile import Tile

CASES = (
    Case("time", Tile((1, 4, 1)), ((1, 1, 3),), "a vector for every step, as RepeatVector makes it"),
    Case("image", Tile((1, 2, 3, 1)), ((1, 2, 2, 3),), "rows and columns"),
    Case("channels", Tile((1, 1, 1, 5)), ((1, 2, 2, 1),), "one element many times"),
    Case("all", Tile((1, 2, 3, 2)), ((1, 3, 2, 2),), "every axis but the batch"),
    Case("nothing", Tile((1, 1, 1)), ((1, 5, 3),), "once"),
)


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(tile.OP, case)


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
