"""ADD: one sum on paper, the laws on broadcasts and clamps, every pair of bytes against tflite-micro."""

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
from tinyptq.ops import add
from tinyptq.ops.activation import RELU, RELU6, RELU_N1_TO_1
from tinyptq.ops.add import Add
from tinyptq.ops.base import Operand
from tinyptq.ops.broadcast import Loop, loop_nest

per_tensor = QParams.per_tensor

CASES = (
    Case("flat", Add(), ((1, 4, 5, 3), (1, 4, 5, 3)), "equal shapes are one loop"),
    Case("residual-relu", Add(RELU), ((1, 8, 8, 16), (1, 8, 8, 16)), "the residual block of ResNet-8"),
    Case("bias", Add(), ((1, 4, 5, 3), draw("bias", 3)), "constant per channel, as batch norm leaves it"),
    Case("bias-first", Add(), (draw("first", 1, 1, 1, 3), (1, 4, 5, 3)), "the constant may come first"),
    Case("scalar", Add(), ((1, 7), np.float32(1.5).reshape(())), "a constant without dimensions"),
    Case("one", Add(), ((1, 1), (1, 1)), "a single element"),
    Case("column", Add(RELU6), ((1, 4, 5, 3), (1, 4, 1, 1)), "one value per row"),
    Case("both", Add(), ((1, 4, 1, 3), (1, 1, 5, 1)), "both operands are repeated"),
    Case("middle", Add(RELU_N1_TO_1), ((1, 4, 5, 3), draw("middle", 5, 1)), "a constant repeated inside and outside"),
    Case(
        "unequal-scales",
        Add(),
        ((1, 40), (1, 40)),
        "one input 1000 times finer than the other",
        qparams={0: per_tensor(0.0001, -128), 1: per_tensor(0.1, 127), "output": per_tensor(0.09, 3)},
    ),
)
WIDE = widened(CASES)
PLAIN = tuple(
    replace(case, qparams={key: per_tensor(1.0) for key in (0, 1, "output")}, dtype="int32", spread=9.0)
    for case in (
        Case("int32", Add(), ((1, 4, 1, 3), (1, 1, 5, 1)), "plain numbers, modulo 2^32"),
        Case("int32-constant", Add(), ((1, 40), np.float32([3])), "a constant"),
    )
)


def lowered(first: QParams, second: QParams, output: QParams) -> add.AddInt:
    shape = (1, 1)
    return add.lower(Add(), (Operand(shape, first), Operand(shape, second)), (Operand(shape, output),))


def test_on_paper() -> None:
    # (10 − 2) · 0.5 + (−4 + 6) · 0.5 = 5.0, and 5.0 / 0.25 − 10 = 10
    params = lowered(per_tensor(0.5, 2), per_tensor(0.5, -6), per_tensor(0.25, -10))
    assert add.run_int(params, np.int8([[10]]), np.int8([[-4]])).tolist() == [[10]]
    # equal scales: each input is halved against 2·max s; the sum returns by 2 · 0.5 / (2^20 · 0.25)
    assert params.pair.input_multipliers == (1 << 30, 1 << 30)
    assert params.pair.input_shifts == (0, 0)
    assert (params.pair.output_multiplier, params.pair.output_shift) == (1 << 30, -17)


def test_loops() -> None:
    assert loop_nest((1, 4, 5, 3), (1, 4, 5, 3)) == (Loop(60, (1, 1)),)
    assert loop_nest((1, 4, 5, 3), (3,)) == (Loop(20, (3, 0)), Loop(3, (1, 1)))
    assert loop_nest((1, 4, 5, 3), ()) == (Loop(60, (1, 0)),)
    assert loop_nest((1, 4, 1, 3), (1, 1, 5, 1)) == (Loop(4, (3, 0)), Loop(5, (0, 1)), Loop(3, (1, 0)))
    assert loop_nest((1, 1), ()) == (Loop(1, (0, 0)),)


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(add.OP, case)


@parametrize((*CASES, *WIDE, *PLAIN))
def test_integers_equal_tflm(case: Case) -> None:
    int_law(add.OP, case)


@parametrize((*CASES, *WIDE))
def test_integers_stay_near_float(case: Case) -> None:
    step_law(add.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(add.OP, (*CASES, *WIDE, *PLAIN), tmp_path)


@settings(deadline=None, max_examples=15)
@given(
    first=st.builds(per_tensor, scales(1e-4, 1e3), zero_points),
    second=st.builds(per_tensor, scales(1e-4, 1e3), zero_points),
    ratio=scales(2.0**-12, 2.0**12),
    zero_point=zero_points,
    activation=st.sampled_from([Add(), Add(RELU), Add(RELU6)]),
)
@example(per_tensor(0.1, -128), per_tensor(0.1, -128), 1.0, 127, Add())
@example(per_tensor(0.1, 127), per_tensor(1e-9, 127), 2.0**-18, -128, Add())
def test_every_pair_equals_tflm(
    first: QParams, second: QParams, ratio: float, zero_point: int, activation: Add
) -> None:
    # (TFLite refuses a fused RELU6 below scale 6 / 2^31: the drawn scales stay above)
    output = per_tensor(max(float(first.scale[0]), float(second.scale[0])) * ratio, zero_point)
    exhaustive_law(add.OP, activation, (first, second), output)


def test_a_sum_that_is_always_zero_is_refused() -> None:
    with pytest.raises(TinyptqError, match="too fine for inputs of scale 1 "):
        lowered(per_tensor(1.0), per_tensor(0.5), per_tensor(1e-7))


def test_constraints() -> None:
    assert broken(add.OP, Add(), (1, 4, 5, 3), (1, 1, 1, 3)) == []
    assert broken(add.OP, Add(), (1, 4, 5, 3), (1, 4, 5, 2)) == ["broadcastable"]
    assert broken(add.OP, Add(), (1, 2, 2, 2, 2), (1, 2, 2, 2, 2)) == ["broadcastable"]
    assert broken(add.OP, Add(), (1, 3), draw("batch", 2, 3)) == ["broadcastable"]
    assert broken(add.OP, Add(), (1, 4, 5, 3), (1, 3)) == ["same_rank"]
    assert broken(add.OP, Add(), draw("a", 1, 3), draw("b", 1, 3)) == ["one_activation"]


@settings(deadline=None, max_examples=25)
@given(first=scales(1e-6, 1e2), second=scales(1e-6, 1e2), ratio=scales(2.0**-12, 2.0**12))
@example(1e-3, 1e-3, 1.0)
def test_int16_pairs_equal_tflm(first: float, second: float, ratio: float) -> None:
    wide_law(add.OP, Add(), (first, second), max(first, second) * ratio)


def test_int32_with_scales_is_refused() -> None:
    number, step = (Operand((1, 3), per_tensor(scale), dtype=np.dtype(np.int32)) for scale in (1.0, 0.5))
    with pytest.raises(TinyptqError, match="has to be plain numbers"):
        add.lower(Add(), (number, step), (number,))
    with pytest.raises(TinyptqError, match="tflite-micro ignores it"):
        add.lower(Add(RELU), (number, number), (number,))
