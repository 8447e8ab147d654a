"""SUB: one difference on paper, the laws on broadcasts and clamps, every pair of bytes against tflite-micro."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.laws import (
    Case,
    Lowered,
    c_law,
    draw,
    file_law,
    float_law,
    int8_model,
    int_law,
    parametrize,
    run_tflm,
    step_law,
    widened,
)
from tests.ops.exhaustive import exhaustive_law, scales, wide_law, zero_points
from tests.ops.refusals import broken
from tinyptq.errors import TinyptqError
from tinyptq.graph import QParams
from tinyptq.ops import sub
from tinyptq.ops.activation import RELU, RELU6, RELU_N1_TO_1
from tinyptq.ops.base import Operand
from tinyptq.ops.sub import Sub

per_tensor = QParams.per_tensor

CASES = (
    Case("flat", Sub(), ((1, 4, 5, 3), (1, 4, 5, 3)), "equal shapes are one loop"),
    Case("mean", Sub(), ((1, 4, 5, 3), draw("mean", 3)), "a normalization subtracts a constant per channel"),
    Case("one-minus", Sub(), (np.float32(1).reshape(()), (1, 7)), "1 − x: the constant comes first"),
    Case("centre", Sub(RELU6), ((1, 4, 5, 3), (1, 1, 1, 3)), "minus its own mean"),
    Case("both", Sub(RELU_N1_TO_1), ((1, 4, 1, 3), (1, 1, 5, 1)), "both operands are repeated"),
    Case(
        "unequal-scales",
        Sub(RELU),
        ((1, 40), (1, 40)),
        "one input 1000 times finer than the other",
        qparams={0: per_tensor(0.0001, -128), 1: per_tensor(0.1, 127), "output": per_tensor(0.09, 3)},
    ),
)
WIDE = widened(CASES)
PLAIN = tuple(
    replace(case, qparams={key: per_tensor(1.0) for key in (0, 1, "output")}, dtype="int32", spread=9.0)
    for case in (
        Case("int32", Sub(), ((1, 4, 1, 3), (1, 1, 5, 1)), "plain numbers, modulo 2^32"),
        Case("int32-constant", Sub(RELU), ((1, 40), np.float32([3])), "a constant"),
    )
)


def lowered(first: QParams, second: QParams, output: QParams) -> sub.SubInt:
    shape = (1, 1)
    return sub.lower(Sub(), (Operand(shape, first), Operand(shape, second)), (Operand(shape, output),))


def test_on_paper() -> None:
    # (10 − 2) · 0.5 − (−4 + 6) · 0.5 = 3.0, and 3.0 / 0.25 − 10 = 2
    params = lowered(per_tensor(0.5, 2), per_tensor(0.5, -6), per_tensor(0.25, -10))
    assert sub.run_int(params, np.int8([[10]]), np.int8([[-4]])).tolist() == [[2]]


SCALES = (
    (0.015033639967441559, 0.01436667051166296, 0.02203252911567688, (-128, 7, -45)),
    (0.01187674980610609, 0.018232520669698715, 0.021572595462203026, (125, 49, -25)),
    (0.016723867505788803, 0.011911127716302872, 0.029903670772910118, (2, 63, 66)),
)


@pytest.mark.parametrize("chosen", SCALES, ids=["a", "b", "c"])
def test_multipliers_are_quotients_in_double(chosen: tuple[float, float, float, tuple[int, int, int]]) -> None:
    """Scales for which a quotient in float32 gives another byte for one of the 65536 pairs."""
    first, second, output = (per_tensor(s, z) for s, z in zip(chosen[:3], chosen[3], strict=True))
    a, b = np.meshgrid(np.arange(-128, 128), np.arange(-128, 128))
    inputs = (a.reshape(1, -1).astype(np.int8), b.reshape(1, -1).astype(np.int8))
    operands = (Operand((1, 65536), first), Operand((1, 65536), second))
    params = sub.lower(Sub(), operands, (Operand((1, 65536), output),))
    low = Lowered(params, operands, (Operand((1, 65536), output),), inputs)
    assert np.array_equal(run_tflm(int8_model(sub.OP, low), low), sub.run_int(params, *inputs))


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(sub.OP, case)


@parametrize((*CASES, *WIDE, *PLAIN))
def test_integers_equal_tflm(case: Case) -> None:
    int_law(sub.OP, case)


@parametrize((*CASES, *WIDE))
def test_integers_stay_near_float(case: Case) -> None:
    step_law(sub.OP, case)


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(sub.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(sub.OP, (*CASES, *WIDE, *PLAIN), tmp_path)


@settings(deadline=None, max_examples=15)
@given(
    first=st.builds(per_tensor, scales(1e-4, 1e3), zero_points),
    second=st.builds(per_tensor, scales(1e-4, 1e3), zero_points),
    ratio=scales(2.0**-12, 2.0**12),
    zero_point=zero_points,
    activation=st.sampled_from([Sub(), Sub(RELU), Sub(RELU6)]),
)
@example(per_tensor(0.1, -128), per_tensor(0.1, 127), 1.0, 127, Sub())
@example(per_tensor(0.1, 127), per_tensor(1e-9, 127), 2.0**-18, -128, Sub())
def test_every_pair_equals_tflm(
    first: QParams, second: QParams, ratio: float, zero_point: int, activation: Sub
) -> None:
    # (TFLite refuses a fused RELU6 below scale 6 / 2^31: the drawn scales stay above)
    output = per_tensor(max(float(first.scale[0]), float(second.scale[0])) * ratio, zero_point)
    exhaustive_law(sub.OP, activation, (first, second), output)


def test_a_difference_that_is_always_zero_is_refused() -> None:
    with pytest.raises(TinyptqError, match="difference's scale 1e-07 is too fine for inputs of scale 1 "):
        lowered(per_tensor(1.0), per_tensor(0.5), per_tensor(1e-7))


def test_constraints() -> None:
    assert broken(sub.OP, Sub(), (1, 4, 5, 3), draw("c", 3)) == []
    assert broken(sub.OP, Sub(), (1, 4, 5, 3), (1, 4, 5, 2)) == ["broadcastable"]
    assert broken(sub.OP, Sub(), draw("a", 1, 3), draw("b", 1, 3)) == ["one_activation"]


@settings(deadline=None, max_examples=25)
@given(first=scales(1e-6, 1e2), second=scales(1e-6, 1e2), ratio=scales(2.0**-12, 2.0**12))
@example(1e-3, 1e-3, 1.0)
def test_int16_pairs_equal_tflm(first: float, second: float, ratio: float) -> None:
    wide_law(sub.OP, Sub(), (first, second), max(first, second) * ratio)


def test_int32_with_scales_is_refused() -> None:
    number, step = (Operand((1, 3), per_tensor(scale), dtype=np.dtype(np.int32)) for scale in (1.0, 0.5))
    with pytest.raises(TinyptqError, match="has to be plain numbers"):
        sub.lower(Sub(), (number, step), (number,))
