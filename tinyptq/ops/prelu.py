"""PRELU: x where positive, alpha · x where negative, alpha a constant that broadcasts (one per channel, usually).

int8 as TFLite Micro, which refuses int16: the same arithmetic here, within a step of the real function.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops.base import FREE, Op, Operand, TfliteCode, TfliteOperator
from tinyptq.ops.broadcast import Loop, all_pairs, broadcastable, loop_nest, run_pairs
from tinyptq.ops.element import SCALED, limits, scaled_element, touched
from tinyptq.ops.lookup import require_small_shift
from tinyptq.program import Work

MAX_PRODUCT_SHIFTS = {"int8": 15, "int16": 0}  # 255 · 255 · 2^15 < 2^31: products stay in int32; so does 2^30


@dataclass(frozen=True)
class Prelu:
    """The float operator has no attributes; alpha is its second operand."""


@dataclass(frozen=True, eq=False)
class PreluInt:
    """y = clamp(MBQM(centred) + output_zero_point), centred = x − zero_point, times (alpha − zero_point) below zero."""

    input_shapes: tuple[Shape, Shape]
    output_shape: Shape
    element: str
    input_zero_points: tuple[int, int]
    output_zero_point: int
    positive_multiplier: int
    positive_shift: int
    negative_multiplier: int
    negative_shift: int

    @property
    def loops(self) -> tuple[Loop, ...]:
        return loop_nest(*self.input_shapes)

    @property
    def bounds(self) -> tuple[int, int]:
        return limits(self.element)

    @cached_property
    def table(self) -> Array:
        """The output for every pair of x and alpha, int8 [256, 256]: far cheaper than arithmetic per element."""
        return prelus(self, *all_pairs()).astype(np.int8)


def read_tflite(operator: TfliteOperator) -> Prelu:
    return Prelu()


def write_tflite(params: PreluInt) -> tuple[TfliteCode, ...]:
    return (TfliteCode("PRELU"),)


def infer_shapes(attrs: Prelu, x: Shape, alpha: Shape) -> tuple[Shape, ...]:
    return (np.broadcast_shapes(x, alpha),)


def run_float(attrs: Prelu, x: Array, alpha: Array) -> Array:
    return np.where(x >= 0, x, x * alpha).astype(np.float32)


def constant_slopes(graph: Graph, node: Node) -> bool:
    """alpha is constant, and repeated along axes of the input, not the other way round."""
    x, alpha = (graph.tensors[name] for name in node.inputs)
    return x.data is None and alpha.data is not None and np.broadcast_shapes(x.shape, alpha.shape) == x.shape


def lower(attrs: Prelu, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> PreluInt:
    """Multipliers s_in / s_out and s_in · s_alpha / s_out, in double. Source: TFLite Micro CalculatePreluParams."""
    name = scaled_element(*inputs, *outputs)
    x, alpha, result = inputs[0].qparams, inputs[1].qparams, outputs[0].qparams
    ratio = float(x.scale[0]) / float(result.scale[0])
    positive = quantize_multiplier(ratio)
    negative = quantize_multiplier(float(x.scale[0]) * float(alpha.scale[0]) / float(result.scale[0]))
    require_small_shift(positive[1] + 8 if name == "int16" else positive[1], result)
    if negative[1] > MAX_PRODUCT_SHIFTS[name]:
        raise TinyptqError("scale-out-of-range", f"the slopes' scale {float(alpha.scale[0]):.3g} is too coarse")
    return PreluInt(
        input_shapes=(inputs[0].shape, inputs[1].shape),
        output_shape=outputs[0].shape,
        element=name,
        input_zero_points=(int(x.zero_point[0]), int(alpha.zero_point[0])),
        output_zero_point=int(result.zero_point[0]),
        positive_multiplier=positive[0],
        positive_shift=positive[1],
        negative_multiplier=negative[0],
        negative_shift=negative[1],
    )


def prelus(params: PreluInt, x: Array, alpha: Array) -> Array:
    """The integer specification on int64 arrays of integers; result in their range.

    Source: TFLite reference_ops BroadcastPrelu4DSlow.
    """
    centred = x - params.input_zero_points[0]
    sloped = np.minimum(centred, 0) * (alpha - params.input_zero_points[1])
    positive = multiply_by_quantized_multiplier(centred, params.positive_multiplier, params.positive_shift)
    negative = multiply_by_quantized_multiplier(sloped, params.negative_multiplier, params.negative_shift)
    y: Array = np.clip(np.where(centred >= 0, positive, negative) + params.output_zero_point, *params.bounds)
    return y


def run_int(params: PreluInt, x: Array, alpha: Array) -> Array:
    return run_pairs(params, prelus, x, alpha)


def work(params: PreluInt) -> Work:
    return touched(params.element, *params.input_shapes, params.output_shape)


OP = Op(
    name="prelu",
    summary="x where positive, a constant slope (one per channel) times x where negative",
    builtins=("PRELU",),
    attrs=Prelu,
    params=PreluInt,
    operands=2,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(broadcastable, constant_slopes),
    quantization=FREE,
    dtypes=SCALED,
    lower=lower,
    run_int=run_int,
    work=work,
)
