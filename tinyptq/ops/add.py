"""ADD: element-wise sum of two tensors that broadcast, plus fused activation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from tinyptq.graph import Array, QParams, Shape
from tinyptq.ops.activation import NONE, TFLITE_CODES, Clamp, integer_bounds, tflite_code
from tinyptq.ops.base import FREE, Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.broadcast import CONSTRAINTS, Loop, all_pairs, look_up, loop_nest
from tinyptq.program import Work

LEFT_SHIFT = 20  # fraction bits the inputs gain before they are rescaled; |x − zero_point| < 2^8, so 2^28 at most


@dataclass(frozen=True)
class Add:
    """Attributes of the float operator."""

    activation: Clamp = NONE


@dataclass(frozen=True, eq=False)
class AddInt8:
    """Both inputs reach the common scale 2·max(s) / 2^20, are added there, and the sum is rescaled.

    y = clamp(MBQM(r0 + r1, output) + output_zero_point), r_i = MBQM((x_i − zero_point_i) · 2^20, input i).
    """

    input_shapes: tuple[Shape, Shape]
    output_shape: Shape
    input_zero_points: tuple[int, int]
    input_multipliers: tuple[int, int]
    input_shifts: tuple[int, int]
    output_zero_point: int
    output_multiplier: int
    output_shift: int
    activation_min: int
    activation_max: int
    activation_code: int  # TFLite's fused activation

    @property
    def loops(self) -> tuple[Loop, ...]:
        return loop_nest(*self.input_shapes)

    @property
    def one(self) -> int:
        """2^20: what an input step becomes before it is rescaled."""
        return 1 << LEFT_SHIFT

    @cached_property
    def table(self) -> Array:
        """The output for every pair of inputs, int8 [256, 256]: far cheaper than arithmetic per element."""
        return sums(self, *all_pairs()).astype(np.int8)


def read_tflite(operator: TfliteOperator) -> Add:
    options = operator.options
    return Add(TFLITE_CODES[options.FusedActivationFunction()] if options else NONE)


def write_tflite(params: AddInt8) -> tuple[TfliteCode, ...]:
    fields = {"FusedActivationFunction": params.activation_code, "PotScaleInt16": False}
    return (TfliteCode("ADD", "AddOptions", fields, version=2),)


def infer_shapes(attrs: Add, first: Shape, second: Shape) -> tuple[Shape, ...]:
    return (np.broadcast_shapes(first, second),)


def run_float(attrs: Add, first: Array, second: Array) -> Array:
    return attrs.activation.apply(first + second)


def lower(attrs: Add, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> AddInt8:
    """Multipliers s_i / (2·max s) and 2·max s / (2^20 · s_out), in double. Source: TFLite Micro CalculateOpDataAdd."""
    output = outputs[0].qparams
    scales = [float(operand.qparams.scale[0]) for operand in inputs]
    common = 2.0 * max(scales)
    first, second = (quantize_multiplier(scale / common) for scale in scales)
    multiplier, shift = quantize_multiplier(common / (2.0**LEFT_SHIFT * float(output.scale[0])))
    require_finer_inputs(shift, output, common)
    low, high = integer_bounds(attrs.activation, output)
    return AddInt8(
        input_shapes=(inputs[0].shape, inputs[1].shape),
        output_shape=outputs[0].shape,
        input_zero_points=(int(inputs[0].qparams.zero_point[0]), int(inputs[1].qparams.zero_point[0])),
        input_multipliers=(first[0], second[0]),
        input_shifts=(first[1], second[1]),
        output_zero_point=int(output.zero_point[0]),
        output_multiplier=multiplier,
        output_shift=shift,
        activation_min=low,
        activation_max=high,
        activation_code=tflite_code(attrs.activation),
    )


def require_finer_inputs(shift: int, output: QParams, common: float) -> None:
    """TFLite rescales the sum by less than one; more would mean an output 2^19 times finer than its inputs."""
    if shift > 0:
        raise TinyptqError(
            "scale-out-of-range",
            f"the sum's scale {float(output.scale[0]):.3g} is too fine for inputs of scale {common / 2:.3g}",
            hint="calibrate with data for which this sum is not always zero",
        )


def sums(params: AddInt8, first: Array, second: Array) -> Array:
    """The integer specification on int64 arrays of int8 values; result in int8 range."""
    rescaled = [
        multiply_by_quantized_multiplier((x - zero_point) << LEFT_SHIFT, multiplier, shift)
        for x, zero_point, multiplier, shift in zip(
            (first, second), params.input_zero_points, params.input_multipliers, params.input_shifts, strict=True
        )
    ]
    total = multiply_by_quantized_multiplier(rescaled[0] + rescaled[1], params.output_multiplier, params.output_shift)
    y: Array = np.clip(total + params.output_zero_point, params.activation_min, params.activation_max)
    return y


def run_int(params: AddInt8, first: Array, second: Array) -> Array:
    return look_up(params.table, first, second)


def work(params: AddInt8) -> Work:
    return Work(0, 0, sum(elements(s) for s in params.input_shapes) + elements(params.output_shape))


OP = Op(
    name="add",
    summary="element-wise sum, broadcasting, one operand may be constant",
    builtins=("ADD",),
    attrs=Add,
    params=AddInt8,
    operands=2,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=CONSTRAINTS,
    quantization=FREE,
    lower=lower,
    run_int=run_int,
    work=work,
)
