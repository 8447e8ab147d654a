"""RSQRT: 1 / √x, element by element.

tflite-micro gives the highest integer for zero and stops at negative inputs; here these give it too. In float, zero and
less count as 2^−126, the smallest normal float32, of which the root is finite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from tinyptq.graph import Array, Shape
from tinyptq.ops.base import Operand, TfliteCode, elements
from tinyptq.ops.element import limits, scaled_element
from tinyptq.ops.inverse_root import inverse_root
from tinyptq.ops.lookup import table_op, tabulate

ROOT_BITS = 20  # fraction bits of 1 / √(x − zero_point), which is at most one
MIN_SHIFT, MAX_SHIFT = -11, 30  # 2^20 · 2^(30 − 20) still fits int32; a right shift is 31 at most
SMALLEST = np.finfo(np.float32).tiny


@dataclass(frozen=True)
class Rsqrt:
    """The float operator has no attributes."""


@dataclass(frozen=True, eq=False)
class RsqrtInt:
    """y = clamp(MBQM(root, multiplier, shift − 20) + output_zero_point), root = 2^20 / √(x − input_zero_point)."""

    shape: Shape
    element: str
    input_zero_point: int
    output_zero_point: int
    multiplier: int
    shift: int

    @property
    def size(self) -> int:
        return elements(self.shape)

    @property
    def root_bits(self) -> int:
        return ROOT_BITS

    @cached_property
    def table(self) -> Array:
        """The output for every input byte read as unsigned, int8 [256]."""
        return tabulate(lambda x: inverse_roots(self, x))


def write_tflite(params: RsqrtInt) -> tuple[TfliteCode, ...]:
    return (TfliteCode("RSQRT", version=2),)


def run_float(attrs: Rsqrt, x: Array) -> Array:
    return (1 / np.sqrt(np.maximum(x, SMALLEST))).astype(np.float32)


def lower(attrs: Rsqrt, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> RsqrtInt:
    """Multiplier 1 / (√s_in · s_out), in double. Source: TFLite Micro SetRsqrtOutputMultiplier."""
    name = scaled_element(*inputs, *outputs)
    source, result = inputs[0].qparams, outputs[0].qparams
    real = 1.0 / (math.sqrt(float(source.scale[0])) * float(result.scale[0]))
    multiplier, shift = quantize_multiplier(real)
    if not MIN_SHIFT <= shift < MAX_SHIFT:
        raise TinyptqError(
            "scale-out-of-range",
            f"output scale {float(result.scale[0]):.3g} does not suit input scale {float(source.scale[0]):.3g}",
            hint="calibrate with data that exercises this layer",
        )
    zero_points = int(source.zero_point[0]), int(result.zero_point[0])
    return RsqrtInt(inputs[0].shape, name, *zero_points, multiplier, shift)


def inverse_roots(params: RsqrtInt, x: Array) -> Array:
    """The integer specification on an int64 array of integers; result in their range.

    Source: TFLite Micro RsqrtEvalQuantized.
    """
    centred = x - params.input_zero_point
    multipliers, shifts = inverse_root(np.maximum(centred, 1))
    low, high = limits(params.element)
    root = multiply_by_quantized_multiplier(np.ones_like(centred), multipliers, shifts + ROOT_BITS)
    scaled = multiply_by_quantized_multiplier(root, params.multiplier, params.shift - ROOT_BITS)
    y = np.clip(scaled + params.output_zero_point, low, high)
    return np.where(centred > 0, y, high)


OP = table_op(
    "rsqrt",
    "1 / √x, element by element; the highest integer where x <= 0",
    Rsqrt,
    run_float,
    lower,
    ("RSQRT",),
    RsqrtInt,
    write_tflite=write_tflite,
    wide=inverse_roots,
)
