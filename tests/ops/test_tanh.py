"""TANH: values on paper, the laws, and all 256 inputs against tflite-micro for many scales."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings

from tests.laws import Case, c_law, float_law, int_law, parametrize, step_law, widened
from tests.ops.exhaustive import exhaustive_law, scales, wide_law, zero_points
from tinyptq.errors import TinyptqError
from tinyptq.graph import QParams
from tinyptq.ops import tanh
from tinyptq.ops.base import Operand
from tinyptq.ops.sigmoidal import SigmoidalInt
from tinyptq.ops.tanh import Tanh

OP = tanh.OP
per_tensor = QParams.per_tensor

CASES = (
    Case("vector", Tanh(), ((1, 50),), "both tails and the middle", spread=4.0),
    Case("image", Tanh(), ((1, 3, 4, 5),), "any shape", spread=1.0),
    Case("steep", Tanh(), ((1, 40),), "a coarse input: mostly flat ends", spread=80.0),
)
FIFTEEN_BITS = {"output": per_tensor(2.0**-15)}
WIDE = tuple(replace(case, qparams=FIFTEEN_BITS) for case in widened(CASES))


def lowered(scale: float, zero_point: int) -> SigmoidalInt:
    shape = (1, 3)
    output = Operand(shape, per_tensor(1 / 128, 0))
    return OP.lower(Tanh(), (Operand(shape, per_tensor(scale, zero_point)),), (output,))


def test_on_paper() -> None:
    # atanh(1/2) = ln(3) / 2: the values −1, 0, 1 are −1/2, 0, 1/2, that is −64, 0, 64 of 128
    assert OP.run_int(lowered(np.log(3) / 2, 0), np.int8([[-1, 0, 1]])).tolist() == [[-64, 0, 64]]
    # the ends are flat: −128/128 and 127/128
    assert OP.run_int(lowered(1.0, 0), np.int8([[-100, -16, 16, 100]])).tolist() == [[-128, -128, 127, 127]]


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(OP, case)


@parametrize((*CASES, *WIDE))
def test_integers_equal_tflm(case: Case) -> None:
    int_law(OP, case)


@parametrize((*CASES, *WIDE))
def test_integers_stay_near_float(case: Case) -> None:
    """The int16 table has chords of 1/24 and 15 bits: within 3 steps of 2^-15."""
    step_law(OP, case, 1.0 if case.dtype == "int8" else 3.0)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(OP, (*CASES, *WIDE), tmp_path)


@settings(deadline=None, max_examples=60)
@given(scale=scales(1e-6, 1e3), zero_point=zero_points)
@example(scale=16 / 256, zero_point=-128)
@example(scale=16 / 256, zero_point=127)
@example(scale=0.0235, zero_point=0)
@example(scale=2.0**-27, zero_point=0)
@example(scale=64.0, zero_point=5)
def test_every_input_equals_tflm(scale: float, zero_point: int) -> None:
    exhaustive_law(OP, Tanh(), (per_tensor(scale, zero_point),))


def test_a_scale_too_fine_is_refused() -> None:
    with pytest.raises(TinyptqError, match="too fine for a fixed-point exponential"):
        lowered(2.0**-29, 0)


@settings(deadline=None, max_examples=30)
@given(scale=scales(1e-10, 5.0))
@example(2.0**-12)
@example(2.0**-12 * 1.0006)
@example(2.0**-11)
@example(2.0**-10)
@example(2.0**-13)
@example(10 / 32767)
@example(5.33)
def test_every_int16_equals_tflm(scale: float) -> None:
    wide_law(OP, Tanh(), (scale,), 2.0**-15)


def test_int16_scales_are_checked() -> None:
    wide = Operand((1, 3), per_tensor(5.34), dtype=np.dtype(np.int16))
    fine = replace(wide, qparams=per_tensor(2.0**-15))
    with pytest.raises(TinyptqError, match="too coarse"):
        OP.lower(Tanh(), (wide,), (fine,))
    with pytest.raises(TinyptqError, match="another scale than 2"):
        OP.lower(Tanh(), (fine,), (wide,))
