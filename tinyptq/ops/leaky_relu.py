"""LEAKY_RELU: x where positive, alpha · x where negative."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from tinyptq.graph import Array, QParams, Shape
from tinyptq.ops.base import Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.lookup import require_int8, require_small_shift, table_op, tabulate


@dataclass(frozen=True)
class LeakyRelu:
    """alpha: slope left of zero; TFLite allows any, also above one or negative."""

    alpha: float = 0.2


@dataclass(frozen=True, eq=False)
class LeakyReluInt8:
    """y = clamp(MBQM(x − input_zero_point, multiplier, shift) + output_zero_point), one multiplier per side of zero."""

    shape: Shape
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

    @cached_property
    def table(self) -> Array:
        """The output for every input byte read as unsigned, int8 [256]."""
        return tabulate(lambda x: leaky_relus(self, x))


def read_tflite(operator: TfliteOperator) -> LeakyRelu:
    return LeakyRelu(float(operator.options.Alpha()) if operator.options else 0.0)


def write_tflite(params: LeakyReluInt8) -> tuple[TfliteCode, ...]:
    return (TfliteCode("LEAKY_RELU", "LeakyReluOptions", {"Alpha": params.alpha}, version=2),)


def run_float(attrs: LeakyRelu, x: Array) -> Array:
    return np.where(x > 0, x, x * np.float32(attrs.alpha)).astype(np.float32)


def lower(attrs: LeakyRelu, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> LeakyReluInt8:
    """Multipliers s_in / s_out and s_in · alpha / s_out, in float32. Source: TFLite Micro CalculateOpDataLeakyRelu."""
    require_int8(*inputs, *outputs)
    source, result = inputs[0].qparams, outputs[0].qparams
    alpha = np.float32(attrs.alpha)
    with np.errstate(over="ignore", under="ignore"):
        positive = side_multiplier(source.scale[0] / result.scale[0], result)
        negative = side_multiplier(source.scale[0] * alpha / result.scale[0], result)
    return LeakyReluInt8(
        shape=inputs[0].shape,
        alpha=float(alpha),
        input_zero_point=int(source.zero_point[0]),
        output_zero_point=int(result.zero_point[0]),
        positive_multiplier=positive[0],
        positive_shift=positive[1],
        negative_multiplier=negative[0],
        negative_shift=negative[1],
    )


def side_multiplier(real: np.float32, output: QParams) -> tuple[int, int]:
    if not np.isfinite(real):
        raise TinyptqError("scale-out-of-range", f"a scale ratio of {real}")
    multiplier, shift = quantize_multiplier(float(real))
    require_small_shift(shift, output)
    return multiplier, shift


def leaky_relus(params: LeakyReluInt8, x: Array) -> Array:
    """The integer specification on an int64 array of int8 values; result in int8 range."""
    centred = x - params.input_zero_point
    positive = multiply_by_quantized_multiplier(centred, params.positive_multiplier, params.positive_shift)
    negative = multiply_by_quantized_multiplier(centred, params.negative_multiplier, params.negative_shift)
    y: Array = np.clip(np.where(centred >= 0, positive, negative) + params.output_zero_point, -128, 127)
    return y


OP = table_op(
    "leaky_relu",
    "x where positive, alpha · x where negative",
    LeakyRelu,
    run_float,
    lower,
    ("LEAKY_RELU",),
    LeakyReluInt8,
    read_tflite,
    write_tflite,
)
