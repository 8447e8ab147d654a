"""L2_NORMALIZATION: x / |x| over the last axis.

int8 as TFLite Micro, which refuses int16: that has a sum of 64 bits, of which the root takes the highest 31.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import multiply_by_quantized_multiplier
from tinyptq.graph import Array, Graph, Node, QParams, Shape
from tinyptq.ops.base import Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.element import SCALED, limits, scaled_element, width
from tinyptq.ops.inverse_root import inverse_root
from tinyptq.program import Work

LONGEST = (1 << 31) // 255**2  # the squares of this many elements add up to less than 2^31
OUTPUT_BITS = {"int8": 7, "int16": 15}  # the output's scale is 2^−7 or 2^−15
EPSILON = np.float32(1e-6)  # a shorter vector is divided by this. Source: TFLite L2Normalization


@dataclass(frozen=True)
class L2Normalization:
    """The float operator has no attributes."""


@dataclass(frozen=True, eq=False)
class L2NormalizationInt:
    """y = clamp(MBQM(x − zero_point, 2^output_bits / sqrt(Σ(x − zero_point)²))); the input's scale cancels out."""

    shape: Shape
    element: str
    input_zero_point: int

    @property
    def depth(self) -> int:
        return self.shape[-1]

    @property
    def output_bits(self) -> int:
        return OUTPUT_BITS[self.element]

    @property
    def bounds(self) -> tuple[int, int]:
        return limits(self.element)

    @property
    def rows(self) -> int:
        return elements(self.shape[:-1])


def read_tflite(operator: TfliteOperator) -> L2Normalization:
    code = operator.options.FusedActivationFunction() if operator.options else 0
    if code != 0:
        raise TinyptqError("unsupported-activation", f"L2_NORMALIZATION with fused activation number {code}")
    return L2Normalization()


def write_tflite(params: L2NormalizationInt) -> tuple[TfliteCode, ...]:
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


def lower(attrs: L2Normalization, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> L2NormalizationInt:
    name = scaled_element(*inputs, *outputs)
    if name == "int16" and outputs[0].qparams.scale[0] != 2.0**-15:
        raise TinyptqError("scale-out-of-range", "int16 L2_NORMALIZATION with an output of another scale than 2^-15")
    return L2NormalizationInt(inputs[0].shape, name, int(inputs[0].qparams.zero_point[0]))


def run_int(params: L2NormalizationInt, x: Array) -> Array:
    """Source: TFLite reference_integer_ops L2Normalization."""
    centred = x.astype(np.int64) - params.input_zero_point
    total = np.square(centred).sum(axis=-1, keepdims=True)
    bits = np.frexp(total.astype(np.float64))[1].astype(np.int64)  # exact: total < 2^46
    halves = np.maximum(bits - 30, 0) // 2  # pairs of bits beyond 31
    multiplier, shift = inverse_root(total >> (2 * halves))
    scaled = multiply_by_quantized_multiplier(centred, multiplier, shift + params.output_bits - halves)
    return np.clip(scaled, *params.bounds).astype(x.dtype)


def work(params: L2NormalizationInt) -> Work:
    return Work(elements(params.shape), 0, 2 * width(params.element) * elements(params.shape))


OP = Op(
    name="l2_normalization",
    summary="a vector along the last axis divided by its length",
    builtins=("L2_NORMALIZATION",),
    attrs=L2Normalization,
    params=L2NormalizationInt,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(short_rows,),
    dtypes=SCALED,
    quantization=QParams.per_tensor(1 / 128, 0),
    lower=lower,
    run_int=run_int,
    work=work,
)
