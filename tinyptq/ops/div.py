"""DIV: element-wise quotient of two tensors that broadcast, plus fused activation.

int8 as TFLite Micro, which refuses int16: the same arithmetic here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import (
    quantize_multiplier,
    rounding_divide_by_power_of_two,
    saturating_rounding_doubling_high_mul,
    wrap32,
)
from tinyptq.graph import Array, Shape
from tinyptq.ops import transcendental
from tinyptq.ops.activation import NONE, Clamp, integer_bounds, read_clamp, tflite_code
from tinyptq.ops.base import FREE, Op, Operand, TfliteCode, TfliteOperator
from tinyptq.ops.broadcast import CONSTRAINTS, Loop, all_pairs, loop_nest, run_pairs
from tinyptq.ops.element import SCALED, limits, scaled_element, touched
from tinyptq.program import Work

# A dividend below 2^8 is shifted left by 23 or more, one up to 2^15 by 15; the quotient's own shift takes that back.
MAX_SHIFTS = {"int8": 23, "int16": 15}


@dataclass(frozen=True)
class Div:
    """Attributes of the float operator."""

    activation: Clamp = NONE


@dataclass(frozen=True, eq=False)
class DivInt:
    """y = clamp(RDBPOT(SRDHM(SRDHM(x0 · 2^headroom, reciprocal(x1)), multiplier), right) + output_zero_point),

    zero points subtracted from x0 and x1, both negated when x1 < 0; headroom: how far x0 can be shifted left within
    int32; right = headroom + floor(log2 x1) − shift. Where right > 31, TFLite's shift is undefined: 0 here.
    Division by zero, also undefined there: the activation's end on the dividend's side, zero for 0 / 0.
    """

    input_shapes: tuple[Shape, Shape]
    output_shape: Shape
    element: str
    input_zero_points: tuple[int, int]
    output_zero_point: int
    multiplier: int
    shift: int
    activation_min: int
    activation_max: int
    activation_code: int  # TFLite's fused activation

    @property
    def loops(self) -> tuple[Loop, ...]:
        return loop_nest(*self.input_shapes)

    @property
    def zero(self) -> int:
        """0 / 0."""
        return min(max(self.output_zero_point, self.activation_min), self.activation_max)

    @cached_property
    def reciprocal_shifts(self) -> Array:
        """floor(log2 d) of the divisors d = 0 … 255; 0 for d = 0. int8 [256]"""
        return reciprocal(np.arange(256))[1].astype(np.int8)

    @cached_property
    def reciprocals(self) -> Array:
        """2^floor(log2 d) / d in Q0.31 for the divisors d = 0 … 255; d = 0 is never read. int32 [256]"""
        return reciprocal(np.arange(256))[0].astype(np.int32)

    @cached_property
    def table(self) -> Array:
        """The output for every pair of inputs, int8 [256, 256]."""
        return quotients(self, *all_pairs()).astype(np.int8)


def reciprocal(divisor: Array) -> tuple[Array, Array]:
    """(2^floor(log2 d) / d in Q0.31, floor(log2 d)) of divisors d >= 0, int64; of 0 as of 1."""
    positive = np.maximum(divisor.astype(np.int64), 1)
    shift = bit_length(positive) - 1
    return transcendental.one_over_one_plus((positive << (31 - shift)) - (1 << 31)), shift


def bit_length(x: Array) -> Array:
    """Bits of a non-negative integer, 0 of 0."""
    bits: Array = np.asarray(np.frexp(x.astype(np.float64))[1], np.int64)
    return bits


def read_tflite(operator: TfliteOperator) -> Div:
    options = operator.options
    return Div(read_clamp(options.FusedActivationFunction()) if options else NONE)


def write_tflite(params: DivInt) -> tuple[TfliteCode, ...]:
    return (TfliteCode("DIV", "DivOptions", {"FusedActivationFunction": params.activation_code}, version=2),)


def infer_shapes(attrs: Div, first: Shape, second: Shape) -> tuple[Shape, ...]:
    return (np.broadcast_shapes(first, second),)


def run_float(attrs: Div, first: Array, second: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return attrs.activation.apply(first / second)


def lower(attrs: Div, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> DivInt:
    """Multiplier s_0 / (s_1 · s_out), in double. Source: TFLite Micro CalculateOpDataDiv."""
    first, second, output = inputs[0].qparams, inputs[1].qparams, outputs[0].qparams
    name = scaled_element(*inputs, *outputs)
    require_divisor(inputs[1])
    real = float(first.scale[0]) / (float(second.scale[0]) * float(output.scale[0]))
    multiplier, shift = quantize_multiplier(real)
    if shift > MAX_SHIFTS[name]:
        raise TinyptqError(
            "scale-out-of-range",
            f"the quotient's scale {float(output.scale[0]):.3g} is {real:.3g} times finer than the inputs' quotient",
            hint="calibrate with data for which this quotient is not always zero",
        )
    low, high = integer_bounds(attrs.activation, output, *limits(name))
    return DivInt(
        input_shapes=(inputs[0].shape, inputs[1].shape),
        output_shape=outputs[0].shape,
        element=name,
        input_zero_points=(int(first.zero_point[0]), int(second.zero_point[0])),
        output_zero_point=int(output.zero_point[0]),
        multiplier=multiplier,
        shift=shift,
        activation_min=low,
        activation_max=high,
        activation_code=tflite_code(attrs.activation),
    )


def require_divisor(operand: Operand) -> None:
    """A constant divisor is nowhere zero once it is rounded."""
    if operand.data is not None and bool(np.any(operand.data == operand.qparams.zero_point[0])):
        raise TinyptqError(
            "division-by-zero",
            f"a constant divisor is zero in steps of {float(operand.qparams.scale[0]):.3g}",
            hint="multiply by the reciprocal instead",
        )


def quotients(params: DivInt, first: Array, second: Array) -> Array:
    """The integer specification on int64 arrays of integers; result in their range."""
    sign = np.where(second < params.input_zero_points[1], -1, 1)
    dividend = (first - params.input_zero_points[0]) * sign
    divisor = (second - params.input_zero_points[1]) * sign
    headroom = 31 - bit_length(np.where(dividend < 0, ~dividend, dividend))
    inverse, inverse_shift = reciprocal(divisor)
    product = saturating_rounding_doubling_high_mul(wrap32(dividend << headroom), inverse)
    scaled = saturating_rounding_doubling_high_mul(product, params.multiplier)
    right = headroom + inverse_shift - params.shift
    quotient = np.where(right > 31, 0, rounding_divide_by_power_of_two(scaled, np.minimum(right, 31)))
    y = np.clip(quotient + params.output_zero_point, params.activation_min, params.activation_max)
    ends = np.where(dividend > 0, params.activation_max, np.where(dividend < 0, params.activation_min, params.zero))
    return np.where(divisor == 0, ends, y)


def run_int(params: DivInt, first: Array, second: Array) -> Array:
    return run_pairs(params, quotients, first, second)


def constants(params: DivInt) -> Mapping[str, Array]:
    if params.element == "int16":
        return {}
    return {"reciprocals": params.reciprocals, "reciprocal_shifts": params.reciprocal_shifts}


def work(params: DivInt) -> Work:
    moved = touched(params.element, *params.input_shapes, params.output_shape)
    return Work(0, sum(table.nbytes for table in constants(params).values()), moved.activation_bytes)


OP = Op(
    name="div",
    summary="element-wise quotient, broadcasting, one operand may be constant",
    builtins=("DIV",),
    attrs=Div,
    params=DivInt,
    operands=2,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=CONSTRAINTS,
    quantization=FREE,
    dtypes=SCALED,
    lower=lower,
    run_int=run_int,
    constants=constants,
    work=work,
)
