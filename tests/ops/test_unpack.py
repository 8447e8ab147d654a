"""UNPACK: rows on paper, the laws on every axis; several outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.laws import Case, c_law, file_law, float_law, int_law, parametrize
from tests.ops.refusals import broken
from tinyptq.ops import unpack
from tinyptq.ops.unpack import Unpack

CASES = (
    Case("steps", Unpack(1), ((1, 4, 3),), "a sequence becomes vectors"),
    Case("last", Unpack(2), ((1, 5, 2),), "every other element"),
    Case("middle", Unpack(2), ((1, 2, 3, 4),), "rows of an image"),
    Case("alone", Unpack(1), ((1, 1, 4),), "one output"),
    Case("int32", Unpack(1), ((1, 2, 3),), "any type", dtype="int32"),
)


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(unpack.OP, case)


@parametrize(CASES)
def test_integers_equal_tflm(case: Case) -> None:
    int_law(unpack.OP, case)


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(unpack.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(unpack.OP, CASES, tmp_path)


def test_on_paper() -> None:
    x = np.array([[[1, 2], [3, 4]]], np.float32)
    assert [part.tolist() for part in unpack.run_float(Unpack(1), x)] == [[[1, 2]], [[3, 4]]]
    assert [part.tolist() for part in unpack.run_float(Unpack(2), x)] == [[[1, 3]], [[2, 4]]]


def test_constraints() -> None:
    assert broken(unpack.OP, Unpack(1), (1, 3)) == []
    assert broken(unpack.OP, Unpack(0), (1, 3)) == ["inner_axis"]
