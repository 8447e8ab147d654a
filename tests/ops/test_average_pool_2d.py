"""AVERAGE_POOL_2D: numbers on paper, then the laws over windows that stick out of the image."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.laws import Case, c_law, file_law, float_law, int_law, parametrize, step_law, widened
from tests.ops.refusals import broken
from tinyptq.graph import QParams
from tinyptq.ops import average_pool_2d
from tinyptq.ops.activation import RELU, RELU6, RELU_N1_TO_1
from tinyptq.ops.average_pool_2d import AveragePool2D
from tinyptq.ops.base import Operand
from tinyptq.ops.window import Window, make_window

OP = average_pool_2d.OP


def same(size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int]) -> Window:
    return make_window("same", size, kernel, stride)


CASES = (
    Case("2x2", AveragePool2D(Window((2, 2), (2, 2))), ((1, 8, 6, 5),), "the usual pool"),
    Case("global", AveragePool2D(Window((5, 7), (5, 7))), ((1, 5, 7, 9),), "one output"),
    Case("3x3-same", AveragePool2D(same((7, 6), (3, 3), (2, 2)), RELU), ((1, 7, 6, 4),), "4, 6 or 9 taps"),
    Case("same-s1", AveragePool2D(same((5, 5), (4, 2), (1, 1)), RELU6), ((1, 5, 5, 3),), "even windows lean right"),
    Case("1d", AveragePool2D(Window((1, 4), (1, 4))), ((1, 1, 25, 6),), "a short tail is dropped"),
    Case("clamp", AveragePool2D(Window((2, 2)), RELU_N1_TO_1), ((1, 4, 4, 2),), "bounds inside the range"),
    Case("stride-over", AveragePool2D(same((9, 9), (2, 2), (4, 4))), ((1, 9, 9, 2),), "unread rows"),
    Case("tall-pad", AveragePool2D(same((2, 2), (5, 5), (1, 1))), ((1, 2, 2, 3),), "every window covers the image"),
)
WIDE = widened(CASES)


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(OP, case)


@parametrize((*CASES, *WIDE))
def test_integers_equal_tflm(case: Case) -> None:
    int_law(OP, case)


@parametrize((*CASES, *WIDE))
def test_integers_are_near_the_floats(case: Case) -> None:
    step_law(OP, case)


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(OP, (*CASES, *WIDE), tmp_path)


def pool(*values: int) -> int:
    qparams = QParams.per_tensor(0.5, 3)
    inputs, output = Operand((1, 1, len(values), 1), qparams), Operand((1, 1, 1, 1), qparams)
    params = OP.lower(AveragePool2D(Window((1, len(values)))), (inputs,), (output,))
    y = OP.run_int(params, np.array(values, np.int8).reshape(1, 1, -1, 1))
    return int(y.ravel()[0])


def test_on_paper() -> None:
    """Ties go away from zero, whatever the zero point: 3/2 -> 2, -3/2 -> -2, 4/3 -> 1, -5/3 -> -2."""
    assert [pool(1, 2), pool(-1, -2), pool(1, 1, 2), pool(-1, -2, -2)] == [2, -2, 1, -2]


def test_refusals() -> None:
    assert broken(OP, AveragePool2D(Window((2, 2), pad_top=1)), (1, 5, 5, 2)) == ["nameable_padding"]
    assert broken(OP, AveragePool2D(Window((256, 256))), (1, 300, 300, 1)) == ["countable_taps"]
    assert broken(OP, AveragePool2D(Window((2, 2), dilation=(2, 1))), (1, 5, 5, 2)) == ["undilated"]
