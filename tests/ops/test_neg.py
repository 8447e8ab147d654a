"""NEG: values on paper, every byte within half a step."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings

from tests.laws import Case, c_law, draw, int_law, parametrize, widened
from tests.ops.exhaustive import exhaustive_law, scales, zero_points
from tests.ops.unary import assert_float_equals_litert, every_output, half_step_law, interpolated_law, reads_back
from tinyptq.graph import Array, QParams
from tinyptq.ops import neg
from tinyptq.ops.base import TfliteCode
from tinyptq.ops.neg import Neg

per_tensor = QParams.per_tensor

CASES = (
    Case("vector", Neg(), ((1, 50),), "both signs", spread=2.0),
    Case("image", Neg(), ((1, 3, 4, 5),), "any shape", spread=0.5),
)
WIDE = widened(CASES)
CODE = TfliteCode("NEG")


def real(x: Array) -> Array:
    return -x


def test_on_paper() -> None:
    # equal scales, zero points 10 and −10: x becomes −(x − 10) − 10 = −x
    y = every_output(neg.OP, Neg(), per_tensor(0.1, 10), per_tensor(0.1, -10))
    assert y[[0, 1, 128, 255]].tolist() == [127, 127, 0, -127]


def test_float_equals_litert() -> None:
    assert_float_equals_litert(neg.OP, Neg(), CODE, 3 * draw("neg", 1, 60))


def test_reading() -> None:
    assert reads_back(neg.OP, CODE) == Neg()


@parametrize(CASES)
def test_the_exported_table_is_tflm_s(case: Case) -> None:
    int_law(neg.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(neg.OP, (*CASES, *WIDE), tmp_path)


@settings(deadline=None, max_examples=40)
@given(scale=scales(1e-5, 1e2), zero_point=zero_points, ratio=scales(1e-3, 1e3), output_zero_point=zero_points)
@example(scale=0.02, zero_point=-128, ratio=1.0, output_zero_point=0)
@example(scale=0.05, zero_point=127, ratio=1.0, output_zero_point=127)
def test_every_input_is_half_a_step_off_at_most(
    scale: float, zero_point: int, ratio: float, output_zero_point: int
) -> None:
    source, result = per_tensor(scale, zero_point), per_tensor(scale * ratio, output_zero_point)
    half_step_law(neg.OP, Neg(), real, source, result)
    exhaustive_law(neg.OP, Neg(), (source,), result)


@pytest.mark.parametrize("pair", [(0.001, 0.001), (0.003, 0.0031), (0.001, 0.1)])
def test_int16_is_near_the_function(pair: tuple[float, float]) -> None:
    interpolated_law(neg.OP, Neg(), real, pair)
