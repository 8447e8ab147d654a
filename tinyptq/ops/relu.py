"""RELU, RELU6, RELU_N1_TO_1, RELU_0_TO_1 and any other clamp that stands alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyptq.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from tinyptq.graph import Array, Shape
from tinyptq.ops.activation import RELU, RELU6, RELU_N1_TO_1, Clamp, integer_bounds
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.lookup import look_up, tabulate
from tinyptq.program import Work

BUILTINS = {"RELU": RELU, "RELU6": RELU6, "RELU_N1_TO_1": RELU_N1_TO_1, "RELU_0_TO_1": Clamp(0.0, 1.0)}
WRITABLE = {RELU: "RELU", RELU6: "RELU6"}  # TFLite Micro has no others


@dataclass(frozen=True)
class Relu:
    """Attributes of the float operator."""

    clamp: Clamp = RELU


@dataclass(frozen=True, eq=False)
class ReluInt8:
    """y = min(max(r(x), activation_min), activation_max), r(x) = x, or where `rescales`
    MBQM(x − input_zero_point, multiplier, shift) + output_zero_point.
    """

    shape: Shape
    activation_min: int
    activation_max: int
    builtin: str | None  # the TFLite operator that means this clamp, None when none does
    rescales: bool
    input_zero_point: int
    output_zero_point: int
    multiplier: int
    shift: int

    @property
    def size(self) -> int:
        return elements(self.shape)

    @cached_property
    def table(self) -> Array:
        """The output for every input byte read as unsigned, int8 [256]."""
        return tabulate(lambda x: clamped(self, rescaled(self, x)))


def read_tflite(operator: TfliteOperator) -> Relu:
    return Relu(BUILTINS[operator.builtin])


def write_tflite(params: ReluInt8) -> tuple[TfliteCode, ...]:
    """A clamp that TFLite cannot name becomes MAXIMUM then MINIMUM with int8 constants."""
    if params.builtin is not None:
        return (TfliteCode(params.builtin, version=2),)
    return (
        bound("MAXIMUM", params.activation_min, params.shape),
        bound("MINIMUM", params.activation_max, params.shape),
    )


def bound(builtin: str, value: int, shape: Shape) -> TfliteCode:
    return TfliteCode(builtin, "MaximumMinimumOptions", operands=(np.array([value], np.int8),), shape=shape, version=2)


def infer_shapes(attrs: Relu, x: Shape) -> tuple[Shape, ...]:
    return (x,)


def run_float(attrs: Relu, x: Array) -> Array:
    return attrs.clamp.apply(x)


def lower(attrs: Relu, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> ReluInt8:
    """One scale, unless someone else's file has two: TFLM then rescales in RELU (quotient in double), and in
    RELU6 compares the input's integers and passes them on.
    """
    source, target = inputs[0].qparams, outputs[0].qparams
    rescales = attrs.clamp == RELU and not source.same_as(target)
    low, high = integer_bounds(attrs.clamp, target if rescales else source)
    low, high = min(low, 127), max(high, -128)  # a zero point at the edge of the range
    multiplier, shift = quantize_multiplier(float(source.scale[0]) / float(target.scale[0]))
    return ReluInt8(
        shape=inputs[0].shape,
        activation_min=low,
        activation_max=high,
        builtin=WRITABLE.get(attrs.clamp),
        rescales=rescales,
        input_zero_point=int(source.zero_point[0]),
        output_zero_point=int(target.zero_point[0]),
        multiplier=multiplier,
        shift=shift,
    )


def rescaled(params: ReluInt8, x: Array) -> Array:
    scaled = multiply_by_quantized_multiplier(x - params.input_zero_point, params.multiplier, params.shift)
    return scaled + params.output_zero_point


def clamped(params: ReluInt8, x: Array) -> Array:
    y: Array = np.clip(x, params.activation_min, params.activation_max)
    return y


def run_int(params: ReluInt8, x: Array) -> Array:
    return look_up(params.table, x) if params.rescales else clamped(params, x)


def constants(params: ReluInt8) -> Mapping[str, Array]:
    return {"table": params.table} if params.rescales else {}


def work(params: ReluInt8) -> Work:
    return Work(0, 0, 2 * params.size)


OP = Op(
    name="relu",
    summary="ReLU, ReLU6, ReLU-N and any other clamp",
    builtins=tuple(BUILTINS),
    attrs=Relu,
    params=ReluInt8,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    quantization=SAME,
    lower=lower,
    run_int=run_int,
    constants=constants,
    work=work,
)
