"""REVERSE_V2: an axis on paper, the laws on one axis and on several."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.laws import Case, c_law, file_law, float_law, int_law, parametrize
from tests.ops.refusals import broken
from tinyptq.ops import reverse_v2
from tinyptq.ops.reverse_v2 import ReverseV2

CASES = (
    Case("time", ReverseV2((1,)), ((1, 7, 3),), "rows stay whole"),
    Case("channels", ReverseV2((3,)), ((1, 2, 3, 4),), "single elements"),
    Case("columns", ReverseV2((2,)), ((1, 2, 3, 4),), "a mirrored image"),
    Case("int16", ReverseV2((1,)), ((1, 7, 3),), "any type", dtype="int16"),
)


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(reverse_v2.OP, case)


@parametrize(CASES)
def test_integers_equal_tflm(case: Case) -> None:
    int_law(reverse_v2.OP, case)


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(reverse_v2.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(reverse_v2.OP, CASES, tmp_path)


def test_on_paper() -> None:
    x = np.array([[[1, 2, 3], [4, 5, 6]]], np.float32)
    assert reverse_v2.run_float(ReverseV2((1, 2)), x).tolist() == [[[6, 5, 4], [3, 2, 1]]]


def test_two_axes_in_c(tmp_path: Path) -> None:
    """TFLite takes one axis at a time, or neighbours."""
    c_law(reverse_v2.OP, (Case("two", ReverseV2((1, 3)), ((1, 2, 3, 4),), "apart"),), tmp_path)


def test_constraints() -> None:
    assert broken(reverse_v2.OP, ReverseV2((1,)), (1, 3)) == []
    assert broken(reverse_v2.OP, ReverseV2((0, 1)), (1, 3)) == ["inner_axes"]
    assert broken(reverse_v2.OP, ReverseV2(()), (1, 3)) == ["inner_axes"]
