"""SUB: element-wise difference of two tensors that broadcast, plus fused activation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyptq.graph import Array, Shape
from tinyptq.ops.activation import NONE, Clamp, read_clamp
from tinyptq.ops.base import FREE, Op, Operand, TfliteCode, TfliteOperator
from tinyptq.ops.broadcast import CONSTRAINTS, look_up
from tinyptq.ops.rescaled_pair import RescaledPair, finish, lower_pair, pair_work, require_finer_inputs
from tinyptq.program import Work

LEFT_SHIFT = 20  # |x − zero_point| < 2^8, so 2^28 at most


@dataclass(frozen=True)
class Sub:
    """Attributes of the float operator."""

    activation: Clamp = NONE


@dataclass(frozen=True, eq=False)
class SubInt8:
    """Both inputs reach the common scale 2·max(s) / 2^20, are subtracted there, and the difference is rescaled."""

    pair: RescaledPair

    @cached_property
    def table(self) -> Array:
        """The output for every pair of inputs, int8 [256, 256]."""
        first, second = self.pair.rescaled
        return finish(self.pair, first - second)


def read_tflite(operator: TfliteOperator) -> Sub:
    options = operator.options
    return Sub(read_clamp(options.FusedActivationFunction()) if options else NONE)


def write_tflite(params: SubInt8) -> tuple[TfliteCode, ...]:
    fields = {"FusedActivationFunction": params.pair.activation_code, "PotScaleInt16": False}
    return (TfliteCode("SUB", "SubOptions", fields, version=2),)


def infer_shapes(attrs: Sub, first: Shape, second: Shape) -> tuple[Shape, ...]:
    return (np.broadcast_shapes(first, second),)


def run_float(attrs: Sub, first: Array, second: Array) -> Array:
    return attrs.activation.apply(first - second)


def lower(attrs: Sub, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> SubInt8:
    """Multipliers s_i / (2·max s) and 2·max s / (2^20 · s_out), in double as ADD's: measured on tflite-micro."""
    first, second, output = (float(operand.qparams.scale[0]) for operand in (*inputs, outputs[0]))
    common = 2.0 * max(first, second)
    reals = (first / common, second / common)
    pair = lower_pair(inputs, outputs[0], LEFT_SHIFT, reals, common / (2.0**LEFT_SHIFT * output), attrs.activation)
    require_finer_inputs(pair, "difference", outputs[0].qparams, common)
    return SubInt8(pair)


def run_int(params: SubInt8, first: Array, second: Array) -> Array:
    return look_up(params.table, first, second)


def work(params: SubInt8) -> Work:
    return pair_work(params.pair)


OP = Op(
    name="sub",
    summary="element-wise difference, broadcasting, one operand may be constant",
    builtins=("SUB",),
    attrs=Sub,
    params=SubInt8,
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
