"""LOGISTIC: 1 / (1 + exp(−x)), element by element."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array
from tinyptq.ops.sigmoidal import sigmoidal_op


@dataclass(frozen=True)
class Logistic:
    """The float operator has no attributes."""


def run_float(attrs: Logistic, x: Array) -> Array:
    """Written so that exp never overflows."""
    exponential = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + exponential), exponential / (1 + exponential)).astype(np.float32)


OP = sigmoidal_op("logistic", "1 / (1 + exp(−x)), element by element", Logistic, run_float)
