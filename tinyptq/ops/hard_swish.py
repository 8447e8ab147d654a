"""HARD_SWISH: x · relu6(x + 3) / 6, element by element.

int8 as TFLite Micro, which refuses int16: that is interpolated in a table (ops/lookup.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import quantize_multiplier, rounding_divide_by_power_of_two
from tinyptq.graph import Array, QParams, Shape
from tinyptq.ops.base import Operand, TfliteCode, elements
from tinyptq.ops.element import scaled_element
from tinyptq.ops.lookup import knots, table_op, tabulate

INPUT_BITS = 7  # fraction bits the centred input gains: |x − zero_point| < 2^8, so 2^15 at most
THREE = 3.0 / 32768.0  # the gate's scale, in which 3.0 is 2^15
INT16_MIN, INT16_MAX = -(2**15), 2**15 - 1


@dataclass(frozen=True)
class HardSwish:
    """The float operator has no attributes."""


@dataclass(frozen=True, eq=False)
class HardSwishInt:
    """y = clamp(RDBPOT(truncate(gate · scaled / 2^15), −output_shift) + output_zero_point), all in 16 bits.

    scaled = input · output_multiplier / 2^15 and gate = relu6(x + 3) / 6 in units of 2^−15. int16: `entries`
    interpolated instead.
    """

    shape: Shape
    element: str
    entries: Array  # int16 [513], [0] where the element is int8
    input_zero_point: int
    output_zero_point: int
    output_multiplier: int  # Q0.15
    output_shift: int  # <= 0
    gate_multiplier: int  # Q0.15
    gate_shift: int

    @property
    def size(self) -> int:
        return elements(self.shape)

    @cached_property
    def table(self) -> Array:
        """The output for every input byte read as unsigned, int8 [256]; `entries` of int16."""
        return self.entries if self.element == "int16" else tabulate(lambda x: hard_swishes(self, x))


def write_tflite(params: HardSwishInt) -> tuple[TfliteCode, ...]:
    return (TfliteCode("HARD_SWISH", version=1),)


def run_float(attrs: HardSwish, x: Array) -> Array:
    gate = np.clip(x + np.float32(3.0), np.float32(0.0), np.float32(6.0))
    return (x * gate / np.float32(6.0)).astype(np.float32)


def lower(attrs: HardSwish, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> HardSwishInt:
    """Multipliers (s_in / 128) / s_out and (s_in / 128) / (3 / 2^15), in double. Source: TFLite Micro HardSwishPrepare;
    older versions of it divide in float32.
    """
    source, result = inputs[0].qparams, outputs[0].qparams
    if scaled_element(*inputs, *outputs) == "int16":
        return HardSwishInt(inputs[0].shape, "int16", knots(real, source, result), 0, 0, 0, 0, 0, 0)
    fine = float(source.scale[0]) / 128.0
    output_multiplier, output_shift = narrow_multiplier(fine / float(result.scale[0]))
    gate_multiplier, gate_shift = narrow_multiplier(fine / THREE)
    require_shifts(output_shift, gate_shift, result)
    return HardSwishInt(
        shape=inputs[0].shape,
        element="int8",
        entries=np.zeros(0, np.int16),
        input_zero_point=int(source.zero_point[0]),
        output_zero_point=int(result.zero_point[0]),
        output_multiplier=output_multiplier,
        output_shift=output_shift,
        gate_multiplier=gate_multiplier,
        gate_shift=gate_shift,
    )


def real(x: float) -> float:
    return x * min(max(x + 3.0, 0.0), 6.0) / 6.0


def narrow_multiplier(real: float) -> tuple[int, int]:
    """quantize_multiplier in 16 bits. Source: TFLite DownScaleInt32ToInt16Multiplier."""
    multiplier, shift = quantize_multiplier(real)
    return (INT16_MAX if multiplier >= 0x7FFF0000 else (multiplier + (1 << 15)) >> 16), shift


def require_shifts(output_shift: int, gate_shift: int, result: QParams) -> None:
    """The output may be at most 128 times finer than the input (TFLite's rule); both shifts stay within 16 bits."""
    if output_shift > 0:
        raise TinyptqError(
            "scale-out-of-range",
            f"the output's scale {float(result.scale[0]):.3g} is more than 128 times finer than the input's",
            hint="calibrate with data for which this output is not always zero",
        )
    if output_shift < -15 or not -15 <= gate_shift <= 30:
        raise TinyptqError("scale-out-of-range", "the scales of input and output are too far apart for 16 bits")


def high_mul(a: Array, b: int) -> Array:
    """a · b · 2 / 2^16, rounded half up. Source: gemmlowp SaturatingRoundingDoublingHighMul of int16, 0 <= b."""
    return (a * b + (1 << 14)) >> 15


def saturate(x: Array) -> Array:
    y: Array = np.clip(x, INT16_MIN, INT16_MAX)
    return y


def gates(params: HardSwishInt, fine: Array) -> Array:
    """relu6(x + 3) / 6 in [0, 2^15), saturating on the way as the 16-bit kernel does."""
    x = saturate(fine << (params.gate_shift - 1)) if params.gate_shift > 0 else fine
    x = high_mul(x, params.gate_multiplier)
    if params.gate_shift > 0:
        x = saturate(x << 1)
    elif params.gate_shift < 0:
        x = rounding_divide_by_power_of_two(x, -params.gate_shift)
    return (x + (1 << 15)) >> 1


def hard_swishes(params: HardSwishInt, x: Array) -> Array:
    """The integer specification on an int64 array of int8 values; result in int8 range.

    Source: TFLite reference_ops HardSwish; the last product is truncated towards zero, there as here.
    """
    fine = (x - params.input_zero_point) << INPUT_BITS
    product = gates(params, fine) * high_mul(fine, params.output_multiplier)
    truncated = np.sign(product) * (np.abs(product) >> 15)
    y = rounding_divide_by_power_of_two(truncated, -params.output_shift) + params.output_zero_point
    clamped: Array = np.clip(y, -128, 127)
    return clamped


OP = table_op(
    "hard_swish",
    "x · relu6(x + 3) / 6, element by element",
    HardSwish,
    run_float,
    lower,
    ("HARD_SWISH",),
    HardSwishInt,
    write_tflite=write_tflite,
)
