"""TANH: the hyperbolic tangent, element by element."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array
from tinyptq.ops.sigmoidal import sigmoidal_op


@dataclass(frozen=True)
class Tanh:
    """The float operator has no attributes."""


def run_float(attrs: Tanh, x: Array) -> Array:
    y: Array = np.tanh(x)
    return y


OP = sigmoidal_op("tanh", "the hyperbolic tangent, element by element", Tanh, run_float)
