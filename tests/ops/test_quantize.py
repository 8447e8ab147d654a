"""QUANTIZE: one change of scale on paper, all 256 inputs against tflite-micro for many pairs of scales."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings

from tests.laws import Case, c_law, draw, int_law, parametrize, step_law
from tests.ops.exhaustive import exhaustive_law, scales, zero_points
from tinyptq.errors import TinyptqError
from tinyptq.graph import QParams
from tinyptq.ops import quantize
from tinyptq.ops.base import Operand
from tinyptq.ops.quantize import Quantize

per_tensor = QParams.per_tensor

CASES = (
    Case("finer", Quantize(), ((1, 50),), "the ends saturate", qparams={"output": per_tensor(0.01, 5)}),
    Case(
        "coarser", Quantize(), ((1, 3, 4, 5),), "many inputs share an output", qparams={"output": per_tensor(0.2, -3)}
    ),
    Case(
        "zero-point-only",
        Quantize(),
        ((1, 50),),
        "equal scales",
        qparams={0: per_tensor(0.1, -128), "output": per_tensor(0.1, 127)},
    ),
)


def lowered(source: QParams, target: QParams) -> quantize.QuantizeInt8:
    return quantize.lower(Quantize(), (Operand((1, 3), source),), (Operand((1, 3), target),))


def test_on_paper() -> None:
    # 3 · 0.5 = 1.5 is 6 steps of 0.25, plus 10; 100 · 0.5 is out of range
    y = quantize.run_int(lowered(per_tensor(0.5, 0), per_tensor(0.25, 10)), np.int8([[3, -3, 100]]))
    assert y.tolist() == [[16, 4, 127]]


def test_in_float_it_changes_nothing() -> None:
    x = draw("identity", 2, 5)
    assert quantize.run_float(Quantize(), x) is x


@parametrize(CASES)
def test_integers_equal_tflm(case: Case) -> None:
    int_law(quantize.OP, case)


@parametrize(CASES)
def test_integers_stay_near_float(case: Case) -> None:
    step_law(quantize.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(quantize.OP, CASES, tmp_path)


@settings(deadline=None, max_examples=60)
@given(scale=scales(1e-6, 1e3), ratio=scales(2.0**-20, 2.0**20), zero_point=zero_points, output_zero_point=zero_points)
@example(scale=0.1, ratio=1.0, zero_point=-128, output_zero_point=127)
@example(scale=0.1, ratio=2.0, zero_point=-1, output_zero_point=0)
@example(scale=1.0, ratio=1.0001 * 2.0**-23, zero_point=-128, output_zero_point=0)
def test_every_input_equals_tflm(scale: float, ratio: float, zero_point: int, output_zero_point: int) -> None:
    source, target = per_tensor(scale, zero_point), per_tensor(scale * ratio, output_zero_point)
    exhaustive_law(quantize.OP, Quantize(), (source,), target)


def test_a_scale_too_fine_is_refused() -> None:
    with pytest.raises(TinyptqError, match="too fine for values of scale 1"):
        lowered(per_tensor(1.0), per_tensor(2.0**-24))
