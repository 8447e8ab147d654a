"""MIRROR_PAD: both mirrors on paper, the laws on borders up to the widest."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.laws import Case, c_law, file_law, float_law, int_law, parametrize
from tests.ops.refusals import broken
from tinyptq.ops import mirror_pad
from tinyptq.ops.mirror_pad import REFLECT, SYMMETRIC, MirrorPad

CASES = (
    Case("image", MirrorPad((0, 1, 2, 0), (0, 2, 1, 0)), ((1, 4, 5, 3),), "rows, columns and corners"),
    Case("symmetric", MirrorPad((0, 1, 2, 0), (0, 2, 1, 0), SYMMETRIC), ((1, 4, 5, 3),), "the edge twice"),
    Case("widest", MirrorPad((0, 3, 0), (0, 3, 0)), ((1, 4, 2),), "all but the edge"),
    Case("widest-symmetric", MirrorPad((0, 0, 4), (0, 0, 4), SYMMETRIC), ((1, 2, 4),), "everything"),
    Case("all", MirrorPad((0, 1, 1, 1), (0, 0, 1, 2)), ((1, 2, 3, 4),), "every axis but the batch"),
    Case("vector", MirrorPad((0, 2), (0, 1)), ((1, 5),), "two dimensions"),
    Case("nothing", MirrorPad((0, 0), (0, 0)), ((1, 5),), "a border of nothing"),
)


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(mirror_pad.OP, case)


@parametrize(CASES)
def test_integers_equal_tflm(case: Case) -> None:
    int_law(mirror_pad.OP, case)


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(mirror_pad.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(mirror_pad.OP, CASES, tmp_path)


def test_on_paper() -> None:
    x = np.array([[1, 2, 3]], np.float32)
    assert mirror_pad.run_float(MirrorPad((0, 2), (0, 1), REFLECT), x).tolist() == [[3, 2, 1, 2, 3, 2]]
    assert mirror_pad.run_float(MirrorPad((0, 2), (0, 1), SYMMETRIC), x).tolist() == [[2, 1, 1, 2, 3, 3]]


def test_int16_in_c(tmp_path: Path) -> None:
    case = Case("int16", MirrorPad((0, 1, 2, 0), (0, 2, 1, 0)), ((1, 4, 5, 3),), "any type", dtype="int16")
    c_law(mirror_pad.OP, (case,), tmp_path)


def test_constraints() -> None:
    assert broken(mirror_pad.OP, MirrorPad((0, 2), (0, 2)), (1, 3)) == []
    assert broken(mirror_pad.OP, MirrorPad((0, 3), (0, 0)), (1, 3)) == ["mirrorable"]
    assert broken(mirror_pad.OP, MirrorPad((0, 3), (0, 0), SYMMETRIC), (1, 3)) == []
    assert broken(mirror_pad.OP, MirrorPad((1, 0), (0, 0)), (1, 3)) == ["mirrorable"]
