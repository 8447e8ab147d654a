"""EXP: e^x, element by element.

tflite-micro refuses integers here. Our specification (ops/lookup.py): int8 is the float64 function of the dequantized
input, rounded once, half away from zero, so within half a step of the real function; int16 is interpolated in a table.
What overflows saturates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array
from tinyptq.ops.base import Operand
from tinyptq.ops.lookup import TableInt, real_table, table_op

LIMIT = 700.0  # e^700 is beyond any float32 scale and still a float64


@dataclass(frozen=True)
class Exp:
    """The float operator has no attributes."""


def run_float(attrs: Exp, x: Array) -> Array:
    with np.errstate(over="ignore"):
        return np.exp(x).astype(np.float32)


def exp(x: float) -> float:
    return math.exp(min(x, LIMIT))


def lower(attrs: Exp, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> TableInt:
    return real_table(exp, inputs[0], outputs[0])


OP = table_op("exp", "e to the power of x, element by element", Exp, run_float, lower, ("EXP",))
