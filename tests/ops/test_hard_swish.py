"""HARD_SWISH: values on paper, the laws, and all 256 inputs against tflite-micro for many scales."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings

from tests.laws import Case, c_law, file_law, float_law, int_law, parametrize, step_law, widened
from tests.ops.exhaustive import exhaustive_law, scales, zero_points
from tests.ops.unary import every_output, interpolated_law
from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, QParams
from tinyptq.ops import hard_swish
from tinyptq.ops.hard_swish import HardSwish

per_tensor = QParams.per_tensor

CASES = (
    Case("vector", HardSwish(), ((1, 50),), "the bend and both sides", spread=4.0),
    Case("image", HardSwish(), ((1, 3, 4, 5),), "inside the bend", spread=0.5),
    Case("wide", HardSwish(), ((1, 60),), "a gate scale above one: saturating left shifts", spread=40.0),
)
WIDE = widened(CASES)


def real(x: Array) -> Array:
    y: Array = x * np.clip(x + 3, 0, 6) / 6
    return y


def test_on_paper() -> None:
    # scale 1: −4 -> 0, −1 -> −1 · 2/6 = −1/3, 0 -> 0, 1 -> 4/6, 3 -> 3, 5 -> 5; in steps of 1/16: −5, 11, 48, 80
    y = every_output(hard_swish.OP, HardSwish(), per_tensor(1.0), per_tensor(1 / 16))
    assert y[[124, 127, 128, 129, 131, 133]].tolist() == [0, -5, 0, 11, 48, 80]


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(hard_swish.OP, case)


@parametrize(CASES)
def test_integers_equal_tflm(case: Case) -> None:
    int_law(hard_swish.OP, case)


@parametrize(CASES)
def test_integers_stay_near_float(case: Case) -> None:
    step_law(hard_swish.OP, case)


@parametrize(CASES)
def test_file_round_trip(case: Case) -> None:
    file_law(hard_swish.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(hard_swish.OP, (*CASES, *WIDE), tmp_path)


@settings(deadline=None, max_examples=100)
@given(scale=scales(1e-4, 1e2), zero_point=zero_points, ratio=scales(2.0**-6, 2.0**7), output_zero_point=zero_points)
@example(scale=1e2, zero_point=-128, ratio=2.0**-6, output_zero_point=0)
@example(scale=0.49450328946113586, zero_point=-20, ratio=0.879607016426378, output_zero_point=0)  # double,
@example(scale=0.024777868762612343, zero_point=-20, ratio=0.98791041354448, output_zero_point=0)  # not float
@example(scale=6 / 255, zero_point=127, ratio=1.0, output_zero_point=-128)
@example(scale=3 / 256, zero_point=0, ratio=1.0, output_zero_point=0)
def test_every_input_equals_tflm(scale: float, zero_point: int, ratio: float, output_zero_point: int) -> None:
    result = per_tensor(scale * ratio, output_zero_point)
    exhaustive_law(hard_swish.OP, HardSwish(), (per_tensor(scale, zero_point),), result)


def test_scales_too_far_apart_are_refused() -> None:
    with pytest.raises(TinyptqError, match="more than 128 times finer"):
        every_output(hard_swish.OP, HardSwish(), per_tensor(1.0), per_tensor(1 / 300))
    with pytest.raises(TinyptqError, match="too far apart for 16 bits"):
        every_output(hard_swish.OP, HardSwish(), per_tensor(1.0), per_tensor(1e6))


@pytest.mark.parametrize("pair", [(2.0**-12, 2.0**-12), (2.0**-11, 2.0**-11), (2.0**-14, 2.0**-14)])
def test_int16_is_near_the_function(pair: tuple[float, float]) -> None:
    interpolated_law(hard_swish.OP, HardSwish(), real, pair, 2.0)
