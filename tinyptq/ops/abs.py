"""ABS: |x|, element by element."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyptq.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from tinyptq.graph import Array, Shape
from tinyptq.ops.base import Operand, TfliteCode, elements
from tinyptq.ops.element import limits, scaled_element
from tinyptq.ops.lookup import require_small_shift, table_op, tabulate


@dataclass(frozen=True)
class Abs:
    """The float operator has no attributes."""


@dataclass(frozen=True, eq=False)
class AbsInt:
    """y = clamp(MBQM(|x − input_zero_point|, multiplier, shift) + output_zero_point)."""

    shape: Shape
    element: str
    input_zero_point: int
    output_zero_point: int
    multiplier: int
    shift: int

    @property
    def size(self) -> int:
        return elements(self.shape)

    @cached_property
    def table(self) -> Array:
        """The output for every input byte read as unsigned, int8 [256]."""
        return tabulate(lambda x: magnitudes(self, x))


def write_tflite(params: AbsInt) -> tuple[TfliteCode, ...]:
    return (TfliteCode("ABS", version=2),)


def run_float(attrs: Abs, x: Array) -> Array:
    y: Array = np.abs(x)
    return y


def lower(attrs: Abs, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> AbsInt:
    """Multiplier s_in / s_out, in double. Source: TFLite Micro SetAbsOutputMultiplier.

    Equal scales need no rescaling there; the multiplier of one, 2^30 · 2, changes nothing either.
    """
    name = scaled_element(*inputs, *outputs)
    source, result = inputs[0].qparams, outputs[0].qparams
    multiplier, shift = quantize_multiplier(float(source.scale[0]) / float(result.scale[0]))
    require_small_shift(shift + 8 if name == "int16" else shift, result)
    return AbsInt(inputs[0].shape, name, int(source.zero_point[0]), int(result.zero_point[0]), multiplier, shift)


def magnitudes(params: AbsInt, x: Array) -> Array:
    """The integer specification on an int64 array of integers; result in their range."""
    magnitude = np.abs(x - params.input_zero_point)
    scaled = multiply_by_quantized_multiplier(magnitude, params.multiplier, params.shift)
    y: Array = np.clip(scaled + params.output_zero_point, *limits(params.element))
    return y


OP = table_op(
    "abs",
    "the magnitude of x, element by element",
    Abs,
    run_float,
    lower,
    ("ABS",),
    AbsInt,
    write_tflite=write_tflite,
    wide=magnitudes,
)
