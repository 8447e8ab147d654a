"""PADV2: a border on paper, the laws on values within the range of the tensor and at its ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests import tiny_tflite
from tests.laws import Case, c_law, int8_model, int_law, lower_case, parametrize, step_law, widened
from tests.ops.refusals import broken
from tinyptq.errors import TinyptqError
from tinyptq.graph import QParams, Tensor
from tinyptq.ops import pad_v2
from tinyptq.ops.base import Operand, TfliteOperator
from tinyptq.ops.pad_v2 import PadV2

TENTH = {0: QParams.per_tensor(0.1, 9)}
CASES = (
    Case("image", PadV2((0, 1, 2, 0), (0, 3, 1, 0), 1.0), ((1, 4, 5, 3),), "rows and columns", TENTH),
    Case("channels", PadV2((0, 0, 0, 1), (0, 0, 0, 2), -0.5), ((1, 4, 5, 3),), "channels", TENTH),
    Case("all", PadV2((0, 1, 2, 3), (0, 3, 2, 1), 0.3), ((1, 2, 3, 4),), "every axis but the batch", TENTH),
    Case("vector", PadV2((0, 2), (0, 1), 0.7), ((1, 5),), "two dimensions", TENTH),
    Case("zero", PadV2((0, 2, 0), (0, 0, 0), 0.0), ((1, 5, 3),), "as PAD", TENTH),
)
WIDE = (*widened(CASES), *widened(CASES, "int32"))


def test_on_paper() -> None:
    """0.5 in steps of 0.1 is 5, and the zero point makes it 14; -100 is beyond the range: its lower end."""
    operand = Operand((1, 2), QParams.per_tensor(0.1, 9))
    for value, fill in ((0.5, 14), (-100.0, -128), (100.0, 127)):
        params = pad_v2.lower(PadV2((0, 1), (0, 1), value), (operand,), (replace(operand, shape=(1, 4)),))
        assert pad_v2.run_int(params, np.int8([[1, 2]])).tolist() == [[fill, 1, 2, fill]]


def test_float_equals_numpy() -> None:
    x = np.ones((2, 2, 1), np.float32)
    assert pad_v2.run_float(PadV2((0, 1, 0), (0, 0, 1), -2.5), x)[1].tolist() == [[-2.5, -2.5], [1, -2.5], [1, -2.5]]


@parametrize((*CASES, *WIDE))
def test_integers_equal_tflm(case: Case) -> None:
    int_law(pad_v2.OP, case)


@parametrize((*CASES, *WIDE))
def test_integers_stay_near_float(case: Case) -> None:
    step_law(pad_v2.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(pad_v2.OP, (*CASES, *WIDE), tmp_path)


@parametrize(CASES)
def test_an_integer_value_of_a_file_comes_back(case: Case) -> None:
    lowered = lower_case(pad_v2.OP, case)
    attrs = pad_v2.read_tflite(tiny_tflite.read_layer(int8_model(pad_v2.OP, lowered)))
    assert pad_v2.lower(attrs, lowered.operands, lowered.outputs) == lowered.params


def operator(value: Tensor | None) -> TfliteOperator:
    x = Tensor("x", (1, 5), np.dtype(np.float32))
    paddings = np.array([[0, 0], [1, 2]], np.int32)
    return TfliteOperator("PADV2", None, (x, Tensor("p", (2, 2), paddings.dtype, paddings), value), (x,))


def test_a_float_value() -> None:
    value = Tensor("v", (), np.dtype(np.float32), np.array(1.5, np.float32))
    assert pad_v2.read_tflite(operator(value)) == PadV2((0, 1), (0, 2), 1.5)


@pytest.mark.parametrize("value", [None, Tensor("v", (1,), np.dtype(np.int8), np.int8([3]))])
def test_hostile_values_are_refused(value: Tensor | None) -> None:
    with pytest.raises(TinyptqError):
        pad_v2.read_tflite(operator(value))


def test_constraints() -> None:
    assert broken(pad_v2.OP, PadV2((0, 1), (0, 1), 1.0), (1, 3)) == []
    assert broken(pad_v2.OP, PadV2((1, 1), (0, 1), 1.0), (1, 3)) == ["keeps_batch"]
    assert broken(pad_v2.OP, PadV2((0, 1), (0, 1), float("-inf")), (1, 3)) == ["finite_value"]
