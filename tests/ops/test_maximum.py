"""MAXIMUM: numbers on paper, the laws on broadcasts and clamps by a constant, every pair of bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.laws import Case, c_law, draw, file_law, float_law, int_law, parametrize, step_law
from tests.ops.exhaustive import exhaustive_law
from tests.ops.refusals import broken
from tinyptq.graph import QParams
from tinyptq.ops import maximum
from tinyptq.ops.base import Operand
from tinyptq.ops.maximum import Maximum

OP = maximum.OP
ATTRS = Maximum()

CASES = (
    Case("flat", ATTRS, ((1, 4, 5, 3), (1, 4, 5, 3)), "equal shapes are one loop"),
    Case("clamp", ATTRS, ((1, 4, 5, 3), np.float32(0.1).reshape(())), "a bound without dimensions"),
    Case("channel", ATTRS, (draw("bound", 3), (1, 4, 5, 3)), "a bound per channel, first"),
    Case("column", ATTRS, ((1, 4, 5, 3), (1, 4, 1, 1)), "one value per row"),
    Case("both", ATTRS, ((1, 4, 1, 3), (1, 1, 5, 1)), "both operands are repeated"),
    Case("int16", ATTRS, ((1, 4, 5, 3), draw("bound16", 3)), "two bytes each", dtype="int16"),
    Case("int32", ATTRS, ((1, 4, 1, 3), (1, 1, 5, 1)), "plain numbers", dtype="int32"),
)


def test_on_paper() -> None:
    shared = Operand((1, 3), QParams.per_tensor(0.5, 1))
    params = OP.lower(ATTRS, (shared, shared), (shared,))
    assert OP.run_int(params, np.int8([[5, -128, 0]]), np.int8([[4, 127, 0]])).tolist() == [[5, 127, 0]]


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(OP, case)


@parametrize(CASES)
def test_integers_equal_tflm(case: Case) -> None:
    int_law(OP, case)


@parametrize(CASES)
def test_integers_are_the_floats(case: Case) -> None:
    step_law(OP, case, steps=0.001)  # nothing is rounded


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(OP, CASES, tmp_path)


def test_every_pair_equals_tflm() -> None:
    for zero_point in (-128, 0, 127):
        exhaustive_law(OP, ATTRS, (QParams.per_tensor(0.1, zero_point),) * 2)


def test_constraints() -> None:
    assert broken(OP, ATTRS, (1, 4, 5, 3), draw("c", 3)) == []
    assert broken(OP, ATTRS, (1, 4, 5, 3), (1, 4, 5, 2)) == ["broadcastable"]
    assert broken(OP, ATTRS, (1, 4, 5, 3), (1, 3)) == ["same_rank"]
