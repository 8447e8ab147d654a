"""PRELU: x where positive, alpha · x where negative, alpha a constant that broadcasts (one per channel, usually)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops.base import FREE, Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.broadcast import Loop, all_pairs, broadcastable, loop_nest
from tinyptq.ops.broadcast import look_up as look_up_pairs
from tinyptq.ops.lookup import require_int8, require_small_shift
from tinyptq.program import Work

MAX_PRODUCT_SHIFT = 15  # 255 · 255 · 2^15 < 2^31: the product stays in int32 before it is rescaled


@dataclass(frozen=True)
class Prelu:
    """The float operator has no attributes; alpha is its second operand."""


@dataclass(frozen=True, eq=False)
class PreluInt8:
    """y = clamp(MBQM(centred) + output_zero_point), centred = x − zero_point, times (alpha − zero_point) below zero."""

    input_shapes: tuple[Shape, Shape]
    output_shape: Shape
    input_zero_points: tuple[int, int]
    output_zero_point: int
    positive_multiplier: int
    positive_shift: int
    negative_multiplier: int
    negative_shift: int

    @property
    def loops(self) -> tuple[Loop, ...]:
        return loop_nest(*self.input_shapes)

    @cached_property
    def table(self) -> Array:
        """The output for every pair of x and alpha, int8 [256, 256]: far cheaper than arithmetic per element."""
        return prelus(self, *all_pairs()).astype(np.int8)


def read_tflite(operator: TfliteOperator) -> Prelu:
    return Prelu()


def write_tflite(params: PreluInt8) -> tuple[TfliteCode, ...]:
    return (TfliteCode("PRELU"),)


def infer_shapes(attrs: Prelu, x: Shape, alpha: Shape) -> tuple[Shape, ...]:
    return (np.broadcast_shapes(x, alpha),)


def run_float(attrs: Prelu, x: Array, alpha: Array) -> Array:
    return np.where(x >= 0, x, x * alpha).astype(np.float32)


def constant_slopes(graph: Graph, node: Node) -> bool:
    """alpha is constant, and repeated along axes of the input, not the other way round."""
    x, alpha = (graph.tensors[name] for name in node.inputs)
    return x.data is None and alpha.data is not None and np.broadcast_shapes(x.shape, alpha.shape) == x.shape


def lower(attrs: Prelu, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> PreluInt8:
    """Multipliers s_in / s_out and s_in · s_alpha / s_out, in double. Source: TFLite Micro CalculatePreluParams."""
    require_int8(*inputs, *outputs)
    x, alpha, result = inputs[0].qparams, inputs[1].qparams, outputs[0].qparams
    ratio = float(x.scale[0]) / float(result.scale[0])
    positive = quantize_multiplier(ratio)
    negative = quantize_multiplier(float(x.scale[0]) * float(alpha.scale[0]) / float(result.scale[0]))
    require_small_shift(positive[1], result)
    if negative[1] > MAX_PRODUCT_SHIFT:
        raise TinyptqError("scale-out-of-range", f"the slopes' scale {float(alpha.scale[0]):.3g} is too coarse")
    return PreluInt8(
        input_shapes=(inputs[0].shape, inputs[1].shape),
        output_shape=outputs[0].shape,
        input_zero_points=(int(x.zero_point[0]), int(alpha.zero_point[0])),
        output_zero_point=int(result.zero_point[0]),
        positive_multiplier=positive[0],
        positive_shift=positive[1],
        negative_multiplier=negative[0],
        negative_shift=negative[1],
    )


def prelus(params: PreluInt8, x: Array, alpha: Array) -> Array:
    """The integer specification on int64 arrays of int8 values; result in int8 range.

    Source: TFLite reference_ops BroadcastPrelu4DSlow.
    """
    centred = x - params.input_zero_points[0]
    sloped = np.minimum(centred, 0) * (alpha - params.input_zero_points[1])
    positive = multiply_by_quantized_multiplier(centred, params.positive_multiplier, params.positive_shift)
    negative = multiply_by_quantized_multiplier(sloped, params.negative_multiplier, params.negative_shift)
    y: Array = np.clip(np.where(centred >= 0, positive, negative) + params.output_zero_point, -128, 127)
    return y


def run_int(params: PreluInt8, x: Array, alpha: Array) -> Array:
    return look_up_pairs(params.table, x, alpha)


def work(params: PreluInt8) -> Work:
    return Work(0, 0, sum(elements(s) for s in params.input_shapes) + elements(params.output_shape))


OP = Op(
    name="prelu",
    summary="x where positive, a constant slope (one per channel) times x where negative",
    builtins=("PRELU",),
    attrs=Prelu,
    params=PreluInt8,
    operands=2,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(broadcastable, constant_slopes),
    quantization=FREE,
    lower=lower,
    run_int=run_int,
    work=work,
)
