"""What convolution-like operators share: exact matmuls through floats, requantization in blocks, overflow proofs."""

from __future__ import annotations

import numpy as np
import pytest

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import multiply_by_quantized_multiplier
from tinyptq.graph import QParams
from tinyptq.ops.base import Operand
from tinyptq.ops.requantize import (
    BLOCK,
    accumulator_bound,
    channel_multipliers,
    exact_dtype,
    exact_matmul,
    fold_zero_point,
    prove_no_overflow,
    requantize,
    sample_blocks,
)


def test_float32_only_while_it_counts_every_integer() -> None:
    """2^24 + 1 is the first integer float32 cannot hold."""
    assert exact_dtype(2.0**24 - 1) is np.float32
    assert exact_dtype(2.0**24) is np.float64
    with pytest.raises(AssertionError):
        exact_dtype(2.0**53)


@pytest.mark.parametrize("depth", [1, 9, 1032, 1033, 5000])
def test_exact_matmul_equals_integers(depth: int) -> None:
    """Full-scale operands of one sign: the largest sums a product of this depth can make."""
    rng = np.random.default_rng(depth)
    x = rng.choice(np.array([-128, -127, 126], np.int8), (3, depth))
    w = rng.choice(np.array([127, 126], np.int8), (depth, 2))
    for known in (None, 128.0):
        product = exact_matmul(x, w, known)
        assert np.array_equal(product.astype(np.int64), x.astype(np.int64) @ w.astype(np.int64))


def test_blocks_are_invisible() -> None:
    """More rows than one block, an odd remainder, and every kind of shift."""
    rng = np.random.default_rng(3)
    channels = 5
    accumulator = rng.integers(-(2**20), 2**20, (2 * BLOCK // channels + 17, channels))
    multiplier, shift = rng.integers(2**30, 2**31, channels), np.array([-12, -1, 0, 3, -31])
    bias = rng.integers(-1000, 1000, channels)
    expected = multiply_by_quantized_multiplier(accumulator + bias, multiplier, shift) + 4
    actual = requantize(accumulator.astype(np.float32), multiplier, shift, 4, -100, 90, bias=bias)
    assert actual.dtype == np.int8
    assert np.array_equal(actual, np.clip(expected, -100, 90))


def test_sample_blocks_cover_the_batch_once() -> None:
    for count, elements in ((1, 1), (200, 8000), (7, 1 << 30), (1000, 3)):
        covered = np.concatenate([np.arange(count)[block] for block in sample_blocks(count, elements)])
        assert covered.tolist() == list(range(count))


def test_folding_and_bound_on_paper() -> None:
    """Filters [1, -2] and [3, 0], zero point 5: 10 - 5·(1-2) = 15 and -1 - 5·3 = -16; bounds 255·3 + 10, 255·3 + 1."""
    weights, bias = np.array([[1, -2], [3, 0]], np.int8), np.array([10, -1], np.int32)
    assert fold_zero_point(bias, weights, 0, 5).tolist() == [15, -16]
    assert accumulator_bound(weights, bias, 0).tolist() == [775, 766]


def test_overflow_is_proved_or_refused() -> None:
    prove_no_overflow(np.array([1000, 2**30]), np.array([20, 0]))
    with pytest.raises(TinyptqError) as refusal:
        prove_no_overflow(np.array([1000, 2**30]), np.array([0, 1]))
    assert refusal.value.reference == "accumulator-overflow"
    assert "channel 1" in refusal.value.message


def test_channel_multipliers_on_paper() -> None:
    """0.5 · 0.25 / 2 = 1/16 = 2^30 · 2^(-3 - 31); 0.5 · 8 / 2 = 2 = 2^30 · 2^(2 - 31)."""
    weight = Operand((2, 1), QParams(np.array([0.25, 8], np.float32), np.zeros(2, np.int32), 0))
    image, output = (Operand((1, 1), QParams.per_tensor(scale)) for scale in (0.5, 2.0))
    multiplier, shift = channel_multipliers(image, weight, output, 2)
    assert (multiplier.tolist(), shift.tolist()) == ([2**30, 2**30], [-3, 2])
