"""NEG: −x, element by element.

tflite-micro refuses integers here. Our specification (ops/lookup.py): int8 is the float64 function of the dequantized
input, rounded once, half away from zero, so within half a step of the real function; int16 is interpolated in a table;
exact where the scales are equal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array
from tinyptq.ops.base import Operand
from tinyptq.ops.lookup import TableInt, real_table, table_op


@dataclass(frozen=True)
class Neg:
    """The float operator has no attributes."""


def run_float(attrs: Neg, x: Array) -> Array:
    return np.negative(x).astype(np.float32)


def negative(x: float) -> float:
    return -x


def lower(attrs: Neg, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> TableInt:
    return real_table(negative, inputs[0], outputs[0])


OP = table_op("neg", "minus x, element by element", Neg, run_float, lower, ("NEG",))
