"""SQUARE: x · x, element by element.

tflite-micro refuses integers here. Our specification (ops/lookup.py): int8 is the float64 function of the dequantized
input, rounded once, half away from zero, so within half a step of the real function; int16 is interpolated in a table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array
from tinyptq.ops.base import Operand
from tinyptq.ops.lookup import TableInt, real_table, table_op


@dataclass(frozen=True)
class Square:
    """The float operator has no attributes."""


def run_float(attrs: Square, x: Array) -> Array:
    return np.square(x).astype(np.float32)


def square(x: float) -> float:
    return x * x


def lower(attrs: Square, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> TableInt:
    return real_table(square, inputs[0], outputs[0])


OP = table_op("square", "x times x, element by element", Square, run_float, lower, ("SQUARE",))
