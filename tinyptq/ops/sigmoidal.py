"""What LOGISTIC and TANH share: everything but the function and the scale of the output."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import (
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_power_of_two,
)
from tinyptq.graph import Array, QParams, Shape
from tinyptq.ops import sigmoid_int16, transcendental
from tinyptq.ops.base import Op, Operand, TfliteCode, elements
from tinyptq.ops.element import SCALED, scaled_element, width
from tinyptq.ops.lookup import input_radius, look_up, require_left_shift, same_shape, tabulate
from tinyptq.program import Work

INTEGER_BITS = 4  # the int8 input is brought to Q4.27: beyond ±16 the functions are flat
LARGEST_MULTIPLIER = 32767.0  # of an int16 input, which it multiplies within int32
LIMIT_MULTIPLIER = 65536
MOST_SHIFT = 31
NEARLY = 1e-3  # TFLite's tolerance when it takes a logarithm for a whole number


@dataclass(frozen=True)
class Curve:
    """fixed_point: gemmlowp's function; interpolated: ops/sigmoid_int16's. exact_powers: input scales of int16, as
    powers of two, that TFLite takes as they are. output_bits, output_zero_point: of int8; int16 gives 2^−15.
    """

    fixed_point: Callable[[Array, int], Array]
    interpolated: Callable[[Array], Array]
    exact_powers: tuple[int, ...]
    output_bits: int
    output_zero_point: int


CURVES = {
    "logistic": Curve(transcendental.logistic, sigmoid_int16.sigmoid_at, (-12,), 8, -128),
    "tanh": Curve(transcendental.tanh, sigmoid_int16.tanh_at, (-12, -11), 7, 0),
}


@dataclass(frozen=True, eq=False)
class SigmoidalInt:
    """int8: y = RDBPOT(f(MBQM(x − zero_point)), 31 − bits) + output's zero point for |x − zero_point| < radius,
    saturated beyond. int16: y = the interpolated table of f at (x · multiplier + 2^(shift − 1)) >> shift.
    """

    function: str  # of CURVES
    shape: Shape
    element: str
    input_zero_point: int
    multiplier: int
    shift: int
    radius: int

    @property
    def size(self) -> int:
        return elements(self.shape)

    @property
    def half(self) -> int:
        """What rounds an int16 argument."""
        return 1 << (self.shift - 1) if self.shift else 0

    @cached_property
    def table(self) -> Array:
        """The output for every input byte read as unsigned, int8 [256]."""
        return tabulate(lambda x: fixed_point_curve(self, x))


def lower_int8(function: str, x: Operand) -> SigmoidalInt:
    """Multiplier s_in · 2^27, in double. Source: TFLite Micro CalculateArithmeticOpData."""
    qparams = x.qparams
    multiplier, shift = quantize_multiplier(float(qparams.scale[0]) * 2.0 ** (31 - INTEGER_BITS))
    require_left_shift(shift, qparams)
    radius = input_radius(INTEGER_BITS, shift)
    return SigmoidalInt(function, x.shape, "int8", int(qparams.zero_point[0]), multiplier, shift, radius)


def lower_int16(function: str, x: Operand, y: Operand) -> SigmoidalInt:
    """The argument of the table is s_in · 3 · 2^12, its factor truncated to 15 bits unless the scale is one of
    the exact powers. Source: TFLite Micro CalculateArithmeticOpData, int16.
    """
    if whole_logarithm(float(y.qparams.scale[0])) != -15:
        raise TinyptqError("scale-out-of-range", f"int16 {function} with an output of another scale than 2^-15")
    power = whole_logarithm(float(x.qparams.scale[0]))
    if power in CURVES[function].exact_powers:
        return SigmoidalInt(function, x.shape, "int16", 0, 3 << (power + 12), 0, 0)
    multiplier, shift = float(x.qparams.scale[0]) * 4096.0 * 3.0, 0
    while multiplier <= LARGEST_MULTIPLIER / 2 and shift < MOST_SHIFT:
        multiplier, shift = 2.0 * multiplier, shift + 1
    if multiplier >= LIMIT_MULTIPLIER:
        scale = float(x.qparams.scale[0])
        raise TinyptqError("scale-out-of-range", f"scale {scale:.3g} is too coarse for int16 {function}")
    return SigmoidalInt(function, x.shape, "int16", 0, int(multiplier), shift, 0)


def whole_logarithm(x: float) -> int | None:
    """log2 x where it is nearly whole. Source: TFLite CheckedLog2."""
    power = math.log2(x)
    return round(power) if abs(power - round(power)) < NEARLY else None


def fixed_point_curve(params: SigmoidalInt, x: Array) -> Array:
    """The integer specification on an int64 array of int8 values; result in int8 range."""
    curve = CURVES[params.function]
    centred = x - params.input_zero_point
    inside = np.where(np.abs(centred) < params.radius, centred, 0)
    rescaled = multiply_by_quantized_multiplier(inside, params.multiplier, params.shift)
    result = curve.fixed_point(rescaled, INTEGER_BITS)
    y = rounding_divide_by_power_of_two(result, 31 - curve.output_bits) + curve.output_zero_point
    flat = np.where(centred <= -params.radius, -128, 127)  # the lower end first, as TFLite: radius may be 0
    return np.where(np.abs(centred) < params.radius, np.clip(y, -128, 127), flat)


def run_int(params: SigmoidalInt, x: Array) -> Array:
    if params.element == "int8":
        return look_up(params.table, x)
    argument = (x.astype(np.int64) * params.multiplier + params.half) >> params.shift
    return CURVES[params.function].interpolated(argument).astype(np.int16)


def constants(params: SigmoidalInt) -> Mapping[str, Array]:
    return {"table": params.table if params.element == "int8" else sigmoid_int16.CENTRED_TABLE}


def work(params: SigmoidalInt) -> Work:
    return Work(0, constants(params)["table"].nbytes, 2 * width(params.element) * params.size)


def sigmoidal_op(name: str, summary: str, attrs: type, run_float: Callable[..., Array]) -> Op:
    """The record of a function of CURVES."""
    curve = CURVES[name]

    def lower(attrs: Any, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> SigmoidalInt:
        if scaled_element(*inputs, *outputs) == "int8":
            return lower_int8(name, inputs[0])
        return lower_int16(name, inputs[0], outputs[0])

    return Op(
        name=name,
        summary=summary,
        builtins=(name.upper(),),
        attrs=attrs,
        params=SigmoidalInt,
        operands=1,
        read_tflite=lambda operator: attrs(),
        write_tflite=lambda params: (TfliteCode(name.upper(), version=2),),
        infer_shapes=same_shape,
        run_float=run_float,
        quantization=QParams.per_tensor(2.0**-curve.output_bits, curve.output_zero_point),
        dtypes=SCALED,
        lower=lower,
        run_int=run_int,
        constants=constants,
        work=work,
    )
