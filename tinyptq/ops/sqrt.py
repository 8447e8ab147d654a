"""SQRT: the square root, element by element.

tflite-micro refuses integers here. Our specification (ops/lookup.py): int8 is the float64 function of the dequantized
input, rounded once, half away from zero, so within half a step of the real function; int16 is interpolated in a table.
Negative inputs, which have no root, count as zero, in float as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array
from tinyptq.ops.base import Operand
from tinyptq.ops.lookup import TableInt, real_table, table_op


@dataclass(frozen=True)
class Sqrt:
    """The float operator has no attributes."""


def run_float(attrs: Sqrt, x: Array) -> Array:
    return np.sqrt(np.maximum(x, np.float32(0.0))).astype(np.float32)


def sqrt(x: float) -> float:
    return math.sqrt(max(x, 0.0))


def lower(attrs: Sqrt, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> TableInt:
    return real_table(sqrt, inputs[0], outputs[0])


OP = table_op("sqrt", "square root, element by element; 0 where x < 0", Sqrt, run_float, lower, ("SQRT",))
