"""L2_NORMALIZATION: a triangle on paper, the laws, lengths from 0 to the longest row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.laws import Case, c_law, file_law, float_law, int_law, parametrize, step_law, widened
from tests.ops.exhaustive import zero_points
from tests.ops.refusals import broken
from tinyptq.errors import TinyptqError
from tinyptq.graph import QParams
from tinyptq.ops import l2_normalization
from tinyptq.ops.base import Operand
from tinyptq.ops.inverse_root import inverse_root
from tinyptq.ops.l2_normalization import L2Normalization

OP = l2_normalization.OP
ATTRS = L2Normalization()

CASES = (
    Case("embedding", ATTRS, ((1, 64),), "the head of a face or speaker model"),
    Case("pixels", ATTRS, ((1, 3, 4, 5),), "every pixel on its own"),
    Case("sequence", ATTRS, ((1, 6, 2),), "short vectors"),
    Case("scalar", ATTRS, ((1, 7, 1),), "one element: its sign"),
    Case("offset", ATTRS, ((1, 9),), "a zero point at the end", qparams={0: QParams.per_tensor(0.1, -128)}),
)
LONG = Case("long", ATTRS, ((1, 33025),), "the longest row: Σx² just below 2^31", count=4)
WIDE = tuple(  # beyond tflite-micro
    replace(case, qparams={"output": QParams.per_tensor(2.0**-15)}) for case in widened((*CASES, LONG))
)


def run(zero_point: int, row: list[int]) -> list[int]:
    operand = Operand((1, len(row)), QParams.per_tensor(0.3, zero_point))
    params = l2_normalization.lower(ATTRS, (operand,), (operand,))
    result: list[int] = l2_normalization.run_int(params, np.int8([row]))[0].tolist()
    return result


def test_on_paper() -> None:
    # (3, −4) / 5 = (0.6, −0.8): 76.8 and −102.4 of 128; a unit vector saturates at 127
    assert run(0, [3, -4]) == [77, -102]
    assert run(10, [13, 6]) == [77, -102]
    assert run(0, [0, 5]) == [0, 127]
    assert run(-3, [-3, -3]) == [0, 0]


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(OP, case)


@parametrize(CASES)
def test_integers_equal_tflm(case: Case) -> None:
    int_law(OP, case)


@parametrize((*CASES, *WIDE))
def test_integers_stay_near_float(case: Case) -> None:
    """Little more than one rounding: the root adds next to nothing, in int16 a second rounding up to a quarter."""
    step_law(OP, case, steps=0.51 if case.dtype == "int8" else 0.75)


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(OP, (*CASES, LONG, *WIDE), tmp_path)


@settings(deadline=None, max_examples=40)
@given(zero_point=zero_points, depth=st.integers(1, 400))
@example(zero_point=127, depth=33025)
@example(zero_point=-128, depth=8500)
@example(zero_point=0, depth=1)
def test_drawn_depths_equal_tflm(zero_point: int, depth: int) -> None:
    int_law(OP, Case("drawn", ATTRS, ((1, depth),), "drawn", {0: QParams.per_tensor(0.1, zero_point)}, count=4))


def test_roots_of_every_size() -> None:
    total = np.unique(np.concatenate([np.arange(5000), np.logspace(3, 9.33, 20000).astype(np.int64)]))
    multiplier, shift = inverse_root(total)
    real = multiplier * 2.0 ** (shift - 31)
    assert np.abs(real[1:] * np.sqrt(total[1:]) - 1).max() < 2.0**-19


def test_constraints() -> None:
    assert broken(OP, ATTRS, (1, 64)) == []
    assert broken(OP, ATTRS, (1, 33026)) == ["short_rows"]
    assert broken(OP, ATTRS, (64,)) == ["short_rows"]


def test_int16_on_paper() -> None:
    # (3, −4) / 5 in steps of 2^−15; (−32768, 0) / 32768 is −1; a sum beyond 31 bits
    int16 = np.dtype(np.int16)
    source = Operand((1, 2), QParams.per_tensor(0.3), dtype=int16)
    params = l2_normalization.lower(ATTRS, (source,), (replace(source, qparams=QParams.per_tensor(2.0**-15)),))
    x = np.array([[3, -4], [-32768, 0], [24000, -32000], [0, 0]], int16)
    expected = [[19661, -26214], [-32768, 0], [19661, -26214], [0, 0]]
    assert l2_normalization.run_int(params, x).tolist() == expected
    with pytest.raises(TinyptqError, match="another scale"):
        l2_normalization.lower(ATTRS, (source,), (source,))
