"""DEPTH_TO_SPACE: one block on paper, the laws on blocks of 2 and 3."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.laws import Case, c_law, file_law, float_law, int_law, parametrize
from tests.ops.refusals import broken
from tinyptq.ops import depth_to_space
from tinyptq.ops.depth_to_space import DepthToSpace

CASES = (
    Case("two", DepthToSpace(2), ((1, 2, 3, 12),), "blocks of 2x2"),
    Case("three", DepthToSpace(3), ((1, 2, 1, 18),), "blocks of 3x3"),
    Case("thin", DepthToSpace(2), ((1, 4, 4, 4),), "one channel at one end"),
    Case("nothing", DepthToSpace(1), ((1, 2, 3, 4),), "blocks of one pixel"),
)


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(depth_to_space.OP, case)


@parametrize(CASES)
def test_integers_equal_tflm(case: Case) -> None:
    int_law(depth_to_space.OP, case)


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(depth_to_space.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(depth_to_space.OP, CASES, tmp_path)


def test_on_paper() -> None:
    """Four channels of one pixel become a block of 2, row by row."""
    x = np.array([[[[1, 2, 3, 4]]]], np.float32)
    assert depth_to_space.run_float(DepthToSpace(2), x).tolist() == [[[[1], [2]], [[3], [4]]]]


def test_constraints() -> None:
    assert broken(depth_to_space.OP, DepthToSpace(2), (1, 4, 5, 8)) == []
    assert broken(depth_to_space.OP, DepthToSpace(2), (1, 4, 5, 6)) == ["whole_blocks"]


def test_int16_in_c(tmp_path: Path) -> None:
    """TFLM takes int8 only."""
    c_law(depth_to_space.OP, (Case("int16", DepthToSpace(2), ((1, 2, 3, 12),), "any type", dtype="int16"),), tmp_path)
