"""SPLIT_V: unequal parts on paper and under the laws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.laws import Case, c_law, file_law, float_law, int_law, parametrize
from tests.ops.refusals import broken
from tinyptq.errors import TinyptqError
from tinyptq.graph import Tensor
from tinyptq.ops import split_v
from tinyptq.ops.base import TfliteOperator
from tinyptq.ops.split import Split

CASES = (
    Case("channels", Split(3, (1, 3)), ((1, 3, 4, 4),), "unequal"),
    Case("rows", Split(1, (1, 2, 3)), ((1, 6, 2, 3),), "one run each"),
    Case("gates", Split(1, (3, 3, 3, 3)), ((1, 12),), "as a recurrent cell cuts its gates"),
    Case("int32", Split(2, (1, 3)), ((1, 3, 4),), "any type", dtype="int32"),
)


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(split_v.OP, case)


@parametrize(CASES)
def test_integers_equal_tflm(case: Case) -> None:
    int_law(split_v.OP, case)


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(split_v.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(split_v.OP, CASES, tmp_path)


def test_on_paper() -> None:
    x = np.array([[1, 2, 3]], np.float32)
    assert [part.tolist() for part in split_v.OP.run_float(Split(1, (1, 2)), x)] == [[[1]], [[2, 3]]]


def operator(sizes: list[int], axis: int = -1) -> TfliteOperator:
    x = Tensor("x", (1, 5), np.dtype(np.float32))
    arrays = np.array(sizes, np.int32), np.array(axis, np.int32)
    return TfliteOperator("SPLIT_V", None, (x, *(Tensor("n", a.shape, a.dtype, a) for a in arrays)), (x, x))


def test_one_size_may_be_the_rest() -> None:
    assert split_v.read_tflite(operator([2, -1])) == Split(1, (2, 3))


@pytest.mark.parametrize("sizes", [[2, 2], [5], [6, -1], [-1, -1], [5, 0]])
def test_hostile_sizes_are_refused(sizes: list[int]) -> None:
    with pytest.raises(TinyptqError):
        split_v.read_tflite(operator(sizes))


def test_constraints() -> None:
    assert broken(split_v.OP, Split(0, (1, 2)), (3, 3)) == ["inner_axis"]
