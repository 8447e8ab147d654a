"""SQUARED_DIFFERENCE: one square on paper, the laws on broadcasts, every pair of bytes against tflite-micro."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.laws import Case, c_law, draw, file_law, float_law, int_law, parametrize, step_law, widened
from tests.ops.exhaustive import exhaustive_law, scales, wide_law, zero_points
from tests.ops.refusals import broken
from tinyptq.errors import TinyptqError
from tinyptq.graph import QParams
from tinyptq.ops import squared_difference
from tinyptq.ops.base import Operand
from tinyptq.ops.squared_difference import SquaredDifference

OP = squared_difference.OP
ATTRS = SquaredDifference()
per_tensor = QParams.per_tensor

CASES = (
    Case("flat", ATTRS, ((1, 4, 5, 3), (1, 4, 5, 3)), "equal shapes are one loop"),
    Case("variance", ATTRS, ((1, 6, 8), (1, 6, 1)), "layer normalization: minus the mean of the last axis"),
    Case("constant", ATTRS, ((1, 4, 5, 3), draw("target", 3)), "distance to a constant"),
    Case("constant-first", ATTRS, (np.float32(0.5).reshape(()), (1, 7)), "a scalar first"),
    Case("both", ATTRS, ((1, 4, 1, 3), (1, 1, 5, 1)), "both operands are repeated"),
)
WIDE = widened(CASES)
PLAIN = tuple(
    replace(case, qparams={key: per_tensor(1.0) for key in (0, 1, "output")}, dtype="int32", spread=9.0)
    for case in (
        Case("int32", SquaredDifference(), ((1, 4, 1, 3), (1, 1, 5, 1)), "plain numbers, modulo 2^32"),
        Case("int32-constant", SquaredDifference(), ((1, 40), np.float32([3])), "a constant"),
    )
)


def lowered(first: QParams, second: QParams, output: QParams) -> squared_difference.SquaredDifferenceInt:
    shape = (1, 1)
    operands = (Operand(shape, first), Operand(shape, second))
    return squared_difference.lower(ATTRS, operands, (Operand(shape, output),))


def test_on_paper() -> None:
    # ((10 − 2) · 0.5 − (−4 + 6) · 0.5)² = 3² = 9, and 9 / 0.25 − 10 = 26
    params = lowered(per_tensor(0.5, 2), per_tensor(0.5, -6), per_tensor(0.25, -10))
    assert squared_difference.run_int(params, np.int8([[10]]), np.int8([[-4]])).tolist() == [[26]]


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(OP, case)


@parametrize((*CASES, *WIDE, *PLAIN))
def test_integers_equal_tflm(case: Case) -> None:
    int_law(OP, case)


@parametrize((*CASES, *WIDE))
def test_integers_stay_near_float(case: Case) -> None:
    """TFLite halves int16 operands before it squares their difference, which is then off by up to one of 2^15."""
    step_law(OP, case, 1.0 if case.dtype == "int8" else 5.0)


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(OP, (*CASES, *WIDE, *PLAIN), tmp_path)


@settings(deadline=None, max_examples=15)
@given(
    first=st.builds(per_tensor, scales(1e-4, 1e3), zero_points),
    second=st.builds(per_tensor, scales(1e-4, 1e3), zero_points),
    ratio=scales(2.0**-11, 2.0**12),
    zero_point=zero_points,
)
@example(per_tensor(1.0, -128), per_tensor(1.0, 127), 2.0**-13 * 1.01, -128)
def test_every_pair_equals_tflm(first: QParams, second: QParams, ratio: float, zero_point: int) -> None:
    output = per_tensor(max(float(first.scale[0]), float(second.scale[0])) ** 2 * ratio, zero_point)
    exhaustive_law(OP, ATTRS, (first, second), output)


def test_a_difference_that_is_always_zero_is_refused() -> None:
    lowered(per_tensor(1.0), per_tensor(0.5), per_tensor(2.0**-13 * 1.01))
    with pytest.raises(TinyptqError, match=r"scale 0\.000122 is too fine"):
        lowered(per_tensor(1.0), per_tensor(0.5), per_tensor(2.0**-13))


def test_constraints() -> None:
    assert broken(OP, ATTRS, (1, 4, 5, 3), draw("c", 3)) == []
    assert broken(OP, ATTRS, (1, 4, 5, 3), (1, 4, 5, 2)) == ["broadcastable"]


@settings(deadline=None, max_examples=25)
@given(first=scales(1e-6, 1e2), second=scales(1e-6, 1e2), ratio=scales(2.0**-12, 2.0**12))
@example(1e-3, 1e-3, 1.0)
def test_int16_pairs_equal_tflm(first: float, second: float, ratio: float) -> None:
    wide_law(squared_difference.OP, SquaredDifference(), (first, second), max(first, second) ** 2 * 2.0**15 * ratio)


def test_int32_with_scales_is_refused() -> None:
    number, step = (Operand((1, 3), per_tensor(scale), dtype=np.dtype(np.int32)) for scale in (1.0, 0.5))
    with pytest.raises(TinyptqError, match="has to be plain numbers"):
        squared_difference.lower(SquaredDifference(), (number, step), (number,))
