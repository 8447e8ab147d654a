"""MUL: one product on paper, the laws on broadcasts and clamps, every pair of bytes against tflite-micro."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.laws import Case, c_law, draw, float_law, int_law, parametrize, step_law, widened
from tests.ops.exhaustive import exhaustive_law, scales, wide_law, zero_points
from tests.ops.refusals import broken
from tinyptq.errors import TinyptqError
from tinyptq.graph import QParams
from tinyptq.ops import mul
from tinyptq.ops.activation import RELU, RELU6
from tinyptq.ops.base import Operand
from tinyptq.ops.mul import Mul

per_tensor = QParams.per_tensor

CASES = (
    Case("flat", Mul(), ((1, 4, 5, 3), (1, 4, 5, 3)), "equal shapes are one loop"),
    Case("scale", Mul(RELU), ((1, 4, 5, 3), draw("scale", 3)), "constant per channel, as batch norm leaves it"),
    Case("gate", Mul(), ((1, 4, 5, 6), (1, 1, 1, 6)), "squeeze and excite"),
    Case("scalar-first", Mul(), (np.float32(-0.7).reshape(()), (1, 7)), "a constant without dimensions, first"),
    Case("both", Mul(RELU6), ((1, 4, 1, 3), (1, 1, 5, 1)), "both operands are repeated"),
    Case("middle", Mul(), ((1, 4, 5, 3), draw("middle", 5, 1)), "a constant repeated inside and outside"),
    Case(
        "shift-15",
        Mul(),
        ((1, 40), (1, 40)),
        "the largest left shift: 255 · 255 · 2^15 just fits",
        qparams={0: per_tensor(1.0, -128), 1: per_tensor(0.999, 127), "output": per_tensor(2.0**-15, 0)},
    ),
)
WIDE = widened(CASES)
PLAIN = tuple(
    replace(case, qparams={key: per_tensor(1.0) for key in (0, 1, "output")}, dtype="int32", spread=9.0)
    for case in (
        Case("int32", Mul(), ((1, 4, 1, 3), (1, 1, 5, 1)), "plain numbers, modulo 2^32"),
        Case("int32-constant", Mul(RELU), ((1, 40), np.float32([3])), "a constant"),
    )
)


def lowered(first: QParams, second: QParams, output: QParams) -> mul.MulInt:
    shape = (1, 1)
    return mul.lower(Mul(), (Operand(shape, first), Operand(shape, second)), (Operand(shape, output),))


def test_on_paper() -> None:
    # (10 − 2) · 0.5 · (−4 + 6) · 0.25 = 2.0, and 2.0 / 0.125 + 3 = 19
    params = lowered(per_tensor(0.5, 2), per_tensor(0.25, -6), per_tensor(0.125, 3))
    assert (params.multiplier, params.shift) == (1 << 30, 1)  # 0.5 · 0.25 / 0.125 = 1 = 0.5 · 2^1
    assert mul.run_int(params, np.int8([[10]]), np.int8([[-4]])).tolist() == [[19]]


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(mul.OP, case)


@parametrize((*CASES, *WIDE, *PLAIN))
def test_integers_equal_tflm(case: Case) -> None:
    int_law(mul.OP, case)


@parametrize((*CASES, *WIDE))
def test_integers_stay_near_float(case: Case) -> None:
    step_law(mul.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(mul.OP, (*CASES, *WIDE, *PLAIN), tmp_path)


@settings(deadline=None, max_examples=15)
@given(
    first=st.builds(per_tensor, scales(1e-2, 1e3), zero_points),
    second=st.builds(per_tensor, scales(1e-2, 1e3), zero_points),
    ratio=scales(2.0**-14, 2.0**14),
    zero_point=zero_points,
    activation=st.sampled_from([Mul(), Mul(RELU), Mul(RELU6)]),
)
@example(per_tensor(1.0, -128), per_tensor(1.0, -128), 0.9999, -128, Mul())
@example(per_tensor(1.0, 127), per_tensor(1.0, -128), 2.0**12, 127, Mul())
def test_every_pair_equals_tflm(
    first: QParams, second: QParams, ratio: float, zero_point: int, activation: Mul
) -> None:
    # (TFLite refuses a fused RELU6 below scale 6 / 2^31: the drawn scales stay above)
    output = per_tensor(float(first.scale[0]) * float(second.scale[0]) * ratio, zero_point)
    exhaustive_law(mul.OP, activation, (first, second), output)


def test_a_product_that_would_leave_int32_is_refused() -> None:
    lowered(per_tensor(1.0), per_tensor(1.0), per_tensor(1.0001 * 2.0**-15))
    with pytest.raises(TinyptqError, match="is too fine for what"):
        lowered(per_tensor(1.0), per_tensor(1.0), per_tensor(2.0**-15))


def test_constraints() -> None:
    assert broken(mul.OP, Mul(), (1, 4, 5, 3), draw("c", 3)) == []
    assert broken(mul.OP, Mul(), (1, 4, 5, 3), (1, 4, 5, 2)) == ["broadcastable"]
    assert broken(mul.OP, Mul(), (1, 4, 5, 3), (1, 3)) == ["same_rank"]


@settings(deadline=None, max_examples=25)
@given(first=scales(1e-6, 1e2), second=scales(1e-6, 1e2), ratio=scales(2.0**-12, 2.0**12))
@example(1e-3, 1e-3, 1.0)
def test_int16_pairs_equal_tflm(first: float, second: float, ratio: float) -> None:
    wide_law(mul.OP, Mul(), (first, second), first * second * 2.0**15 * ratio)


def test_int32_with_scales_is_refused() -> None:
    number, step = (Operand((1, 3), per_tensor(scale), dtype=np.dtype(np.int32)) for scale in (1.0, 0.5))
    with pytest.raises(TinyptqError, match="has to be plain numbers"):
        mul.lower(Mul(), (number, step), (number,))
