"""Sigmoid and tanh of int16: numbers on paper, and all 65536 inputs of every scale against tflite-micro."""

from __future__ import annotations

import numpy as np
import pytest

from tests import tiny_tflite
from tests.laws import Lowered, run_tflm
from tinyptq.graph import Array, QParams, Tensor
from tinyptq.ops import sigmoid_int16
from tinyptq.ops.base import Operand, TfliteCode

EVERY = np.arange(-(2**15), 2**15).astype(np.int16)
INT16 = np.dtype(np.int16)


def oracle(builtin: str, power: int) -> Array:
    shape, output = (1, EVERY.size), QParams.per_tensor(2.0**-15)
    source = Tensor("in", shape, INT16, None, QParams.per_tensor(2.0**power))
    result = Tensor("out", shape, INT16, None, output)
    model = tiny_tflite.write_layer((TfliteCode(builtin, version=3),), (source,), (result,))
    return run_tflm(model, Lowered(None, (), (Operand(shape, output),), (EVERY[None],)))[0]


def test_on_paper() -> None:
    """In Q3.12: sigmoid(1) · 2^15 = 23955.3 (the table says 23956), tanh(1) · 2^15 = 24955.9."""
    assert sigmoid_int16.sigmoid(np.array([0, 4096, -4096])).tolist() == [16384, 23956, 8812]
    assert sigmoid_int16.tanh(np.array([0, 4096, -4096])).tolist() == [0, 24956, -24956]
    assert sigmoid_int16.sigmoid(np.array([32767, -32768])).tolist() == [32757, 11]
    assert sigmoid_int16.tanh(np.array([32767, -32768])).tolist() == [32767, -32767]


@pytest.mark.parametrize("power", range(-15, -8))
def test_every_input_equals_tflm(power: int) -> None:
    assert np.array_equal(sigmoid_int16.sigmoid(EVERY, power), oracle("LOGISTIC", power))
    assert np.array_equal(sigmoid_int16.tanh(EVERY, power), oracle("TANH", power))


@pytest.mark.parametrize("power", range(-15, 3))
def test_near_the_real_functions(power: int) -> None:
    """Within 2 steps of 2^-15, whatever the scale; the rounding of the argument at scales below 2^-12 adds to it."""
    x = EVERY.astype(np.float64) * 2.0**power
    slope = 2.0 ** max(-12 - power, 0) * 2.0**power * 2.0**15 / 3
    assert np.abs(sigmoid_int16.sigmoid(EVERY, power) - 2.0**14 * (1 + np.tanh(x / 2))).max() <= 2 + slope / 4
    assert np.abs(sigmoid_int16.tanh(EVERY, power) - 2.0**15 * np.tanh(x)).max() <= 2 + slope


def test_the_table_does_not_hang_on_the_last_bit_of_exp() -> None:
    """Its entries before rounding are 10^-3 or more away from a tie; exp is off by 10^-11 of a step at most."""
    i = np.arange(255)
    y = 1.0 / (1.0 + np.exp(-i / 24))
    exact = 2.0**16 * (y - y * (1 - y) * (1 - 2 * y) / (24 * 24 * 16))
    assert np.abs(exact - np.floor(exact) - 0.5).min() > 1e-3
    assert np.array_equal(np.rint(exact), sigmoid_int16.TABLE[:255])
