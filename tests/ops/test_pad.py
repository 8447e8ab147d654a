"""PAD: a border on paper, the laws on every kind of border."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.laws import Case, c_law, float_law, int_law, parametrize, step_law, widened
from tests.ops.refusals import broken
from tinyptq.graph import QParams
from tinyptq.ops import pad
from tinyptq.ops.base import Operand
from tinyptq.ops.pad import Axis, Pad

CASES = (
    Case("image", Pad((0, 1, 2, 0), (0, 3, 1, 0)), ((1, 4, 5, 3),), "rows and columns, as before a convolution"),
    Case("rows", Pad((0, 2, 0, 0), (0, 1, 0, 0)), ((1, 4, 5, 3),), "whole rows: one copy"),
    Case("channels", Pad((0, 0, 0, 1), (0, 0, 0, 2)), ((1, 4, 5, 3),), "channels, as a residual shortcut grows"),
    Case("all", Pad((0, 1, 2, 3), (0, 3, 2, 1)), ((1, 2, 3, 4),), "every axis but the batch"),
    Case("vector", Pad((0, 2), (0, 1)), ((1, 5),), "two dimensions"),
    Case("sequence", Pad((0, 2, 0), (0, 0, 0)), ((1, 5, 3),), "three dimensions, causal"),
    Case("nothing", Pad((0, 0, 0), (0, 0, 0)), ((1, 5, 3),), "a border of nothing"),
)
WIDE = (*widened(CASES), *widened(CASES, "int32"))


TWO_SCALES = Case(
    "two-scales",
    Pad((0, 2), (0, 1)),
    ((1, 50),),
    "other people's files",
    qparams={0: QParams.per_tensor(0.05, -10), "output": QParams.per_tensor(0.03, 7)},
)


def test_on_paper() -> None:
    operand = Operand((1, 2, 2), QParams.per_tensor(0.1, 9))
    attrs = Pad((0, 1, 0), (0, 0, 1))
    params = pad.lower(attrs, (operand,), (Operand((1, 3, 3), operand.qparams),))
    x = np.int8([[[1, 2], [3, 4]]])
    assert pad.run_int(params, x).tolist() == [[[9, 9, 9], [1, 2, 9], [3, 4, 9]]]
    assert pad.run_float(attrs, x.astype(np.float32)).tolist() == [[[0, 0, 0], [1, 2, 0], [3, 4, 0]]]


def test_axes_without_a_border_are_merged() -> None:
    qparams = QParams.per_tensor(0.1)
    params = pad.lower(CASES[0].attrs, (Operand((1, 4, 5, 3), qparams),), (Operand((1, 8, 8, 3), qparams),))
    assert params.axes == (Axis(1, 1, 0, 192), Axis(4, 8, 1, 24), Axis(15, 24, 6, 1))
    assert params.start == 30


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(pad.OP, case)


@parametrize((*CASES, *WIDE, TWO_SCALES))
def test_integers_equal_tflm(case: Case) -> None:
    int_law(pad.OP, case)


@parametrize((*CASES, *WIDE))
def test_integers_stay_near_float(case: Case) -> None:
    step_law(pad.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(pad.OP, (*CASES, *WIDE), tmp_path)


@settings(deadline=None, max_examples=30)
@given(
    axes=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=3),
    zero_point=st.integers(-128, 127),
)
def test_drawn_borders_equal_tflm(axes: list[tuple[int, int, int]], zero_point: int) -> None:
    shape = (1, *(size for size, _, _ in axes))
    attrs = Pad((0, *(before for _, before, _ in axes)), (0, *(after for _, _, after in axes)))
    int_law(pad.OP, Case("drawn", attrs, (shape,), "drawn", {0: QParams.per_tensor(0.1, zero_point)}))


def test_constraints() -> None:
    assert broken(pad.OP, Pad((0, 1), (0, 1)), (1, 3)) == []
    assert broken(pad.OP, Pad((1, 1), (0, 1)), (1, 3)) == ["plain_borders"]
    assert broken(pad.OP, Pad((0, -1), (0, 1)), (1, 3)) == ["plain_borders"]
    assert broken(pad.OP, Pad((0,) * 5, (0,) * 5), (1, 2, 2, 2, 2)) == ["plain_borders"]
