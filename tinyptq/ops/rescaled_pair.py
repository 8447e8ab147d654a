"""Two operands brought to one scale, combined there, and the result rescaled: what ADD, SUB and their like share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier, wrap32
from tinyptq.graph import Array, QParams, Shape
from tinyptq.ops.activation import Clamp, integer_bounds, tflite_code
from tinyptq.ops.base import Operand
from tinyptq.ops.broadcast import Loop, all_pairs, loop_nest
from tinyptq.ops.element import limits, require_plain, scaled_element, touched
from tinyptq.program import Work


@dataclass(frozen=True, eq=False)
class RescaledPair:
    """y = clamp(MBQM(r0 ∘ r1, output) + output_zero_point), r_i = MBQM((x_i − zero_point_i) · 2^left_shift, input i).

    The operator says what ∘ is. int32: plain numbers, r_i = x_i, and y = clamp(x0 ∘ x1) modulo 2^32.
    """

    input_shapes: tuple[Shape, Shape]
    output_shape: Shape
    element: str
    left_shift: int  # fraction bits the inputs gain before they are rescaled
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
        """What an input step becomes before it is rescaled."""
        return 1 << self.left_shift

    @cached_property
    def rescaled(self) -> tuple[Array, Array]:
        """r0, r1 of every pair of bytes: int64 [256, 1] and [1, 256], at the places broadcast.look_up reads."""
        return rescale(self, *all_pairs())


def rescale(params: RescaledPair, first: Array, second: Array) -> tuple[Array, Array]:
    """r0, r1 of int64 arrays of integers."""
    if params.element == "int32":
        return first, second
    pair = zip((first, second), params.input_zero_points, params.input_multipliers, params.input_shifts, strict=True)
    r0, r1 = (
        multiply_by_quantized_multiplier((x - zero_point) << params.left_shift, multiplier, shift)
        for x, zero_point, multiplier, shift in pair
    )
    return r0, r1


def lower_pair(
    inputs: tuple[Operand, ...],
    output: Operand,
    left_shift: int,
    input_reals: tuple[float, float],
    output_real: float,
    activation: Clamp,
) -> RescaledPair:
    """reals: what the rescaled inputs and the combination are multiplied by, before they become integers."""
    first, second = (quantize_multiplier(real) for real in input_reals)
    multiplier, shift = quantize_multiplier(output_real)
    name = scaled_element(*inputs, output)
    low, high = integer_bounds(activation, output.qparams, *limits(name))
    return RescaledPair(
        input_shapes=(inputs[0].shape, inputs[1].shape),
        output_shape=output.shape,
        element=name,
        left_shift=left_shift,
        input_zero_points=(int(inputs[0].qparams.zero_point[0]), int(inputs[1].qparams.zero_point[0])),
        input_multipliers=(first[0], second[0]),
        input_shifts=(first[1], second[1]),
        output_zero_point=int(output.qparams.zero_point[0]),
        output_multiplier=multiplier,
        output_shift=shift,
        activation_min=low,
        activation_max=high,
        activation_code=tflite_code(activation),
    )


def plain_pair(inputs: tuple[Operand, ...], output: Operand, activation: Clamp) -> RescaledPair:
    """Of int32 operands: nothing is rescaled."""
    require_plain(*inputs, output)
    low, high = integer_bounds(activation, output.qparams, *limits("int32"))
    shapes, code = (inputs[0].shape, inputs[1].shape), tflite_code(activation)
    zeros = (0, 0)
    return RescaledPair(shapes, output.shape, "int32", 0, zeros, zeros, zeros, 0, 0, 0, low, high, code)


def finish(params: RescaledPair, combined: Array) -> Array:
    """What follows the combination of both operands: rescale, add the zero point, clamp. int64."""
    if params.element == "int32":
        return np.asarray(np.clip(wrap32(combined), params.activation_min, params.activation_max))
    scaled = multiply_by_quantized_multiplier(combined, params.output_multiplier, params.output_shift)
    y: Array = np.clip(scaled + params.output_zero_point, params.activation_min, params.activation_max)
    return y


def require_finer_inputs(params: RescaledPair, what: str, output: QParams, common: float) -> None:
    """TFLite rescales a sum by less than one; more would mean an output 2^19 times finer than its inputs."""
    if params.output_shift > 0:
        raise TinyptqError(
            "scale-out-of-range",
            f"the {what}'s scale {float(output.scale[0]):.3g} is too fine for inputs of scale {common / 2:.3g}",
            hint=f"calibrate with data for which this {what} is not always zero",
        )


def pair_work(params: RescaledPair) -> Work:
    return touched(params.element, *params.input_shapes, params.output_shape)
