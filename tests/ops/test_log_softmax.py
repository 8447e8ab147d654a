"""LOG_SOFTMAX: shares on paper, the laws on depths, drawn scales against tflite-micro, the logarithm itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.laws import (
    Case,
    Lowered,
    assert_same_bytes,
    c_law,
    file_law,
    float_law,
    int8_model,
    int_law,
    parametrize,
    run_tflm,
    step_law,
)
from tests.ops.exhaustive import scales, zero_points
from tests.ops.refusals import broken
from tinyptq.errors import TinyptqError
from tinyptq.graph import QParams
from tinyptq.ops import log_softmax
from tinyptq.ops.base import Operand
from tinyptq.ops.log_softmax import LogSoftmax

OP = log_softmax.OP
ATTRS = LogSoftmax()
per_tensor = QParams.per_tensor

CASES = (
    Case("classes", ATTRS, ((1, 12),), "the head of a speech recognizer"),
    Case("one", ATTRS, ((1, 1),), "a single class is certain: log 1"),
    Case("rows", ATTRS, ((1, 3, 4, 5),), "every pixel on its own", spread=6.0),
    Case("sharp", ATTRS, ((1, 4, 7),), "most shares below e^−16", spread=40.0),
    Case("fine", ATTRS, ((1, 30),), "all exponentials near one", spread=0.001),
    Case("511", ATTRS, ((1, 511),), "a long row"),
)
LONG = Case("4095", ATTRS, ((1, 4095),), "the longest row whose sum fits Q12.19")


def lowered(scale: float, shape: tuple[int, ...]) -> Lowered:
    operand, output = Operand(shape, per_tensor(scale)), Operand(shape, per_tensor(1 / 16, 127))
    return Lowered(log_softmax.lower(ATTRS, (operand,), (output,)), (operand,), (output,), ())


def test_on_paper() -> None:
    # a step of ln 2: shares 2/3 and 1/3, −0.405 and −1.099 in sixteenths: −6.5 and −17.6
    params = lowered(np.log(2), (1, 2)).params
    assert log_softmax.run_int(params, np.int8([[1, 0], [5, 5]])).tolist() == [[121, 109], [116, 116]]
    # certainty is log 1, impossibility below −16
    assert log_softmax.run_int(params, np.int8([[100, -100]])).tolist() == [[127, -128]]


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(OP, case)


@parametrize((*CASES, LONG))
def test_integers_equal_tflm(case: Case) -> None:
    int_law(OP, case)


@parametrize(CASES)
def test_integers_stay_near_float(case: Case) -> None:
    step_law(OP, case)


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(OP, (*CASES, LONG), tmp_path)


@settings(deadline=None, max_examples=40)
@given(scale=scales(1e-5, 1e3), zero_point=zero_points, depth=st.integers(1, 300))
@example(scale=1e-7, zero_point=0, depth=10)
@example(scale=1e6, zero_point=0, depth=10)
@example(scale=2.0**-5, zero_point=127, depth=256)
def test_drawn_scales_equal_tflm(scale: float, zero_point: int, depth: int) -> None:
    int_law(OP, Case("drawn", ATTRS, ((1, depth),), "drawn", {0: per_tensor(scale, zero_point)}))


@pytest.mark.parametrize("scale", [0.001, 0.02, 0.0625, 0.13, 1.0])
def test_every_difference_equals_tflm(scale: float) -> None:
    """Rows (127, d) for all d, so that each of the 256 exponentials is seen."""
    x = np.stack([np.full(256, 127), np.arange(-128, 128)], axis=-1)[None].astype(np.int8)
    low = lowered(scale, (1, 256, 2))
    low = Lowered(low.params, low.operands, low.outputs, (x,))
    expected = run_tflm(int8_model(OP, low), low)
    assert_same_bytes(expected, log_softmax.run_int(low.params, x), Case("all", ATTRS, ((1, 256, 2),), "differences"))


def test_logarithm() -> None:
    z = np.unique(np.logspace(np.log2(2**19), 31, 20000, base=2).astype(np.int64).clip(2**19, 2**31 - 1))
    assert np.abs(log_softmax.logarithm(z) / 2.0**26 - np.log(z / 2.0**19)).max() < 2.0**-22


def test_a_scale_too_fine_is_refused() -> None:
    with pytest.raises(TinyptqError, match="too fine for a fixed-point exponential"):
        lowered(2.0**-27, (1, 3))


def test_constraints() -> None:
    assert broken(OP, ATTRS, (1, 10)) == []
    assert broken(OP, ATTRS, (1, 4096)) == ["has_channels"]
