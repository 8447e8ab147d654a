"""What LSTM and GRU share: the float gates, and how their weights become integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import round_half_away_array
from tinyptq.graph import Array, QParams

LARGEST_BIAS = 2.0**29  # leaves room for the products in a 32-bit accumulator


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(−x)), float32, without overflow."""
    y: Array = np.float32(0.5) * (np.float32(1.0) + np.tanh(np.float32(0.5) * x))
    return y


def float_gates(x: Array, weights: Sequence[Array], biases: Sequence[Array]) -> Array:
    """x [n, steps, depth] · weights + bias for every gate, side by side: [n, steps, gates · units]."""
    y: Array = x @ np.concatenate(weights).T + np.concatenate(biases)
    return y


def round_gates(
    attrs: Any, x: QParams, output: QParams, constants: Sequence[Array]
) -> tuple[tuple[Array, QParams], ...]:
    """Integers and scales of a third input weights, a third recurrent weights, a third biases, float32 each.

    Weights: symmetric int8, one scale per gate, as TFLite Micro demands; bias: int32, scale input · input weights.
    """
    gates = len(constants) // 3
    weights, recurrent, biases = (constants[i * gates : (i + 1) * gates] for i in range(3))
    scale = float(x.scale[0])
    largest = [float(np.abs(bias).max(initial=0.0)) / scale for bias in biases]
    rounded = [round_weights(w, bias) for w, bias in zip(weights, largest, strict=True)]
    again = [round_weights(r, 0.0) for r in recurrent]
    added = [round_bias(b, np.float32(scale) * w[1].scale) for b, w in zip(biases, rounded, strict=True)]
    return (*rounded, *again, *added)


def round_weights(weights: Array, bias: float, limit: int = 127) -> tuple[Array, QParams]:
    """int8, or int16 for limit 32767. One scale, so large that a bias, in units of the input's, stays below 2^29."""
    scale = np.float32(max(float(np.abs(weights).max(initial=0.0)) / limit, bias / LARGEST_BIAS, 1e-30))
    values = np.clip(round_half_away_array(weights.astype(np.float64) / float(scale)), -limit, limit)
    return values.astype(np.int8 if limit == 127 else np.int16), QParams.per_tensor(float(scale))


def round_bias(bias: Array, scale: Array) -> tuple[Array, QParams]:
    values = round_half_away_array(bias.astype(np.float64) / scale.astype(np.float64))
    return values.astype(np.int32), QParams(scale.astype(np.float32), np.zeros(1, np.int32))


def require_reducing(factor: tuple[int, int], qparams: QParams) -> tuple[int, int]:
    """A product of two int16 numbers is only ever rescaled to less."""
    if factor[1] > 0:
        raise TinyptqError(
            "scale-out-of-range",
            f"the hidden state's scale {float(qparams.scale[0]):.3g} is finer than its gates resolve",
            hint="calibrate with data for which this layer is not always zero",
        )
    return factor
