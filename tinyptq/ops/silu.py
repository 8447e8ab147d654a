"""SILU: x · logistic(x), element by element, also called swish.

TFLite has no such operator: `passes/fuse_silu.py` finds it in graphs. Our specification: the float64 function of the
dequantized input, rounded once, half away from zero (ops/lookup.py), so within half a step of the real function,
where LOGISTIC followed by MUL may be a step and a half off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array
from tinyptq.ops.base import Operand
from tinyptq.ops.lookup import TableInt, real_table, table_op

STEEPEST = 700.0  # e^700 is still a float64


@dataclass(frozen=True)
class Silu:
    """The float operator has no attributes."""


def run_float(attrs: Silu, x: Array) -> Array:
    """Written so that exp never overflows."""
    exponential = np.exp(-np.abs(x))
    return (x * np.where(x >= 0, 1 / (1 + exponential), exponential / (1 + exponential))).astype(np.float32)


def silu(x: float) -> float:
    return x / (1.0 + math.exp(min(-x, STEEPEST)))


def lower(attrs: Silu, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> TableInt:
    return real_table(silu, inputs[0], outputs[0])


OP = table_op("silu", "x · logistic(x), element by element", Silu, run_float, lower, dtypes=("int8",))
