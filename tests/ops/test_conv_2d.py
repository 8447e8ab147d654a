"""CONV_2D: one sum on paper, then the laws on strides, dilations, paddings and clamps."""

from __future__ import annotations

from pathlib import Path

import numpy as np


from tests.laws import Case, c_law, draw, float_law, int_law, parametrize, step_law
from tinyptq.ops import conv_2d
from tinyptq.ops.activation import RELU, RELU6
from tinyptq.ops.conv_2d import Conv2D
from tinyptq.ops.window import Window, make_window

CASES = (
    Case("1x1", Conv2D(Window((1, 1))), ((1, 5, 4, 3), draw("a", 7, 1, 1, 3), draw("b", 7)), "pointwise, no padding"),
    Case(
        "3x3-same",
        Conv2D(make_window("same", (6, 5), (3, 3)), RELU),
        ((1, 6, 5, 4), draw("c", 5, 3, 3, 4), draw("d", 5)),
        "borders hold the zero point",
    ),
)


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(conv_2d.OP, case)


@parametrize(CASES)
def test_integers_equal_tflm(case: Case) -> None:
    int_law(conv_2d.OP, case)
