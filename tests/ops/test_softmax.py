"""SOFTMAX: shares on paper, the laws on depths and betas, long and flat rows."""

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
from tinyptq.ops import softmax
from tinyptq.ops.base import Operand
from tinyptq.ops.softmax import Softmax

per_tensor = QParams.per_tensor

CASES = (
    Case("classes", Softmax(), ((1, 12),), "the head of a classifier"),
    Case("one", Softmax(), ((1, 1),), "a single class is certain"),
    Case("rows", Softmax(0.5), ((1, 3, 4, 5),), "every pixel on its own; beta below one", spread=10.0),
    Case("sharp", Softmax(3.0), ((1, 4, 7),), "differences below difference_min count nothing", spread=40.0),
    Case("fine", Softmax(), ((1, 30),), "all exponentials near one", spread=0.001),
    Case("511", Softmax(), ((1, 511),), "the longest row of equals for which TFLite's shift is defined"),
)
INT16 = tuple(
    Case(
        f"int16-{scale}-{depth}",
        Softmax(beta),
        ((1, 3, depth),),
        "two tables of 513 entries",
        qparams={0: per_tensor(scale), "output": per_tensor(2.0**-15)},
        dtype="int16",
    )
    for scale, beta, depth in ((0.0006, 1.0, 2), (0.0003, 0.5, 10), (1e-5, 2.0, 300), (0.1, 1.0, 300), (1e-7, 1.0, 7))
)
LONG = Case("4095", Softmax(), ((1, 4095),), "the longest row whose sum fits Q12.19")


def lowered(scale: float, depth: int) -> softmax.SoftmaxInt:
    shape = (1, depth)
    return softmax.lower(Softmax(), (Operand(shape, per_tensor(scale)),), (Operand(shape, per_tensor(1 / 256, -128)),))


def test_on_paper() -> None:
    # a step of ln 2 doubles: shares 2/3 and 1/3 are 170.67 and 85.33 of 256, less 128
    assert softmax.run_int(lowered(np.log(2), 2), np.int8([[1, 0], [5, 4]])).tolist() == [[43, -43], [43, -43]]
    # a half each; certainty is 255/256, the largest int8
    assert softmax.run_int(lowered(0.1, 2), np.int8([[7, 7]])).tolist() == [[0, 0]]
    assert softmax.run_int(lowered(1.0, 2), np.int8([[100, -100]])).tolist() == [[127, -128]]


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(softmax.OP, case)


@parametrize((*CASES, *INT16))
def test_integers_equal_tflm(case: Case) -> None:
    int_law(softmax.OP, case)


@parametrize(CASES)
def test_integers_stay_near_float(case: Case) -> None:
    step_law(softmax.OP, case, steps=1.05)  # the reciprocal of a sum of 511 rounded exponentials adds its own


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(softmax.OP, (*CASES, *INT16, LONG), tmp_path)


@settings(deadline=None, max_examples=40)
@given(
    scale=scales(1e-5, 1e3),
    zero_point=zero_points,
    beta=scales(0.05, 20.0),
    depth=st.integers(1, 300),
)
@example(scale=1e-7, zero_point=0, beta=1.0, depth=10)
@example(scale=1e6, zero_point=0, beta=1.0, depth=10)
@example(scale=2.0**-5, zero_point=127, beta=1.0, depth=256)
def test_drawn_scales_equal_tflm(scale: float, zero_point: int, beta: float, depth: int) -> None:
    int_law(softmax.OP, Case("drawn", Softmax(beta), ((1, depth),), "drawn", {0: per_tensor(scale, zero_point)}))


@pytest.mark.parametrize("scale", [0.001, 0.02, 0.13, 1.0])
def test_every_difference_equals_tflm(scale: float) -> None:
    """Rows (127, d) for all d, so that each of the 256 exponentials is seen."""
    shape = (1, 256, 2)
    x = np.stack([np.full(256, 127), np.arange(-128, 128)], axis=-1)[None].astype(np.int8)
    operand, output = Operand(shape, per_tensor(scale)), Operand(shape, per_tensor(1 / 256, -128))
    low = Lowered(softmax.lower(Softmax(), (operand,), (output,)), (operand,), (output,), (x,))
    expected = run_tflm(int8_model(softmax.OP, low), low)
    assert_same_bytes(expected, softmax.run_int(low.params, x), Case("differences", Softmax(), (shape,), "all"))


@pytest.mark.parametrize(("scale", "depth"), [(0.07, 2), (0.3, 12), (0.001, 100), (2.0, 5)])
def test_int8_to_int16_equals_tflm(scale: float, depth: int) -> None:
    """Shares in steps of 2^-16, zero at -32768: what keyword spotters made for int16 ends have."""
    shape = (1, depth)
    operand = Operand(shape, per_tensor(scale, 2))
    output = Operand(shape, per_tensor(2.0**-16, -(2**15)), None, np.dtype(np.int16))
    x = np.random.default_rng(depth).integers(-128, 128, (60, depth)).astype(np.int8)
    low = Lowered(softmax.lower(Softmax(), (operand,), (output,)), (operand,), (output,), (x,))
    found = softmax.run_int(low.params, x)
    assert_same_bytes(run_tflm(int8_model(softmax.OP, low), low), found, Case("wide", Softmax(), (shape,), "int16"))


def test_a_thousand_classes() -> None:
    """One winner: as tflite-micro. All equal: a share of 1/1000 is 0, where tflite-micro asserts on its shift."""
    shape = (1, 1000)
    operand, output = Operand(shape, per_tensor(0.1)), Operand(shape, per_tensor(1 / 256, -128))
    x = np.random.default_rng(7).integers(-128, 20, (4, 1000)).astype(np.int8)
    x[:, 123] = 90
    low = Lowered(softmax.lower(Softmax(), (operand,), (output,)), (operand,), (output,), (x,))
    expected = run_tflm(int8_model(softmax.OP, low), low)
    assert_same_bytes(expected, softmax.run_int(low.params, x), Case("1000", Softmax(), (shape,), "one winner"))
    assert np.all(softmax.run_int(low.params, np.full((1, 1000), 5, np.int8)) == -128)


def test_a_scale_too_fine_is_refused() -> None:
    with pytest.raises(TinyptqError, match="too fine for a fixed-point exponential"):
        lowered(2.0**-27, 3)


def test_constraints() -> None:
    assert broken(softmax.OP, Softmax(), (1, 10)) == []
    assert broken(softmax.OP, Softmax(), (1, 4096)) == ["has_channels"]
    assert broken(softmax.OP, Softmax(0.0), (1, 10)) == ["positive_beta"]
