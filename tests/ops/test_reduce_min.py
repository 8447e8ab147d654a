"""REDUCE_MIN: numbers on paper, then the laws over single, joined and separated axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.laws import Case, c_law, file_law, float_law, int_law, parametrize, step_law
from tests.ops.reductions import reduction_cases
from tests.ops.refusals import broken
from tinyptq.graph import QParams
from tinyptq.ops import reduce_min
from tinyptq.ops.base import Operand
from tinyptq.ops.reduce_min import ReduceMin

OP = reduce_min.OP

CASES = reduction_cases(ReduceMin)
WIDE = (
    Case("int16", ReduceMin((1, 3)), ((1, 3, 4, 5),), "two bytes each", dtype="int16"),
    Case("int32", ReduceMin((1,)), ((1, 9),), "four", dtype="int32"),
)


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(OP, case)


@parametrize(CASES)
def test_integers_equal_tflm(case: Case) -> None:
    int_law(OP, case)


@parametrize((*CASES, *WIDE))
def test_integers_are_near_the_floats(case: Case) -> None:
    step_law(OP, case)


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(OP, (*CASES, *WIDE), tmp_path)


def test_on_paper() -> None:
    shared = QParams.per_tensor(0.5, 1)
    params = OP.lower(ReduceMin((1,)), (Operand((1, 3), shared),), (Operand((1,), shared),))
    x = np.array([[5, 7, -2], [127, 126, 127]], np.int8)
    assert OP.run_int(params, x).tolist() == [-2, 126]


def test_refusals() -> None:
    assert broken(OP, ReduceMin((1, 2)), (1, 5, 5, 2)) == []
    assert broken(OP, ReduceMin((0, 1)), (1, 5, 5, 2)) == ["reduces_no_batch"]
    assert broken(OP, ReduceMin(()), (1, 5, 5, 2)) == ["reduces_no_batch"]
    assert broken(OP, ReduceMin((1, 3, 5)), (1, 2, 3, 4, 5, 6)) == ["few_runs"]
