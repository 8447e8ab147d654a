"""LOGISTIC: 1 / (1 + exp(−x)), element by element."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyptq.fixedpoint import (
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_power_of_two,
)
from tinyptq.graph import Array, QParams, Shape
from tinyptq.ops import transcendental
from tinyptq.ops.base import Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.lookup import input_radius, look_up, require_left_shift, tabulate
from tinyptq.program import Work

INTEGER_BITS = 4  # the input is brought to Q4.27: beyond ±16 the function is flat
OUTPUT_BITS = 8  # the output's scale is 2^−8
OUTPUT_ZERO_POINT = -128


@dataclass(frozen=True)
class Logistic:
    """The float operator has no attributes."""


@dataclass(frozen=True, eq=False)
class LogisticInt8:
    """y = RDBPOT(logistic(MBQM(x − zero_point)), 31 − 8) − 128 for |x − zero_point| < radius, saturated beyond."""

    shape: Shape
    input_zero_point: int
    multiplier: int
    shift: int
    radius: int

    @property
    def size(self) -> int:
        return elements(self.shape)

    @cached_property
    def table(self) -> Array:
        """The output for every input byte read as unsigned, int8 [256]."""
        return tabulate(lambda x: logistics(self, x))


def read_tflite(operator: TfliteOperator) -> Logistic:
    return Logistic()


def write_tflite(params: LogisticInt8) -> tuple[TfliteCode, ...]:
    return (TfliteCode("LOGISTIC", version=2),)


def infer_shapes(attrs: Logistic, x: Shape) -> tuple[Shape, ...]:
    return (x,)


def run_float(attrs: Logistic, x: Array) -> Array:
    """Written so that exp never overflows."""
    exponential = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + exponential), exponential / (1 + exponential)).astype(np.float32)


def lower(attrs: Logistic, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> LogisticInt8:
    """Multiplier s_in · 2^27, in double. Source: TFLite Micro CalculateArithmeticOpDataLogistic."""
    qparams = inputs[0].qparams
    multiplier, shift = quantize_multiplier(float(qparams.scale[0]) * 2.0 ** (31 - INTEGER_BITS))
    require_left_shift(shift, qparams)
    return LogisticInt8(
        shape=inputs[0].shape,
        input_zero_point=int(qparams.zero_point[0]),
        multiplier=multiplier,
        shift=shift,
        radius=input_radius(INTEGER_BITS, shift),
    )


def logistics(params: LogisticInt8, x: Array) -> Array:
    """The integer specification on an int64 array of int8 values; result in int8 range."""
    centred = x - params.input_zero_point
    inside = np.where(np.abs(centred) < params.radius, centred, 0)
    rescaled = multiply_by_quantized_multiplier(inside, params.multiplier, params.shift)
    result = transcendental.logistic(rescaled, INTEGER_BITS)
    y = rounding_divide_by_power_of_two(result, 31 - OUTPUT_BITS) + OUTPUT_ZERO_POINT
    flat = np.where(centred <= -params.radius, -128, 127)  # the lower end first, as TFLite: radius may be 0
    return np.where(np.abs(centred) < params.radius, np.clip(y, -128, 127), flat)


def run_int(params: LogisticInt8, x: Array) -> Array:
    return look_up(params.table, x)


def work(params: LogisticInt8) -> Work:
    return Work(0, params.table.nbytes, 2 * params.size)


OP = Op(
    name="logistic",
    summary="1 / (1 + exp(−x)), element by element",
    builtins=("LOGISTIC",),
    attrs=Logistic,
    params=LogisticInt8,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    quantization=QParams.per_tensor(1 / 256, -128),
    lower=lower,
    run_int=run_int,
    constants=lambda params: {"table": params.table},
    work=work,
)
