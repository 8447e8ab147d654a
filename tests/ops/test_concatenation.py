"""CONCATENATION: blocks on paper, the laws on axes and numbers of inputs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from tests.laws import Case, c_law, draw, float_law, int_law, parametrize, step_law, widened
from tests.ops.refusals import broken
from tinyptq.graph import QParams, Tensor
from tinyptq.ops import concatenation
from tinyptq.ops.activation import RELU
from tinyptq.ops.base import Operand, TfliteOperator
from tinyptq.ops.concatenation import Block, Concatenation

CASES = (
    Case("channels", Concatenation(3), ((1, 3, 4, 2), (1, 3, 4, 5)), "two branches joined"),
    Case("rows", Concatenation(1), ((1, 2, 4, 3), (1, 3, 4, 3)), "the outermost axis is one copy each"),
    Case("columns", Concatenation(2), ((1, 3, 1, 2), (1, 3, 2, 2), (1, 3, 3, 2)), "three inputs in the middle"),
    Case("vectors", Concatenation(1), ((1, 3), (1, 4)), "two dimensions"),
    Case("constant", Concatenation(3), ((1, 3, 4, 2), draw("constant", 1, 3, 4, 1)), "a constant is one of them"),
    Case("many", Concatenation(2), tuple((1, 2, k) for k in range(1, 8)), "seven inputs"),
    Case("alone", Concatenation(1), ((1, 5),), "one input is a copy"),
)
WIDE = (*widened(CASES), *widened(CASES, "int32"))


def test_on_paper() -> None:
    qparams = QParams.per_tensor(0.1, 3)
    inputs = (Operand((1, 2, 1), qparams), Operand((1, 2, 2), qparams))
    params = concatenation.lower(Concatenation(2), inputs, (Operand((1, 2, 3), qparams),))
    y = concatenation.run_int(params, np.int8([[[1], [2]]]), np.int8([[[3, 4], [5, 6]]]))
    assert y.tolist() == [[[1, 3, 4], [2, 5, 6]]]
    assert (params.repeats, params.block, params.blocks) == (2, 3, (Block(1, 0, 1), Block(2, 1, 2)))


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(concatenation.OP, case)


@parametrize((*CASES, *WIDE))
def test_integers_equal_tflm(case: Case) -> None:
    int_law(concatenation.OP, case)


@parametrize((*CASES, *WIDE))
def test_integers_stay_near_float(case: Case) -> None:
    step_law(concatenation.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(concatenation.OP, (*CASES, *WIDE), tmp_path)


def test_a_negative_axis_counts_from_the_end() -> None:
    options = SimpleNamespace(Axis=lambda: -1, FusedActivationFunction=lambda: 0)
    output = Tensor("out", (1, 2, 3), np.dtype(np.float32))
    assert concatenation.read_tflite(TfliteOperator("CONCATENATION", options, (), (output,))) == Concatenation(2)


def test_constraints() -> None:
    op = concatenation.OP
    assert broken(op, Concatenation(1), (1, 3), (1, 4)) == []
    assert broken(op, Concatenation(0), (1, 3), (1, 3)) == ["inner_axis"]
    assert broken(op, Concatenation(2), (1, 3), (1, 3)) == ["inner_axis"]
    assert broken(op, Concatenation(2), (1, 3, 2), (1, 4, 2)) == ["equal_sides"]
    assert broken(op, Concatenation(1, RELU), (1, 3), (1, 4)) == ["no_activation"]
