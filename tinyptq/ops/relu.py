"""RELU, RELU6, RELU_N1_TO_1, RELU_0_TO_1 and any other clamp that stands alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyptq.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from tinyptq.graph import Array, Shape
from tinyptq.ops.activation import RELU, RELU6, RELU_N1_TO_1, Clamp, integer_bounds
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode, TfliteOperator, elements, in_place
from tinyptq.ops.element import SCALED, limits, one_element, require_reach, require_scales, touched
from tinyptq.ops.lookup import look_up, tabulate
from tinyptq.program import Work

BUILTINS = {"RELU": RELU, "RELU6": RELU6, "RELU_N1_TO_1": RELU_N1_TO_1, "RELU_0_TO_1": Clamp(0.0, 1.0)}
WRITABLE = {RELU: "RELU", RELU6: "RELU6"}  # TFLite Micro has no others


@dataclass(frozen=True)
class Relu:
    """Attributes of the float operator."""

    clamp: Clamp = RELU


@dataclass(frozen=True, eq=False)
class ReluInt:
    """y = min(max(r(x), activation_min), activation_max), r(x) = x, or where `rescales`
    MBQM(x − input_zero_point, multiplier, shift) + output_zero_point.
    """

    shape: Shape
    element: str
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

    @property
    def by_table(self) -> bool:
        return self.rescales and self.element == "int8"

    @cached_property
    def table(self) -> Array:
        """The output for every input byte read as unsigned, int8 [256]."""
        return tabulate(lambda x: clamped(self, rescaled(self, x)))


def read_tflite(operator: TfliteOperator) -> Relu:
    return Relu(BUILTINS[operator.builtin])


def write_tflite(params: ReluInt) -> tuple[TfliteCode, ...]:
    """A clamp that TFLite cannot name becomes MAXIMUM then MINIMUM with constants."""
    if params.builtin is not None:
        return (TfliteCode(params.builtin, version=2),)
    return (
        bound("MAXIMUM", params.activation_min, params),
        bound("MINIMUM", params.activation_max, params),
    )


def bound(builtin: str, value: int, params: ReluInt) -> TfliteCode:
    operands = (np.array([value], params.element),)
    return TfliteCode(builtin, "MaximumMinimumOptions", operands=operands, shape=params.shape, version=2)


def infer_shapes(attrs: Relu, x: Shape) -> tuple[Shape, ...]:
    return (x,)


def run_float(attrs: Relu, x: Array) -> Array:
    return attrs.clamp.apply(x)


def lower(attrs: Relu, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> ReluInt:
    """One scale, unless someone else's file has two: TFLM then rescales in RELU (quotient in double), and in
    RELU6 compares the input's integers and passes them on.
    """
    source, target = inputs[0].qparams, outputs[0].qparams
    rescales = attrs.clamp == RELU and not source.same_as(target)
    name = one_element(*inputs, *outputs)
    lowest, highest = limits(name)
    low, high = integer_bounds(attrs.clamp, target if rescales else source, lowest, highest)
    low, high = min(low, highest), max(high, lowest)  # a zero point at the edge of the range
    multiplier, shift = quantize_multiplier(float(source.scale[0]) / float(target.scale[0]))
    if name == "int16":
        require_scales(*inputs, *outputs)
        require_reach(1 << 15, shift, target)
    return ReluInt(
        shape=inputs[0].shape,
        element=name,
        activation_min=low,
        activation_max=high,
        builtin=WRITABLE.get(attrs.clamp),
        rescales=rescales,
        input_zero_point=int(source.zero_point[0]),
        output_zero_point=int(target.zero_point[0]),
        multiplier=multiplier,
        shift=shift,
    )


def rescaled(params: ReluInt, x: Array) -> Array:
    scaled = multiply_by_quantized_multiplier(x - params.input_zero_point, params.multiplier, params.shift)
    return scaled + params.output_zero_point


def clamped(params: ReluInt, x: Array) -> Array:
    y: Array = np.clip(x, params.activation_min, params.activation_max)
    return y


def run_int(params: ReluInt, x: Array) -> Array:
    if params.by_table:
        return look_up(params.table, x)
    y = rescaled(params, x.astype(np.int64)) if params.rescales else x
    return clamped(params, y).astype(x.dtype)


def constants(params: ReluInt) -> Mapping[str, Array]:
    return {"table": params.table} if params.by_table else {}


def work(params: ReluInt) -> Work:
    return touched(params.element, params.shape, params.shape)


OP = Op(
    name="relu",
    summary="ReLU, ReLU6, ReLU-N and any other clamp",
    builtins=tuple(BUILTINS),
    attrs=Relu,
    params=ReluInt,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    quantization=SAME,
    dtypes=SCALED,
    lower=lower,
    run_int=run_int,
    constants=constants,
    leads=in_place,
    work=work,
)
