"""MUL: element-wise product of two tensors that broadcast, plus fused activation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyptq.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier, wrap32
from tinyptq.graph import Array, Shape
from tinyptq.ops import broadcast
from tinyptq.ops.activation import NONE, TFLITE_CODES, Clamp, integer_bounds, tflite_code
from tinyptq.ops.base import FREE, Op, Operand, TfliteCode, TfliteOperator
from tinyptq.ops.broadcast import CONSTRAINTS, Loop, all_pairs, loop_nest, run_pairs
from tinyptq.ops.element import INTEGERS, limits, require_plain, require_reach, scaled_element, touched
from tinyptq.program import Work

LARGEST = {"int8": 255 * 255, "int16": 2**30}  # products


@dataclass(frozen=True)
class Mul:
    """Attributes of the float operator."""

    activation: Clamp = NONE


@dataclass(frozen=True, eq=False)
class MulInt:
    """y = clamp(MBQM((x0 − zero_point_0) · (x1 − zero_point_1), multiplier, shift) + output_zero_point).

    int32: plain numbers, y = clamp(x0 · x1) modulo 2^32.
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

    @cached_property
    def table(self) -> Array:
        """The output for every pair of inputs, int8 [256, 256]: far cheaper than arithmetic per element."""
        return products(self, *all_pairs()).astype(np.int8)


def read_tflite(operator: TfliteOperator) -> Mul:
    options = operator.options
    return Mul(TFLITE_CODES[options.FusedActivationFunction()] if options else NONE)


def write_tflite(params: MulInt) -> tuple[TfliteCode, ...]:
    fields = {"FusedActivationFunction": params.activation_code}
    return (TfliteCode("MUL", "MulOptions", fields, version=2, numbers=params.element == "int32"),)


def infer_shapes(attrs: Mul, first: Shape, second: Shape) -> tuple[Shape, ...]:
    return (np.broadcast_shapes(first, second),)


def run_float(attrs: Mul, first: Array, second: Array) -> Array:
    return attrs.activation.apply(first * second)


def lower(attrs: Mul, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> MulInt:
    """Multiplier s_0 · s_1 / s_out in double. Source: TFLite Micro CalculateOpDataMul."""
    if outputs[0].dtype == np.int32:
        return plain(attrs, inputs, outputs[0])
    first, second, output = inputs[0].qparams, inputs[1].qparams, outputs[0].qparams
    real = float(first.scale[0]) * float(second.scale[0]) / float(output.scale[0])
    multiplier, shift = quantize_multiplier(real)
    name = scaled_element(*inputs, *outputs)
    require_reach(LARGEST[name], shift, output)
    low, high = integer_bounds(attrs.activation, output, *limits(name))
    return MulInt(
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


def plain(attrs: Mul, inputs: tuple[Operand, ...], output: Operand) -> MulInt:
    """Of int32 operands: nothing is rescaled."""
    require_plain(*inputs, output)
    low, high = integer_bounds(attrs.activation, output.qparams, *limits("int32"))
    shapes, code = (inputs[0].shape, inputs[1].shape), tflite_code(attrs.activation)
    return MulInt(shapes, output.shape, "int32", (0, 0), 0, 0, 0, low, high, code)


def products(params: MulInt, first: Array, second: Array) -> Array:
    """The integer specification on int64 arrays of integers; result in the element's range."""
    if params.element == "int32":
        return np.asarray(np.clip(wrap32(first * second), params.activation_min, params.activation_max))
    product = (first - params.input_zero_points[0]) * (second - params.input_zero_points[1])
    scaled = multiply_by_quantized_multiplier(product, params.multiplier, params.shift)
    y: Array = np.clip(scaled + params.output_zero_point, params.activation_min, params.activation_max)
    return y


def run_int(params: MulInt, first: Array, second: Array) -> Array:
    return run_pairs(params, products, first, second)


def work(params: MulInt) -> Work:
    return touched(params.element, *params.input_shapes, params.output_shape)


OP = Op(
    name="mul",
    summary="element-wise product, broadcasting, one operand may be constant",
    builtins=("MUL",),
    attrs=Mul,
    params=MulInt,
    operands=2,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=CONSTRAINTS,
    quantization=FREE,
    dtypes=INTEGERS,
    lower=lower,
    run_int=run_int,
    leads=lambda params: broadcast.leads(*params.input_shapes),
    work=work,
)
