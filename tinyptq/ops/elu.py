"""ELU: x where positive, e^x − 1 where negative.

int8 as TFLite Micro, which refuses int16: that is interpolated in a table (ops/lookup.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tinyptq.fixedpoint import round_half_away_array
from tinyptq.graph import Array
from tinyptq.ops.base import Operand, TfliteCode
from tinyptq.ops.element import scaled_element
from tinyptq.ops.lookup import TableInt, real_table, require_small_shift, table_op, tabulate

FAR = 2.0**24  # steps from zero; anything beyond 255 saturates


@dataclass(frozen=True)
class Elu:
    """The float operator has no attributes: TFLite's alpha is one."""


def write_tflite(params: TableInt) -> tuple[TfliteCode, ...]:
    return (TfliteCode("ELU"),)


def run_float(attrs: Elu, x: Array) -> Array:
    return np.where(x < 0, np.expm1(np.minimum(x, np.float32(0.0))), x).astype(np.float32)


def lower(attrs: Elu, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> TableInt:
    """int8: every step a float32 one, like the table that TFLite Micro computes.

    Source: its PopulateLookupTable for ELU.
    """
    if scaled_element(*inputs, *outputs) == "int16":
        return real_table(elu, inputs[0], outputs[0])
    source, result = inputs[0].qparams, outputs[0].qparams
    require_small_shift(math.frexp(float(source.scale[0]) / float(result.scale[0]))[1], result)
    inverse = np.float32(1.0) / result.scale[0]

    def elus(x: Array) -> Array:
        with np.errstate(over="ignore"):
            real = source.scale[0] * (x - int(source.zero_point[0])).astype(np.float32)
            y = np.where(real < 0, exponential(real) - np.float32(1.0), real).astype(np.float32)
            quotient = np.clip((y * inverse).astype(np.float64), -FAR, FAR)
        rounded = round_half_away_array(quotient)
        clamped: Array = np.clip(rounded + int(result.zero_point[0]), -128, 127)
        return clamped

    return TableInt(inputs[0].shape, "int8", tabulate(elus))


def elu(x: float) -> float:
    return math.expm1(x) if x < 0 else x


def exponential(x: Array) -> Array:
    """e^x for x <= 0 as the nearest float32, by way of double: the same on every machine. float32 -> float32"""
    return np.array([math.exp(min(float(value), 0.0)) for value in x], np.float32)


OP = table_op(
    "elu", "x where positive, e^x − 1 where negative", Elu, run_float, lower, ("ELU",), write_tflite=write_tflite
)
