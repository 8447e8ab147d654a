"""SPACE_TO_DEPTH: one block on paper, the laws on blocks of 2 and 3."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.laws import Case, c_law, file_law, float_law, int_law, parametrize
from tests.ops.refusals import broken
from tinyptq.ops import space_to_depth
from tinyptq.ops.space_to_depth import SpaceToDepth

CASES = (
    Case("two", SpaceToDepth(2), ((1, 4, 6, 3),), "blocks of 2x2"),
    Case("three", SpaceToDepth(3), ((1, 6, 3, 2),), "blocks of 3x3"),
    Case("thin", SpaceToDepth(2), ((1, 4, 4, 1),), "one channel at one end"),
    Case("nothing", SpaceToDepth(1), ((1, 2, 3, 4),), "blocks of one pixel"),
)


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(space_to_depth.OP, case)


@parametrize(CASES)
def test_integers_equal_tflm(case: Case) -> None:
    int_law(space_to_depth.OP, case)


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(space_to_depth.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(space_to_depth.OP, CASES, tmp_path)


def test_on_paper() -> None:
    """[[1 2], [3 4]] in a block of 2 becomes one pixel of four channels, row by row."""
    x = np.array([[[[1], [2]], [[3], [4]]]], np.float32)
    assert space_to_depth.run_float(SpaceToDepth(2), x).tolist() == [[[[1, 2, 3, 4]]]]


def test_constraints() -> None:
    assert broken(space_to_depth.OP, SpaceToDepth(2), (1, 4, 6, 3)) == []
    assert broken(space_to_depth.OP, SpaceToDepth(2), (1, 4, 5, 3)) == ["whole_blocks"]
    assert broken(space_to_depth.OP, SpaceToDepth(2), (1, 4, 4)) == ["whole_blocks"]


def test_int16_in_c(tmp_path: Path) -> None:
    """TFLM takes int8 only."""
    c_law(space_to_depth.OP, (Case("int16", SpaceToDepth(2), ((1, 4, 6, 3),), "any type", dtype="int16"),), tmp_path)
