"""SLICE: a box on paper, the laws on boxes of every rank and type."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.laws import Case, c_law, file_law, float_law, int_law, parametrize
from tests.ops.refusals import broken
from tinyptq.errors import TinyptqError
from tinyptq.graph import Tensor
from tinyptq.ops import slice
from tinyptq.ops.base import TfliteOperator
from tinyptq.ops.slice import Slice

CASES = (
    Case("crop", Slice((0, 1, 2, 0), (1, 3, 2, 3)), ((1, 5, 6, 3),), "rows and columns of an image"),
    Case("channels", Slice((0, 0, 0, 1), (1, 4, 5, 2)), ((1, 4, 5, 4),), "some channels"),
    Case("rows", Slice((0, 2, 0, 0), (1, 2, 5, 4)), ((1, 4, 5, 4),), "one run"),
    Case("one", Slice((0, 3), (1, 1)), ((1, 7),), "a single element"),
    Case("sequence", Slice((0, 3, 1), (1, 4, 2)), ((1, 7, 5),), "three dimensions"),
    Case("int16", Slice((0, 3, 1), (1, 4, 2)), ((1, 7, 5),), "any type", dtype="int16"),
    Case("int32", Slice((0, 3, 1), (1, 4, 2)), ((1, 7, 5),), "any type", dtype="int32"),
)


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(slice.OP, case)


@parametrize(CASES)
def test_integers_equal_tflm(case: Case) -> None:
    int_law(slice.OP, case)


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(slice.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(slice.OP, CASES, tmp_path)


def test_on_paper() -> None:
    x = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    assert slice.run_float(Slice((0, 1, 1), (1, 2, 2)), x).tolist() == [[[5, 6], [9, 10]]]


def test_constraints() -> None:
    assert broken(slice.OP, Slice((0, 1), (1, 2)), (1, 4)) == []
    assert broken(slice.OP, Slice((1, 1), (1, 2)), (2, 4)) == ["keeps_batch"]


def operator(begin: list[int], size: list[int]) -> TfliteOperator:
    x = Tensor("x", (1, 5), np.dtype(np.float32))
    numbers = (np.array(values, np.int64) for values in (begin, size))
    operands = (Tensor("n", data.shape, data.dtype, data) for data in numbers)
    return TfliteOperator("SLICE", None, (x, *operands), (x,))


def test_a_size_of_minus_one_is_the_rest() -> None:
    assert slice.read_tflite(operator([0, 2], [1, -1])) == Slice((0, 2), (1, 3))


@pytest.mark.parametrize(("begin", "size"), [([0, 3], [1, 3]), ([0, -1], [1, 1]), ([0, 5], [1, -1]), ([0], [1])])
def test_hostile_boxes_are_refused(begin: list[int], size: list[int]) -> None:
    with pytest.raises(TinyptqError):
        slice.read_tflite(operator(begin, size))
