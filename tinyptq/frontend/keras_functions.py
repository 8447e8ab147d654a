"""Keras' activations that TFLite has no operator for, as functions of one element: each becomes a table.

Sources: `keras/src/activations/activations.py` and, where Keras 2 differs, `keras/activations.py`.
All are computed in float64 and rounded to float32 once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tinyptq.graph import Array
from tinyptq.ops.function import Function

Real = Callable[[Array], Array]

SELU_ALPHA = 1.6732632423543772  # Source: Klambauer et al., Self-Normalizing Neural Networks, equation (14)
SELU_SCALE = 1.0507009873554805


def function(real: Real) -> tuple[str, Function]:
    """(operator, attributes) of a float64 function."""

    def rounded(x: Array) -> Array:
        with np.errstate(over="ignore"):
            return real(x.astype(np.float64)).astype(np.float32)

    return "function", Function(real=rounded)


def elu(alpha: float, scale: float = 1.0) -> Real:
    return lambda x: np.asarray(scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0))))


def rectified(slope: float, threshold: float, cap: float) -> Real:
    """x between threshold and cap, slope · (x − threshold) below, cap above."""
    return lambda x: np.minimum(np.where(x > threshold, x, slope * (x - threshold)), cap)


def softplus(x: Array) -> Array:
    return np.asarray(np.logaddexp(x, 0.0))


def hard_sigmoid(slope: float) -> Real:
    return lambda x: np.clip(slope * x + 0.5, 0.0, 1.0)


FUNCTIONS: Mapping[str, tuple[str, Function]] = {
    "hard_sigmoid": function(hard_sigmoid(1.0 / 6.0)),
    "selu": function(elu(SELU_ALPHA, SELU_SCALE)),
    "softplus": function(softplus),
    "softsign": function(lambda x: x / (1.0 + np.abs(x))),
    "mish": function(lambda x: x * np.tanh(softplus(x))),
    "celu": function(elu(1.0)),
    "log_sigmoid": function(lambda x: -softplus(-x)),
    "tanh_shrink": function(lambda x: x - np.tanh(x)),
    "hard_shrink": function(lambda x: np.where(np.abs(x) > 0.5, x, 0.0)),
    "soft_shrink": function(lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0.0)),
    "squareplus": function(lambda x: (x + np.sqrt(x * x + 4.0)) / 2.0),
}
KERAS_2: Mapping[str, tuple[str, Function]] = {"hard_sigmoid": function(hard_sigmoid(0.2))}
