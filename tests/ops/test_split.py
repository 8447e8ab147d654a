"""SPLIT: halves on paper, the laws on every axis; several outputs, the axis operand first."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.laws import Case, c_law, file_law, float_law, int_law, parametrize
from tests.ops.refusals import broken
from tinyptq.ops import split
from tinyptq.ops.split import Split

CASES = (
    Case("channels", Split(3, (2, 2)), ((1, 3, 4, 4),), "two halves, as a ShuffleNet has"),
    Case("rows", Split(1, (2, 2, 2)), ((1, 6, 2, 3),), "one run each"),
    Case("columns", Split(2, (1, 1, 1)), ((1, 2, 3, 4),), "in the middle"),
    Case("vector", Split(1, (4, 4)), ((1, 8),), "two dimensions"),
    Case("alone", Split(1, (4,)), ((1, 4),), "one part"),
    Case("int16", Split(2, (2, 2)), ((1, 3, 4),), "any type", dtype="int16"),
    Case("int32", Split(2, (2, 2)), ((1, 3, 4),), "any type", dtype="int32"),
)


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(split.OP, case)


@parametrize(CASES)
def test_integers_equal_tflm(case: Case) -> None:
    int_law(split.OP, case)


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(split.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(split.OP, CASES, tmp_path)


def test_on_paper() -> None:
    x = np.array([[[1, 2, 3, 4], [5, 6, 7, 8]]], np.float32)
    parts = split.run_float(Split(2, (2, 2)), x)
    assert [part.tolist() for part in parts] == [[[[1, 2], [5, 6]]], [[[3, 4], [7, 8]]]]


def test_constraints() -> None:
    assert broken(split.OP, Split(1, (1, 2)), (1, 3)) == []
    assert broken(split.OP, Split(0, (1, 2)), (3, 3)) == ["inner_axis"]
