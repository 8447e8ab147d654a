"""SVDF: two frames on paper, the laws with int8 and int16 state, frames one by one and many at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.c_harness import run_c
from tests.laws import (
    Case,
    Lowered,
    assert_same_bytes,
    c_function,
    c_law,
    draw,
    file_law,
    float_law,
    int8_model,
    int_law,
    lower_case,
    parametrize,
    run_tflm,
    step_law,
)
from tests.ops.refusals import broken, sentences
from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import quantize_multiplier
from tinyptq.graph import Array, QParams
from tinyptq.ops import svdf
from tinyptq.ops.activation import NONE, RELU
from tinyptq.ops.base import Operand
from tinyptq.ops.svdf import Svdf

OP = svdf.OP
per_tensor = QParams.per_tensor


def case(name: str, depth: int, units: int, rank: int, memory: int, why: str, scale: float = 0.002) -> Case:
    """int16 state of the given scale; its output is never negative, as keyword spotters have it."""
    filters = units * rank
    constants = (draw(f"{name}/f", filters, depth), draw(f"{name}/t", filters, memory), draw(f"{name}/b", units))
    return Case(name, Svdf(rank, RELU, "int16", scale), ((1, depth), *constants), why, count=12)


CASES = (
    case("keyword", 96, 64, 1, 8, "the first layer of keyword_scrambled"),
    case("long", 32, 32, 1, 32, "its last ones"),
    case("rank", 10, 6, 3, 5, "three filters an output"),
    case("one", 1, 1, 1, 1, "the smallest; nothing is remembered"),
    case("saturated", 20, 5, 2, 4, "products beyond int16", scale=1e-5),
)


def int8_state(seed: int, scale: float, zero_point: int, depth: int = 9, units: int = 6, rank: int = 2) -> Lowered:
    """Full-range integers with an int8 state, whose zero point is not zero."""
    generator, memory, filters = np.random.default_rng(seed), 5, units * rank
    one = per_tensor(0.01)
    feature, time = (generator.integers(-127, 128, (filters, n)).astype(np.int8) for n in (depth, memory))
    bias = generator.integers(-(2**14), 2**14, units).astype(np.int32)
    operands = (
        Operand((1, depth), per_tensor(0.05, -11)),
        Operand(feature.shape, one, feature),
        Operand(time.shape, one, time),
        Operand(bias.shape, per_tensor(scale * 0.01), bias),
    )
    output = Operand((1, units), per_tensor(0.3, 20))
    params = svdf.lower(Svdf(rank, NONE, "int8", scale, zero_point), operands, (output,))
    return Lowered(params, operands, (output,), (generator.integers(-128, 128, (12, depth)).astype(np.int8),))


def test_on_paper() -> None:
    """Frames 2, 3 times 4 are 8, 12; with time weights (10, 1): 8 at first, then 80 + 12 = 92; a quarter of each."""
    one = per_tensor(1.0)
    operands = (
        Operand((1, 1), one),
        Operand((1, 1), one, np.array([[4]], np.int8)),
        Operand((1, 2), one, np.array([[10, 1]], np.int16)),
        Operand((1,), one, np.zeros(1, np.int32)),
    )
    params = svdf.lower(Svdf(1, NONE, "int16", 1.0), operands, (Operand((1, 1), per_tensor(4.0)),))
    zeros = {"state": np.zeros((1, 2), np.int16)}
    y, after = svdf.run_state(params, zeros, np.array([[2], [3]], np.int8))
    assert y.tolist() == [[2], [23]]
    assert after["state"].tolist() == [[8, 12]]


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(OP, case)


@parametrize(CASES)
def test_integers_equal_tflm(case: Case) -> None:
    int_law(OP, case)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 99),
    scale=st.floats(0.05, 14.0),
    zero_point=st.integers(-128, 127),
    depth=st.integers(1, 20),
    units=st.integers(1, 8),
    rank=st.integers(1, 3),
)
def test_int8_states_equal_tflm(seed: int, scale: float, zero_point: int, depth: int, units: int, rank: int) -> None:
    low = int8_state(seed, scale, zero_point, depth, units, rank)
    expected = run_tflm(int8_model(OP, low), low)
    assert_same_bytes(expected, svdf.run_int(low.params, low.inputs[0]), Case("int8", Svdf(rank), (), "int8 state"))


def test_sums_beyond_32_bits_wrap_as_in_tflm() -> None:
    low = lower_case(OP, CASES[4])
    wide = replace(low.params, time_weights=np.full_like(low.params.time_weights, 32767))
    operands = (*low.operands[:2], replace(low.operands[2], data=wide.time_weights), low.operands[3])
    low = Lowered(wide, operands, low.outputs, (np.full_like(low.inputs[0], 127),))
    centred = svdf.products(wide, low.inputs[0]).astype(np.int64)
    assert np.abs(centred).max() * 32767 * 4 > 2**31
    expected = run_tflm(int8_model(OP, low), low)
    assert_same_bytes(expected, svdf.run_int(wide, low.inputs[0]), CASES[4])


def test_multipliers_are_products_in_double() -> None:
    """Biases on the edge between two outputs: a multiplier that is off by 10^-8 puts half of them on the wrong side."""
    scale_s, scale_t, scale_y = (float(np.float32(s)) for s in (0.77, 0.83, 0.77 * 0.83 / 1.7e-7))
    multiplier, shift = quantize_multiplier(scale_s * scale_t / scale_y)
    edges = (np.arange(5, 120) + 0.5) * 2.0 ** (31 - shift) / multiplier
    bias = np.concatenate([np.floor(edges), np.ceil(edges)]).astype(np.int32)
    zeros = np.zeros((len(bias), 1))
    operands = (
        Operand((1, 1), per_tensor(0.1)),
        Operand(zeros.shape, per_tensor(0.3), zeros.astype(np.int8)),
        Operand(zeros.shape, per_tensor(scale_t), zeros.astype(np.int16)),
        Operand(bias.shape, per_tensor(scale_s * scale_t), bias),
    )
    output = Operand((1, len(bias)), per_tensor(scale_y))
    params = svdf.lower(Svdf(1, NONE, "int16", scale_s), operands, (output,))
    low = Lowered(params, operands, (output,), (np.zeros((1, 1), np.int8),))
    found = run_tflm(int8_model(OP, low), low)
    assert_same_bytes(found, svdf.run_int(params, low.inputs[0]), Case("edges", Svdf(1), (), "edges"))
    single = quantize_multiplier(float(np.float32(np.float32(scale_s) * np.float32(scale_t)) / np.float32(scale_y)))
    assert not np.array_equal(found, svdf.run_int(replace(params, time=single), low.inputs[0]))


@parametrize(CASES[:4])
def test_integers_stay_near_float(case: Case) -> None:
    step_law(OP, case)


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    assert isinstance(case.attrs, Svdf) and case.attrs.state_scale is not None
    rounded = replace(case.attrs, state_scale=float(np.float32(case.attrs.state_scale)))
    file_law(OP, replace(case, attrs=rounded))


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(OP, CASES, tmp_path)


def test_c_equals_numpy_with_int8_state(tmp_path: Path) -> None:
    lows = [int8_state(1, 1.0, 100), int8_state(2, 0.1, -128), int8_state(3, 9.0, 0)]
    outputs = run_c("kernels/svdf/portable.c.j2", [c_function(OP, low) for low in lows], tmp_path)
    for low, (whole,) in zip(lows, outputs, strict=True):
        assert np.array_equal(np.frombuffer(whole, np.int8).reshape(12, -1), svdf.run_int(low.params, low.inputs[0]))


def test_frames_one_by_one() -> None:
    low = lower_case(OP, CASES[2])
    state: Mapping[str, Array] = {name: s.initial for name, s in OP.state(low.params).items()}
    whole = svdf.run_int(low.params, low.inputs[0])
    for index in range(len(whole)):
        y, state = svdf.run_state(low.params, state, low.inputs[0][index : index + 1])
        assert np.array_equal(y[0], whole[index])


def test_calibration_finds_the_states_range() -> None:
    feature, time, bias = (o for o in CASES[2].operands if isinstance(o, np.ndarray))
    x = draw("svdf calibration", 20, 10)
    scale = svdf.calibrate(Svdf(3), x, feature, time, bias).state_scale
    assert scale is not None and abs(scale * 32767 - np.abs(x @ feature.T).max()) < 1e-4
    assert svdf.calibrate(Svdf(3, state_scale=9.0), x, feature, time, bias).state_scale == 9.0


def test_refusals() -> None:
    fitting = CASES[2].operands
    assert broken(OP, Svdf(3), *fitting) == []
    assert broken(OP, Svdf(4), *fitting) == ["matching_shapes"]
    assert broken(OP, Svdf(3), (1, 11), *fitting[1:]) == ["matching_shapes"]
    assert broken(OP, Svdf(3), *fitting[:2], (18, 5), fitting[3]) == ["constant_weights"]
    with pytest.raises(TinyptqError, match="finer than its sums"):
        int8_state(0, 200.0, 0)
    assert all(sentence.endswith(".") for sentence in sentences(OP))
