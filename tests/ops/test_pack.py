"""PACK: stacks on paper, the laws on every axis."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.laws import Case, c_law, file_law, float_law, int_law, parametrize
from tests.ops.refusals import broken
from tinyptq.ops import pack
from tinyptq.ops.pack import Pack

CASES = (
    Case("steps", Pack(1), ((1, 3), (1, 3), (1, 3)), "vectors become a sequence"),
    Case("last", Pack(2), ((1, 5), (1, 5)), "interleaved"),
    Case("middle", Pack(2), ((1, 2, 3), (1, 2, 3)), "rows interleaved"),
    Case("images", Pack(1), ((1, 2, 3, 2), (1, 2, 3, 2)), "five dimensions"),
    Case("alone", Pack(1), ((1, 4),), "one input"),
    Case("constant", Pack(1), ((1, 4), np.ones((1, 4), np.float32)), "a constant is one of them"),
    Case("int32", Pack(1), ((1, 3), (1, 3)), "any type", dtype="int32"),
)


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(pack.OP, case)


@parametrize(CASES)
def test_integers_equal_tflm(case: Case) -> None:
    int_law(pack.OP, case)


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(pack.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(pack.OP, CASES, tmp_path)


def test_on_paper() -> None:
    a, b = np.array([[1, 2]], np.float32), np.array([[3, 4]], np.float32)
    assert pack.run_float(Pack(1), a, b).tolist() == [[[1, 2], [3, 4]]]
    assert pack.run_float(Pack(2), a, b).tolist() == [[[1, 3], [2, 4]]]


def test_constraints() -> None:
    assert broken(pack.OP, Pack(1), (1, 3), (1, 3)) == []
    assert broken(pack.OP, Pack(0), (1, 3), (1, 3)) == ["inner_axis"]
    assert broken(pack.OP, Pack(1), (1, 3), (1, 4)) == ["equal_shapes"]
