"""LEAKY_RELU: x where positive, alpha · x where negative. int8 by a table, int16 by arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from tinyptq.graph import Array, QParams, Shape
from tinyptq.ops.base import Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.element import limits, scaled_element
from tinyptq.ops.lookup import require_small_shift, table_op, tabulate


@dataclass(frozen=True)
class LeakyRelu:
    """alpha: slope left of zero; TFLite allows any, also above one or negative."""

    alpha: float = 0.2


@dataclass(frozen=True, eq=False)
class LeakyReluInt:
    """y = clamp(MBQM(x − input_zero_point, multiplier, shift) + output_zero_point), one multiplier per side of zero."""

    shape: Shape
    element: str  # "int8" or "int16"
    alpha: float  # for the exported file only
    input_zero_point: int
    output_zero_point: int
    positive_multiplier: int
    positive_shift: int
    negative_multiplier: int
    negative_shift: int

    @property
    def size(self) -> int:
        return elements(self.shape)

    @property
    def lowest(self) -> int:
        return limits(self.element)[0]

    @property
    def highest(self) -> int:
        return limits(self.element)[1]

    @cached_property
    def table(self) -> Array:
        """The output for every input byte read as unsigned, int8 [256]."""
        return tabulate(lambda x: leaky_relus(self, x))


def read_tflite(operator: TfliteOperator) -> LeakyRelu:
    return LeakyRelu(float(operator.options.Alpha()) if operator.options else 0.0)


def write_tflite(params: LeakyReluInt) -> tuple[TfliteCode, ...]:
    return (TfliteCode("LEAKY_RELU", "LeakyReluOptions", {"Alpha": params.alpha}, version=2),)


def run_float(attrs: LeakyRelu, x: Array) -> Array:
    return np.where(x > 0, x, x * np.float32(attrs.alpha)).astype(np.float32)


def lower(attrs: LeakyRelu, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> LeakyReluInt:
    """Multipliers s_in / s_out and s_in · alpha / s_out, in double. Source: TFLite Micro CalculateOpDataLeakyRelu;
    older versions of it take the products in float32, which moves an output in a thousand tensors.
    """
    name = scaled_element(*inputs, *outputs)
    wide = name == "int16"
    source, result = inputs[0].qparams, outputs[0].qparams
    alpha = np.float32(attrs.alpha)
    scale, step = float(source.scale[0]), float(result.scale[0])
    positive = side_multiplier(scale / step, result, wide)
    negative = side_multiplier(scale * float(alpha) / step, result, wide)
    return LeakyReluInt(
        shape=inputs[0].shape,
        element=name,
        alpha=float(alpha),
        input_zero_point=int(source.zero_point[0]),
        output_zero_point=int(result.zero_point[0]),
        positive_multiplier=positive[0],
        positive_shift=positive[1],
        negative_multiplier=negative[0],
        negative_shift=negative[1],
    )


def side_multiplier(real: float, output: QParams, wide: bool) -> tuple[int, int]:
    """Multiplier and shift of one side of zero; int16 values leave eight bits less for the shift."""
    if not math.isfinite(real):
        raise TinyptqError("scale-out-of-range", f"a scale ratio of {real}")
    multiplier, shift = quantize_multiplier(real)
    require_small_shift(shift + 8 if wide else shift, output)
    return multiplier, shift


def leaky_relus(params: LeakyReluInt, x: Array) -> Array:
    """The integer specification on an int64 array of integers; result in their range."""
    centred = x - params.input_zero_point
    positive = multiply_by_quantized_multiplier(centred, params.positive_multiplier, params.positive_shift)
    negative = multiply_by_quantized_multiplier(centred, params.negative_multiplier, params.negative_shift)
    y = np.where(centred >= 0, positive, negative) + params.output_zero_point
    clamped: Array = np.clip(y, params.lowest, params.highest)
    return clamped


OP = table_op(
    "leaky_relu",
    "x where positive, alpha · x where negative",
    LeakyRelu,
    run_float,
    lower,
    ("LEAKY_RELU",),
    LeakyReluInt,
    read_tflite,
    write_tflite,
    leaky_relus,
)
