"""ELU: values on paper, the laws, and all 256 inputs against tflite-micro for many scales."""

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
from tinyptq.ops import elu
from tinyptq.ops.elu import Elu

per_tensor = QParams.per_tensor

CASES = (
    Case("vector", Elu(), ((1, 50),), "both signs", spread=3.0),
    Case("image", Elu(), ((1, 3, 4, 5),), "any shape", spread=0.3),
)
WIDE = widened(CASES)


def real(x: Array) -> Array:
    return np.where(x < 0, np.expm1(np.minimum(x, 0)), x)


def test_on_paper() -> None:
    # in steps of ln 2: −2, −1, 0, 1 are −3/4, −1/2, 0 and 0.693; in steps of 1/4: −3, −2, 0, 3
    y = every_output(elu.OP, Elu(), per_tensor(np.log(2)), per_tensor(0.25))
    assert y[126:130].tolist() == [-3, -2, 0, 3]
    assert y[0] == -4


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(elu.OP, case)


@parametrize(CASES)
def test_integers_equal_tflm(case: Case) -> None:
    int_law(elu.OP, case)


@parametrize(CASES)
def test_integers_stay_near_float(case: Case) -> None:
    step_law(elu.OP, case)


@parametrize(CASES)
def test_file_round_trip(case: Case) -> None:
    file_law(elu.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(elu.OP, (*CASES, *WIDE), tmp_path)


@settings(deadline=None, max_examples=100)
@given(scale=scales(1e-5, 1e2), zero_point=zero_points, ratio=scales(1e-4, 1e4), output_zero_point=zero_points)
@example(scale=0.05, zero_point=0, ratio=0.5, output_zero_point=-100)
@example(scale=100.0, zero_point=127, ratio=1.0, output_zero_point=0)
def test_every_input_equals_tflm(scale: float, zero_point: int, ratio: float, output_zero_point: int) -> None:
    exhaustive_law(elu.OP, Elu(), (per_tensor(scale, zero_point),), per_tensor(scale * ratio, output_zero_point))


def test_an_output_scale_too_fine_is_refused() -> None:
    with pytest.raises(TinyptqError, match="millions of times finer"):
        every_output(elu.OP, Elu(), per_tensor(1.0), per_tensor(2.0**-24))


@pytest.mark.parametrize("pair", [(2.0**-12, 2.0**-12), (2.0**-11, 2.0**-11), (2.0**-14, 2.0**-14)])
def test_int16_is_near_the_function(pair: tuple[float, float]) -> None:
    interpolated_law(elu.OP, Elu(), real, pair)
