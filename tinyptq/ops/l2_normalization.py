"""L2_NORMALIZATION: x / |x| over the last axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import multiply_by_quantized_multiplier
from tinyptq.graph import Array, Graph, Node, QParams, Shape
from tinyptq.ops.base import Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.inverse_root import inverse_root
from tinyptq.program import Work

LONGEST = (1 << 31) // 255**2  # the squares of this many elements add up to less than 2^31
OUTPUT_BITS = 7  # the output's scale is 2^−7
EPSILON = np.float32(1e-6)  # a shorter vector is divided by this. Source: TFLite L2Normalization


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
