"""LOG: the natural logarithm, element by element.

tflite-micro refuses integers here. Our specification (ops/lookup.py): int8 is the float64 function of the dequantized
input, rounded once, half away from zero, so within half a step of the real function; int16 is interpolated in a table.
Zero and negative inputs, where the logarithm is −infinity or not a number, give the lowest integer. In float they
count as 2^−126, the smallest normal float32: a calibration sample with a zero keeps a finite range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array
from tinyptq.ops.base import Operand
from tinyptq.ops.lookup import TableInt, real_table, table_op

SMALLEST = np.finfo(np.float32).tiny


@dataclass(frozen=True)
class Log:
    """The float operator has no attributes."""


def run_float(attrs: Log, x: Array) -> Array:
    return np.log(np.maximum(x, SMALLEST)).astype(np.float32)


def log(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf


def lower(attrs: Log, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> TableInt:
    return real_table(log, inputs[0], outputs[0])


OP = table_op(
    "log", "natural logarithm, element by element; the lowest integer where x <= 0", Log, run_float, lower, ("LOG",)
)
