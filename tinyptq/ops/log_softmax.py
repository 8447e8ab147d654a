"""LOG_SOFTMAX: x − log Σ exp(x) over the last axis."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyptq.fixedpoint import (
    INT32_MAX,
    INT32_MIN,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_power_of_two,
    saturating_rounding_doubling_high_mul,
)
from tinyptq.graph import Array, QParams, Shape
from tinyptq.ops import softmax
from tinyptq.ops.base import Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.softmax import DIFFERENCE_BITS, SUM_BITS, Softmax, has_channels
from tinyptq.ops.transcendental import exp_on_negative_values, one_over_one_plus, saturating_shift_left
from tinyptq.program import Work

OUTPUT_SHIFT = 22  # Q5.26 to the output's steps of 2^−4
OUTPUT_ZERO_POINT = 127

# log in fixed point: gemmlowp has none, TFLite's own. Q0.31 each; fourth = sqrt(sqrt(2)).
LOG_2 = 1488522236
SQRT_HALF = 1518500250
FOURTH_ROOT_HALF = 1805811301  # 1 / fourth
NUMERATOR = 117049297  # 11/240 · fourth
DENOMINATOR_SQUARE = 127690142  # 1/20 · fourth
DENOMINATOR_ONE = 1057819769  # 2 / fourth − fourth
DENOMINATOR_LINEAR = 638450708  # 1/4 · fourth
QUARTER_Q6 = 1 << 23  # 1/4 with 6 integer bits


@dataclass(frozen=True)
class LogSoftmax:
    """The float operator has no attributes."""


@dataclass(frozen=True, eq=False)
class LogSoftmaxInt8:
    """y = RDBPOT(d − log Σe, 22) + 127, d = (x − max) · s in Q5.26, e = exp(d); −128 where x − max <= floor.

    floor = max(lowest, MBQM(log Σe − 2^31, reverse_multiplier, reverse_shift)).
    """

    shape: Shape
    multiplier: int  # of x − max, to Q5.26
    shift: int
    difference_min: int
    reverse_multiplier: int
    reverse_shift: int

    @property
    def depth(self) -> int:
        return self.shape[-1]

    @property
    def rows(self) -> int:
        return elements(self.shape[:-1])

    @property
    def lowest(self) -> int:
        """x − max at and below which d leaves Q5.26."""
        return self.difference_min - 1

    @cached_property
    def exponentials(self) -> Array:
        """exp((x − max) · s) in Q12.19 for max − x = 0 … 255. int32 [256]"""
        difference = -np.arange(256, dtype=np.int64)
        exponential = exp_on_negative_values(self.rescaled(difference), DIFFERENCE_BITS)
        inside = np.where(difference >= self.difference_min, exponential, 0)
        return rounding_divide_by_power_of_two(inside, SUM_BITS).astype(np.int32)

    def rescaled(self, difference: Array) -> Array:
        """x − max in Q5.26, as far as it reaches."""
        inside = np.maximum(difference, self.difference_min)
        return multiply_by_quantized_multiplier(inside, self.multiplier, self.shift)


def read_tflite(operator: TfliteOperator) -> LogSoftmax:
    return LogSoftmax()


def write_tflite(params: LogSoftmaxInt8) -> tuple[TfliteCode, ...]:
    return (TfliteCode("LOG_SOFTMAX", "LogSoftmaxOptions", version=2),)


def infer_shapes(attrs: LogSoftmax, x: Shape) -> tuple[Shape, ...]:
    return (x,)


def run_float(attrs: LogSoftmax, x: Array) -> Array:
    shifted = x - x.max(axis=-1, keepdims=True)
    y: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return y


def lower(attrs: LogSoftmax, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> LogSoftmaxInt8:
    """The reverse multiplier brings a Q5.26 back to input steps. Source: TFLite PreprocessLogSoftmaxScalingExp."""
    share = softmax.lower(Softmax(), inputs, outputs)
    reverse = quantize_multiplier((1 << (31 - share.shift)) / share.multiplier)
    return LogSoftmaxInt8(share.shape, share.multiplier, share.shift, share.difference_min, *reverse)


def run_int(params: LogSoftmaxInt8, x: Array) -> Array:
    """Source: TFLite reference_ops LogSoftmax, int8."""
    difference = x.astype(np.int64) - x.max(axis=-1, keepdims=True)
    total = params.exponentials.astype(np.int64)[-difference].sum(axis=-1, keepdims=True)
    log_total = logarithm(total)
    reach = multiply_by_quantized_multiplier(log_total + INT32_MIN, params.reverse_multiplier, params.reverse_shift)
    floor = np.maximum(params.lowest, reach)
    y = rounding_divide_by_power_of_two(params.rescaled(difference) - log_total, OUTPUT_SHIFT) + OUTPUT_ZERO_POINT
    return np.where(difference > floor, np.clip(y, -128, 127), -128).astype(np.int8)


def logarithm(z: Array) -> Array:
    """log z in Q5.26 for z >= 1 in Q12.19: the power of two apart, the rest a rational function around 2^(−1/4).

    Source: TFLite log_x_for_x_greater_than_or_equal_to_1_impl.
    """
    multiply = saturating_rounding_doubling_high_mul
    z_half = multiply(z, SQRT_HALF)
    zeros, zeros_half = leading_zeros(z), leading_zeros(z_half) - 1
    r_first = saturating_shift_left(multiply(z << (zeros - 1), SQRT_HALF), 1)
    power_first = ((SUM_BITS - zeros) << 25) + QUARTER_Q6
    power_second = ((SUM_BITS - zeros_half) << 25) - QUARTER_Q6
    r = np.minimum(np.minimum(r_first, z << zeros_half), INT32_MAX)
    logarithm_of_power = multiply(np.maximum(power_first, power_second), LOG_2)
    ratio = multiply(rounding_divide_by_power_of_two(numerator(r), 6), one_over_one_plus(denominator(r)))
    return saturating_shift_left(logarithm_of_power + ratio, 1)


def numerator(r: Array) -> Array:
    """q · r + 11/240 · fourth · q³ with q = 2 · (r − 1/fourth), Q0.31."""
    multiply = saturating_rounding_doubling_high_mul
    q = 2 * (r - FOURTH_ROOT_HALF)
    return multiply(q, r) + multiply(multiply(q, multiply(q, q)), NUMERATOR)


def denominator(r: Array) -> Array:
    """The denominator less one, Q0.31."""
    multiply = saturating_rounding_doubling_high_mul
    half_sum = (r + FOURTH_ROOT_HALF + 1) >> 1  # gemmlowp RoundingHalfSum of positive numbers
    q = 2 * (r - FOURTH_ROOT_HALF)
    inner = DENOMINATOR_ONE + q + multiply(multiply(q, q), DENOMINATOR_SQUARE)
    return multiply(half_sum, inner) + multiply(q, DENOMINATOR_LINEAR)


def leading_zeros(x: Array) -> Array:
    """Of a positive int32."""
    return 32 - np.asarray(np.frexp(x.astype(np.float64))[1], np.int64)


def work(params: LogSoftmaxInt8) -> Work:
    return Work(0, params.exponentials.nbytes, 2 * elements(params.shape))


OP = Op(
    name="log_softmax",
    summary="logarithm of softmax over the last axis",
    builtins=("LOG_SOFTMAX",),
    attrs=LogSoftmax,
    params=LogSoftmaxInt8,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(has_channels,),
    quantization=QParams.per_tensor(16 / 256, OUTPUT_ZERO_POINT),
    lower=lower,
    run_int=run_int,
    constants=lambda params: {"exponentials": params.exponentials},
    work=work,
)
