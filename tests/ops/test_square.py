"""SQUARE: values on paper, every byte within half a step."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings

from tests.laws import Case, c_law, draw, int_law, parametrize, widened
from tests.ops.exhaustive import exhaustive_law, scales, zero_points
from tests.ops.unary import assert_float_equals_litert, every_output, half_step_law, interpolated_law, reads_back
from tinyptq.graph import Array, QParams
from tinyptq.ops import square
from tinyptq.ops.base import TfliteCode
from tinyptq.ops.square import Square

per_tensor = QParams.per_tensor

CASES = (
    Case("vector", Square(), ((1, 50),), "both signs", spread=2.0),
    Case("image", Square(), ((1, 3, 4, 5),), "any shape", spread=0.5),
)
WIDE = widened(CASES)
CODE = TfliteCode("SQUARE")


def real(x: Array) -> Array:
    return x * x


def test_on_paper() -> None:
    # −3, 0, 2 in steps of 1/2 are 2.25, 0, 1; in steps of 1/4 plus 1: 10, 1, 5
    y = every_output(square.OP, Square(), per_tensor(0.5), per_tensor(0.25, 1))
    assert y[[125, 128, 130]].tolist() == [10, 1, 5]


def test_float_equals_litert() -> None:
    assert_float_equals_litert(square.OP, Square(), CODE, 3 * draw("square", 1, 60))


def test_reading() -> None:
    assert reads_back(square.OP, CODE) == Square()


@parametrize(CASES)
def test_the_exported_table_is_tflm_s(case: Case) -> None:
    int_law(square.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(square.OP, (*CASES, *WIDE), tmp_path)


@settings(deadline=None, max_examples=40)
@given(scale=scales(1e-5, 1e2), zero_point=zero_points, ratio=scales(1e-3, 1e3), output_zero_point=zero_points)
@example(scale=0.02, zero_point=-128, ratio=1.0, output_zero_point=0)
@example(scale=0.05, zero_point=127, ratio=1.0, output_zero_point=127)
def test_every_input_is_half_a_step_off_at_most(
    scale: float, zero_point: int, ratio: float, output_zero_point: int
) -> None:
    source, result = per_tensor(scale, zero_point), per_tensor(scale * ratio, output_zero_point)
    half_step_law(square.OP, Square(), real, source, result)
    exhaustive_law(square.OP, Square(), (source,), result)


@pytest.mark.parametrize("pair", [(2.0**-12, 2.0**-9), (0.01, 3.3), (1.0, 2.0**15)])
def test_int16_is_near_the_function(pair: tuple[float, float]) -> None:
    interpolated_law(square.OP, Square(), real, pair)
