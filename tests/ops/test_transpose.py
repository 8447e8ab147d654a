"""TRANSPOSE: axes on paper, the laws on permutations of every rank and type."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.laws import Case, c_law, file_law, float_law, int_law, parametrize
from tests.ops.refusals import broken
from tinyptq.errors import TinyptqError
from tinyptq.graph import Tensor
from tinyptq.ops import transpose
from tinyptq.ops.base import TfliteOperator
from tinyptq.ops.copies import Copy, Loop, permuted_copy
from tinyptq.ops.transpose import Transpose

CASES = (
    Case("matrix", Transpose((0, 2, 1)), ((1, 5, 7),), "columns become rows"),
    Case("channels-first", Transpose((0, 3, 1, 2)), ((1, 4, 5, 3),), "as PyTorch wants images"),
    Case("channels-last", Transpose((0, 2, 3, 1)), ((1, 3, 4, 5),), "and back"),
    Case("rows-columns", Transpose((0, 2, 1, 3)), ((1, 4, 5, 3),), "channels stay together: memcpy"),
    Case("backwards", Transpose((0, 3, 2, 1)), ((1, 2, 3, 4),), "nothing is contiguous"),
    Case("identity", Transpose((0, 1, 2)), ((1, 4, 5),), "one run"),
    Case("five", Transpose((0, 2, 1, 4, 3)), ((1, 2, 3, 4, 5),), "five dimensions, as a ShuffleNet has"),
    Case("int16", Transpose((0, 2, 1)), ((1, 5, 7),), "any type", dtype="int16"),
)


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(transpose.OP, case)


@parametrize(CASES)
def test_integers_equal_tflm(case: Case) -> None:
    int_law(transpose.OP, case)


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(transpose.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(transpose.OP, CASES, tmp_path)


def test_on_paper() -> None:
    x = np.array([[[1, 2, 3], [4, 5, 6]]], np.float32)
    assert transpose.run_float(Transpose((0, 2, 1)), x).tolist() == [[[1, 4], [2, 5], [3, 6]]]


def test_neighbours_that_stay_together_are_one_run() -> None:
    assert permuted_copy((1, 4, 5, 6, 7), (0, 2, 1, 3, 4)) == Copy(0, 0, (Loop(5, 42, 168), Loop(4, 210, 42)), 42)


def test_int32_in_c(tmp_path: Path) -> None:
    """A type that TFLM's TRANSPOSE refuses."""
    c_law(transpose.OP, (Case("int32", Transpose((0, 3, 1, 2)), ((1, 4, 5, 3),), "any type", dtype="int32"),), tmp_path)


def test_constraints() -> None:
    assert broken(transpose.OP, Transpose((0, 2, 1)), (1, 3, 4)) == []
    assert broken(transpose.OP, Transpose((1, 0)), (1, 3)) == ["keeps_batch"]


@pytest.mark.parametrize("wanted", [[0, 1], [0, 1, 1], [0, 1, 3], [0, 1, -4]])
def test_hostile_permutations_are_refused(wanted: list[int]) -> None:
    x = Tensor("x", (1, 2, 3), np.dtype(np.float32))
    operand = Tensor("permutation", (len(wanted),), np.dtype(np.int32), np.array(wanted, np.int32))
    with pytest.raises(TinyptqError):
        transpose.read_tflite(TfliteOperator("TRANSPOSE", None, (x, operand), (x,)))
