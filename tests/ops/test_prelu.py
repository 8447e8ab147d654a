"""PRELU: values on paper, the laws on slopes per channel and otherwise, every pair of bytes against tflite-micro."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.laws import Case, c_law, draw, file_law, float_law, int_law, parametrize, step_law, widened
from tests.ops.exhaustive import exhaustive_law, scales, zero_points
from tests.ops.refusals import broken
from tinyptq.errors import TinyptqError
from tinyptq.graph import QParams
from tinyptq.ops import prelu
from tinyptq.ops.base import Operand
from tinyptq.ops.prelu import Prelu

per_tensor = QParams.per_tensor

CASES = (
    Case("channels", Prelu(), ((1, 4, 5, 3), draw("channels", 1, 1, 3)), "one slope per channel, as Keras shares them"),
    Case("each", Prelu(), ((1, 4, 5, 3), draw("each", 4, 5, 3)), "a slope per element, Keras' default"),
    Case("rows", Prelu(), ((1, 4, 5, 3), draw("rows", 4, 1, 3)), "shared along the columns"),
    Case("vector", Prelu(), ((1, 30), draw("vector", 30) * np.float32(0.1)), "behind a dense layer"),
    Case("one", Prelu(), ((1, 30), np.float32([0.25])), "a single slope"),
)
WIDE = widened(CASES)  # beyond tflite-micro


def lowered(x: QParams, alpha: QParams, result: QParams) -> prelu.PreluInt:
    return prelu.lower(Prelu(), (Operand((1, 2), x), Operand((2,), alpha)), (Operand((1, 2), result),))


def test_on_paper() -> None:
    # −8 is (−8 + 4) · 1/2 = −2, the slope (9 − 1) / 16 = 1/2: −1, four steps of 1/4 below 10; 6 is 5.0, twenty steps
    params = lowered(per_tensor(0.5, -4), per_tensor(1 / 16, 1), per_tensor(0.25, 10))
    assert prelu.run_int(params, np.int8([[-8, 6]]), np.int8([9, 9])).tolist() == [[6, 30]]


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(prelu.OP, case)


@parametrize(CASES)
def test_integers_equal_tflm(case: Case) -> None:
    int_law(prelu.OP, case)


@parametrize((*CASES, *WIDE))
def test_integers_stay_near_float(case: Case) -> None:
    step_law(prelu.OP, case)


@parametrize(CASES[:1])
def test_file_round_trip(case: Case) -> None:
    file_law(prelu.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(prelu.OP, (*CASES, *WIDE), tmp_path)


@settings(deadline=None, max_examples=15)
@given(
    x=st.builds(per_tensor, scales(1e-2, 1e2), zero_points),
    alpha=st.builds(per_tensor, scales(1e-3, 1.0), zero_points),
    ratio=scales(2.0**-14, 2.0**14),
    zero_point=zero_points,
)
@example(per_tensor(1.0, -128), per_tensor(1.0, -128), 1.0, -128)
@example(per_tensor(1.0, 127), per_tensor(0.999, -128), 2.0**-15, 127)
def test_every_pair_equals_tflm(x: QParams, alpha: QParams, ratio: float, zero_point: int) -> None:
    exhaustive_law(prelu.OP, Prelu(), (x, alpha), per_tensor(float(x.scale[0]) * ratio, zero_point))


def test_scales_that_would_leave_int32_are_refused() -> None:
    with pytest.raises(TinyptqError, match="millions of times finer"):
        lowered(per_tensor(1.0), per_tensor(1e-5), per_tensor(2.0**-24))
    with pytest.raises(TinyptqError, match="slopes' scale"):
        lowered(per_tensor(1.0), per_tensor(1.0), per_tensor(2.0**-16))


def test_constraints() -> None:
    assert broken(prelu.OP, Prelu(), (1, 4, 5, 3), draw("c", 3)) == []
    assert broken(prelu.OP, Prelu(), (1, 4, 5, 3), (1, 4, 5, 3)) == ["constant_slopes"]
    assert broken(prelu.OP, Prelu(), (1, 1, 1, 3), draw("c", 4, 5, 3)) == ["constant_slopes"]
