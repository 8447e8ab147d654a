"""What GRU and simple RNN share: int16 gates and hidden state, matrix products as TFLite's 16x8 FULLY_CONNECTED.

Arrays have one row per gate. Gates before their function have the scale 2^power, hidden state and gates 2^-15; the int8
input enters the products times 2^7, as a QUANTIZE to int16 makes it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import (
    multiply_by_quantized_multiplier,
    multiply_by_reduced_multiplier,
    quantize_multipliers,
    reduce_multipliers,
)
from tinyptq.graph import Array, QParams
from tinyptq.ops.base import Operand
from tinyptq.ops.recurrent import round_bias, round_weights
from tinyptq.ops.requantize import exact_matmul, fold_zero_point
from tinyptq.ops.sigmoid_int16 import INT16_MAX, INT16_MIN

HIDDEN_POWER = -15  # of the scale of hidden state and gates
INPUT_BITS = 7  # the int8 input times 2^7 is the int16 input of the matrix products
ONE = 1 << 15
POWERS = range(-12, -4)  # of the gates' scale: from ±8 to ±1024
LARGEST_SHIFT = 7  # of a 64-bit accumulator's rescaling, in TFLite
HIDDEN_STEP = np.array([2.0**HIDDEN_POWER], np.float32)


class Products(Protocol):
    """The part of an operator's params that says how inputs and hidden state become gates."""

    @property
    def weights(self) -> Array: ...  # int8 [gates, units, depth]
    @property
    def recurrent(self) -> Array: ...  # int8 [gates, units, units]
    @property
    def input_bias(self) -> Array: ...  # int32 [gates, units], the input's zero point folded in
    @property
    def recurrent_bias(self) -> Array: ...  # int32 [gates, units]
    @property
    def input_multiplier(self) -> Array: ...  # int16 [gates]
    @property
    def input_shift(self) -> Array: ...  # int8 [gates]
    @property
    def recurrent_multiplier(self) -> Array: ...  # int16 [gates]
    @property
    def recurrent_shift(self) -> Array: ...  # int8 [gates]


# Lowering.


def input_step(x: QParams) -> Array:
    """The scale of the 16-bit input, float32 [1]."""
    step: Array = np.float32(2.0**-INPUT_BITS) * x.scale
    return step


def power_of(largest: float, known: int | None) -> int:
    """The finest power of two that holds `largest` and what was known before."""
    power = math.ceil(math.log2(max(largest, 1.0) / 32767))
    return min(max(power, POWERS[0] if known is None else known), POWERS[-1])


def round_gates(
    weights: Sequence[Array], biases: Sequence[Array], step: Array
) -> tuple[list[tuple[Array, QParams]], list[tuple[Array, QParams]]]:
    """Symmetric int8 weights, one scale per gate; biases, int64 as TFLite's 16x8 products have them, in units of step
    times the weights' scale, and small enough for 32 bits.
    """
    rounded = [
        round_weights(w, float(np.abs(b).max(initial=0.0)) / float(step[0]))
        for w, b in zip(weights, biases, strict=True)
    ]
    added = [round_bias(b, step * w[1].scale) for b, w in zip(biases, rounded, strict=True)]
    return rounded, [(values.astype(np.int64), qparams) for values, qparams in added]


def stacked(operands: tuple[Operand, ...]) -> Array:
    return np.stack([operand.data for operand in operands if operand.data is not None])


def multipliers(step: Array, weights: tuple[Operand, ...], power: int) -> tuple[Array, Array]:
    """(int16 multipliers, int8 shifts) of step · s_w / 2^power per gate, product in float32.

    Source: TFLite GetQuantizedConvolutionMultipler, and the 16 bits a 64-bit accumulator is multiplied with.
    """
    products = np.concatenate([step * weight.qparams.scale for weight in weights]).astype(np.float64)
    wide, shift = quantize_multipliers(products / 2.0**power)
    if shift.max(initial=0) > LARGEST_SHIFT:
        raise TinyptqError("scale-out-of-range", "the weights of a gate are too large", hint="scale the inputs down")
    reduced, _ = reduce_multipliers(wide, shift)
    return reduced.astype(np.int16), shift


def prove_accumulators(weights: Array, bias: Array, peak: int) -> None:
    """Refuse weights [gates, units, n] with which Σ x·w + bias, |x| <= peak, can leave 32 bits."""
    reach = int((np.abs(weights.astype(np.int64)).sum(axis=2) * peak + np.abs(bias)).max(initial=0))
    if reach >= 2**31:
        raise TinyptqError(
            "accumulator-overflow",
            f"a gate can reach {reach:.3g}, beyond a 32-bit accumulator",
            hint="fewer units, or an input of fewer features",
        )


def folded_bias(bias: Array, weights: Array, zero_point: int) -> Array:
    """int32 [gates, units]: the input's zero point folded in."""
    return np.stack([fold_zero_point(b, w, 0, zero_point << INPUT_BITS) for b, w in zip(bias, weights, strict=True)])


# The integers.


def seen(params: Products, x: Array) -> Array:
    """What the input [n, steps, depth] adds to every gate: int64 [n, steps, gates, units] in int16 range."""
    gates, units, depth = params.weights.shape
    product = exact_matmul(x.reshape(-1, depth), params.weights.reshape(-1, depth).T, peak=128)
    accumulator = (product.reshape(*x.shape[:2], gates, units).astype(np.int64) << INPUT_BITS) + params.input_bias
    return rescale64(accumulator, params.input_multiplier[:, None], params.input_shift[:, None])


def remembered(params: Products, hidden: Array, first: int, end: int) -> Array:
    """What the hidden state [n, units] adds to the gates [first, end): int64 [n, end − first, units] in int16 range."""
    units = params.recurrent.shape[1]
    product = exact_matmul(hidden, params.recurrent[first:end].reshape(-1, units).T, peak=ONE)
    accumulator = product.reshape(len(hidden), end - first, units).astype(np.int64) + params.recurrent_bias[first:end]
    multiplier, shift = params.recurrent_multiplier[first:end], params.recurrent_shift[first:end]
    return rescale64(accumulator, multiplier[:, None], shift[:, None])


def rescale64(accumulator: Array, multiplier: Array, shift: Array) -> Array:
    """accumulator · multiplier · 2^(shift − 15), rounded once, in int16 range."""
    return clamp16(multiply_by_reduced_multiplier(accumulator, multiplier, 15 - shift.astype(np.int64)))


def to_output(hidden: Array, factor: tuple[int, int], zero_point: int) -> Array:
    """The hidden state in the output's scale, int8."""
    y = multiply_by_quantized_multiplier(hidden.astype(np.int64), *factor) + zero_point
    narrow: Array = np.clip(y, -128, 127).astype(np.int8)
    return narrow


def clamp16(x: Array) -> Array:
    limited: Array = np.clip(x, INT16_MIN, INT16_MAX)
    return limited
