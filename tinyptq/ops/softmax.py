"""SOFTMAX: exp(beta · x) over the last axis, divided by its sum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import (
    INT32_MAX,
    quantize_multiplier,
    rounding_divide_by_power_of_two,
    saturating_rounding_doubling_high_mul,
    wrap32,
)
from tinyptq.graph import Array, Graph, Node, QParams, Shape
from tinyptq.ops import softmax_int16, transcendental
from tinyptq.ops.base import Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.lookup import input_radius, require_left_shift
from tinyptq.program import Work

DIFFERENCE_BITS = 5  # x − max is brought to Q5.26: exp(−32) is nothing
SUM_BITS = 12  # the exponentials are summed in Q12.19, so at most 4095 of them
LONGEST = (1 << SUM_BITS) - 1
OUTPUT_BITS = 8  # the output's scale is 2^−8


@dataclass(frozen=True)
class Softmax:
    """Attributes of the float operator."""

    beta: float = 1.0


@dataclass(frozen=True, eq=False)
class SoftmaxInt:
    """int8: y = RDBPOT(e · (1 / Σe), 31 − 8) − 128 with e = exp((x − max) · s · beta) in Q0.31; 0 below difference_min.
    int8 to int16: likewise, with 31 − 16 and − 32768.
    int16: two tables, see softmax_int16; multiplier and shift bring x − max to steps of 10 / 65535.
    """

    dtype: str  # of the input
    output_dtype: str
    shape: Shape
    beta: float  # for the exported file only
    multiplier: int
    shift: int
    difference_min: int

    @property
    def depth(self) -> int:
        return self.shape[-1]

    @property
    def rows(self) -> int:
        return elements(self.shape[:-1])

    @property
    def sum_bits(self) -> int:
        return SUM_BITS

    @property
    def output_bits(self) -> int:
        """One is 2^output_bits steps of the output."""
        return OUTPUT_BITS if self.output_dtype == "int8" else 16

    @property
    def half(self) -> int:
        """Minus the output's zero point, which is its lowest value."""
        return 1 << (self.output_bits - 1)

    @property
    def highest(self) -> int:
        return self.half - 1

    @property
    def share_shift(self) -> int:
        """Right shift that makes steps of a share, before the sum's leading zeros are taken off."""
        return SUM_BITS + 31 - self.output_bits

    @cached_property
    def exponentials(self) -> Array:
        """exp((x − max) · s · beta) in Q0.31 for max − x = 0 … 255. int32 [256]"""
        difference = -np.arange(256, dtype=np.int64)
        inside = np.maximum(difference, self.difference_min)
        rescaled = saturating_rounding_doubling_high_mul(wrap32(inside << self.shift), self.multiplier)
        exponential = transcendental.exp_on_negative_values(rescaled, DIFFERENCE_BITS)
        return np.where(difference >= self.difference_min, exponential, 0).astype(np.int32)


def read_tflite(operator: TfliteOperator) -> Softmax:
    return Softmax(float(operator.options.Beta())) if operator.options else Softmax()


def write_tflite(params: SoftmaxInt) -> tuple[TfliteCode, ...]:
    return (TfliteCode("SOFTMAX", "SoftmaxOptions", {"Beta": params.beta}, version=3),)


def infer_shapes(attrs: Softmax, x: Shape) -> tuple[Shape, ...]:
    return (x,)


def run_float(attrs: Softmax, x: Array) -> Array:
    exponential = np.exp((x - x.max(axis=-1, keepdims=True)) * np.float32(attrs.beta))
    y: Array = exponential / exponential.sum(axis=-1, keepdims=True)
    return y


def has_channels(graph: Graph, node: Node) -> bool:
    """The input has 2 to 4 dimensions and at most 4095 elements along the last one."""
    shape = graph.tensors[node.inputs[0]].shape
    return 2 <= len(shape) <= 4 and 1 <= shape[-1] <= LONGEST


def positive_beta(graph: Graph, node: Node) -> bool:
    """beta is greater than zero."""
    return bool(node.attrs.beta > 0)


def lower(attrs: Softmax, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> SoftmaxInt:
    if inputs[0].dtype == np.int16:
        return lower_int16(attrs, inputs[0])
    return lower_int8(attrs, inputs[0], str(outputs[0].dtype))


def lower_int16(attrs: Softmax, x: Operand) -> SoftmaxInt:
    """Multiplier beta · s_in / (10 / 65535), in double. Source: TFLite Micro SoftmaxPrepare."""
    beta = float(np.float32(attrs.beta))
    steps = softmax_int16.LOWEST_EXPONENT / softmax_int16.DIFFERENCE_STEPS
    multiplier, shift = quantize_multiplier(float(x.qparams.scale[0]) * beta / steps)
    if shift > softmax_int16.MAX_SHIFT:
        scale = float(x.qparams.scale[0])
        raise TinyptqError("scale-out-of-range", f"scale {scale:.3g} is too coarse for int16 softmax")
    return SoftmaxInt("int16", "int16", x.shape, beta, multiplier, shift, 0)


def lower_int8(attrs: Softmax, x: Operand, output_dtype: str = "int8") -> SoftmaxInt:
    """Multiplier beta · s_in · 2^26, in double, within int32. Source: TFLite PreprocessSoftmaxScaling."""
    qparams = x.qparams
    beta = float(np.float32(attrs.beta))
    real = min(beta * float(qparams.scale[0]) * 2.0 ** (31 - DIFFERENCE_BITS), float(INT32_MAX))
    multiplier, shift = quantize_multiplier(real)
    require_left_shift(shift - 1, qparams)  # TFLite demands a multiplier above one
    return SoftmaxInt(
        dtype="int8",
        output_dtype=output_dtype,
        shape=x.shape,
        beta=beta,
        multiplier=multiplier,
        shift=shift,
        difference_min=-input_radius(DIFFERENCE_BITS, shift),
    )


def run_int(params: SoftmaxInt, x: Array) -> Array:
    """int8: TFLite reference_ops Softmax; a share of 1/512 or less is 0 where TFLite's shift is undefined."""
    if params.dtype == "int16":
        return softmax_int16.softmax(x, params.multiplier, params.shift)
    difference = x.max(axis=-1, keepdims=True).astype(np.int16) - x
    exponential = params.exponentials.astype(np.int64)[difference]
    total = rounding_divide_by_power_of_two(params.exponentials.astype(np.int64), SUM_BITS)[difference]
    reciprocal, exponent = fixed_point_reciprocal(total.sum(axis=-1, keepdims=True))
    product = saturating_rounding_doubling_high_mul(exponential, reciprocal)
    right = exponent + OUTPUT_BITS - params.output_bits
    y = rounding_divide_by_power_of_two(product, np.minimum(right, 32)) - params.half
    share: Array = np.clip(y, -params.half, params.highest).astype(params.output_dtype)
    return share


def fixed_point_reciprocal(total: Array) -> tuple[Array, Array]:
    """(r, n): share of an exponential e is RDBPOT(e · r, n) in units of 1/256. total > 0 in Q12.19, r in Q0.31.

    total = 2^k · (1 + fraction), and r = 1 / (1 + fraction). Source: TFLite GetReciprocal, and Softmax's use of it.
    """
    leading_zeros = 32 - np.frexp(total.astype(np.float64))[1].astype(np.int64)  # exact: total < 2^31
    fraction = (total << leading_zeros) - (1 << 31)  # Q0.31
    return transcendental.one_over_one_plus(fraction), SUM_BITS + 31 - OUTPUT_BITS - leading_zeros


def constants(params: SoftmaxInt) -> Mapping[str, Array]:
    if params.dtype == "int16":
        return {"exponentials": softmax_int16.EXPONENTIAL, "reciprocals": softmax_int16.RECIPROCAL}
    return {"exponentials": params.exponentials}


def work(params: SoftmaxInt) -> Work:
    table_bytes = sum(table.nbytes for table in constants(params).values())
    return Work(0, table_bytes, 2 * elements(params.shape) * np.dtype(params.dtype).itemsize)


OP = Op(
    name="softmax",
    summary="softmax over the last axis",
    builtins=("SOFTMAX",),
    attrs=Softmax,
    params=SoftmaxInt,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(has_channels, positive_beta),
    quantization=QParams.per_tensor(1 / 256, -128),
    lower=lower,
    run_int=run_int,
    dtypes=("int8", "int16"),
    constants=constants,
    work=work,
)
