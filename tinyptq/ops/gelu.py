"""GELU: x · Φ(x) with the normal distribution's Φ, or its approximation by tanh, element by element.

tflite-micro refuses integers here. Our specification (ops/lookup.py): int8 is the float64 function of the dequantized
input, rounded once, half away from zero, so within half a step of the real function; int16 is interpolated in a table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array, Shape
from tinyptq.ops.base import Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.lookup import gather_codes, real_table, table_op

ROOT_TWO_OVER_PI = math.sqrt(2.0 / math.pi)
CUBIC = 0.044715  # Source: Hendrycks and Gimpel, Gaussian Error Linear Units, equation in section 2


@dataclass(frozen=True)
class Gelu:
    """approximate: by tanh instead of the error function."""

    approximate: bool = False


@dataclass(frozen=True, eq=False)
class GeluInt:
    """As TableInt; approximate is for the exported file only."""

    shape: Shape
    element: str
    table: Array
    approximate: bool

    @property
    def size(self) -> int:
        return elements(self.shape)


def read_tflite(operator: TfliteOperator) -> Gelu:
    return Gelu(bool(operator.options.Approximate())) if operator.options else Gelu()


def exact(x: float) -> float:
    return 0.5 * x * math.erfc(-x / math.sqrt(2.0))  # erfc keeps the digits of the left tail


def by_tanh(x: float) -> float:
    return 0.5 * x * (1.0 + math.tanh(ROOT_TWO_OVER_PI * (x + CUBIC * x * x * x)))


def run_float(attrs: Gelu, x: Array) -> Array:
    wide = x.astype(np.float64)
    if attrs.approximate:
        y = 0.5 * wide * (1.0 + np.tanh(ROOT_TWO_OVER_PI * (wide + CUBIC * wide**3)))
    else:
        y = 0.5 * wide * erfc(-wide / math.sqrt(2.0))
    return np.asarray(y, np.float32)


def erfc(x: Array) -> Array:
    """The complementary error function; NumPy has none."""
    return np.fromiter(map(math.erfc, x.ravel()), np.float64, x.size).reshape(x.shape)


def lower(attrs: Gelu, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> GeluInt:
    made = real_table(by_tanh if attrs.approximate else exact, inputs[0], outputs[0])
    return GeluInt(made.shape, made.element, made.table, attrs.approximate)


def write_tflite(params: GeluInt) -> tuple[TfliteCode, ...]:
    if params.element == "int8":
        return gather_codes(params)
    return (TfliteCode("GELU", "GeluOptions", {"Approximate": params.approximate}),)


OP = table_op(
    "gelu",
    "x · Φ(x), exact or by tanh, element by element",
    Gelu,
    run_float,
    lower,
    ("GELU",),
    GeluInt,
    read_tflite,
    write_tflite,
)
