"""L2_NORMALIZATION: x / |x| over the last axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import (
    INT32_MAX,
    multiply_by_quantized_multiplier,
    rounding_divide_by_power_of_two,
    saturating_rounding_doubling_high_mul,
)
from tinyptq.graph import Array, Graph, Node, QParams, Shape
from tinyptq.ops.base import Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.transcendental import saturating_shift_left
from tinyptq.program import Work

LONGEST = (1 << 31) // 255**2  # the squares of this many elements add up to less than 2^31
OUTPUT_BITS = 7  # the output's scale is 2^−7
EPSILON = np.float32(1e-6)  # a shorter vector is divided by this. Source: TFLite L2Normalization
ONE_Q3 = 1 << 28
THREE_HALVES_Q3 = ONE_Q3 + (ONE_Q3 >> 1)
HALF_SQRT_2 = 1518500250  # sqrt(2) / 2 in Q0.31


@dataclass(frozen=True)
class L2Normalization:
    """The float operator has no attributes."""


@dataclass(frozen=True, eq=False)
class L2NormalizationInt8:
    """y = clamp(MBQM(x − zero_point, 2^7 / sqrt(Σ(x − zero_point)²))); the input's scale cancels out."""

    shape: Shape
    input_zero_point: int

    @property
    def depth(self) -> int:
        return self.shape[-1]

    @property
    def rows(self) -> int:
        return elements(self.shape[:-1])


def read_tflite(operator: TfliteOperator) -> L2Normalization:
    code = operator.options.FusedActivationFunction() if operator.options else 0
    if code != 0:
        raise TinyptqError("unsupported-activation", f"L2_NORMALIZATION with fused activation number {code}")
    return L2Normalization()


def write_tflite(params: L2NormalizationInt8) -> tuple[TfliteCode, ...]:
    return (TfliteCode("L2_NORMALIZATION", "L2NormOptions", {"FusedActivationFunction": 0}, version=2),)


def infer_shapes(attrs: L2Normalization, x: Shape) -> tuple[Shape, ...]:
    return (x,)


def run_float(attrs: L2Normalization, x: Array) -> Array:
    length = np.sqrt(np.sum(np.square(x), axis=-1, keepdims=True, dtype=np.float32))
    y: Array = x / np.maximum(length, EPSILON)
    return y


def short_rows(graph: Graph, node: Node) -> bool:
    """The input has 2 to 4 dimensions and at most 33025 elements along the last one."""
    shape = graph.tensors[node.inputs[0]].shape
    return 2 <= len(shape) <= 4 and 1 <= shape[-1] <= LONGEST


def lower(attrs: L2Normalization, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> L2NormalizationInt8:
    return L2NormalizationInt8(inputs[0].shape, int(inputs[0].qparams.zero_point[0]))


def run_int(params: L2NormalizationInt8, x: Array) -> Array:
    """Source: TFLite reference_integer_ops L2Normalization."""
    centred = x.astype(np.int64) - params.input_zero_point
    multiplier, shift = inverse_root(np.square(centred).sum(axis=-1, keepdims=True))
    y: Array = np.clip(multiply_by_quantized_multiplier(centred, multiplier, shift + OUTPUT_BITS), -128, 127)
    return y.astype(np.int8)


def inverse_root(total: Array) -> tuple[Array, Array]:
    """(m, s) with 1 / sqrt(total) = m · 2^(s − 31), for 0 <= total < 2^31; of 0 as of 1. Newton, five steps from 1.

    Source: TFLite GetInvSqrtQuantizedMultiplierExp.
    """
    large = total >= 1 << 29
    value = np.where(large, total >> 2, np.maximum(total, 2))
    pairs = (31 - np.frexp(value.astype(np.float64))[1].astype(np.int64)) // 2 - 1
    right = 11 + large.astype(np.int64) - pairs
    root = newton((value << (2 * pairs)) >> 1) << np.maximum(-right, 0)
    small = total <= 1
    return np.where(small, INT32_MAX, root), np.where(small, 0, -np.maximum(right, 0))


def newton(value: Array) -> Array:
    """sqrt(1/2) / sqrt(value) in Q3.28, read as Q0.31 by the caller's exponent. value in Q3.28, near one."""
    multiply = saturating_rounding_doubling_high_mul
    half = rounding_divide_by_power_of_two(value, 1)
    x = np.full_like(value, ONE_Q3)
    for _ in range(5):
        cube = saturating_shift_left(multiply(multiply(x, x), x), 6)
        x = saturating_shift_left(multiply(x, THREE_HALVES_Q3) - multiply(half, cube), 3)
    return multiply(x, HALF_SQRT_2)


def work(params: L2NormalizationInt8) -> Work:
    return Work(elements(params.shape), 0, 2 * elements(params.shape))


OP = Op(
    name="l2_normalization",
    summary="a vector along the last axis divided by its length",
    builtins=("L2_NORMALIZATION",),
    attrs=L2Normalization,
    params=L2NormalizationInt8,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(short_rows,),
    quantization=QParams.per_tensor(1 / 128, 0),
    lower=lower,
    run_int=run_int,
    work=work,
)
