"""ADD: element-wise sum of two tensors that broadcast, plus fused activation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyptq.graph import Array, Shape
from tinyptq.ops.activation import NONE, TFLITE_CODES, Clamp
from tinyptq.ops.base import FREE, Op, Operand, TfliteCode, TfliteOperator
from tinyptq.ops.broadcast import CONSTRAINTS, look_up
from tinyptq.ops.rescaled_pair import RescaledPair, finish, lower_pair, pair_work, require_finer_inputs
from tinyptq.program import Work

LEFT_SHIFT = 20  # fraction bits the inputs gain before they are rescaled; |x − zero_point| < 2^8, so 2^28 at most


@dataclass(frozen=True)
class Add:
    """Attributes of the float operator."""

    activation: Clamp = NONE


@dataclass(frozen=True, eq=False)
class AddInt8:
    """Both inputs reach the common scale 2·max(s) / 2^20, are added there, and the sum is rescaled."""

    pair: RescaledPair

    @cached_property
    def table(self) -> Array:
        """The output for every pair of inputs, int8 [256, 256]: far cheaper than arithmetic per element."""
        first, second = self.pair.rescaled
        return finish(self.pair, first + second)


def read_tflite(operator: TfliteOperator) -> Add:
    options = operator.options
    return Add(TFLITE_CODES[options.FusedActivationFunction()] if options else NONE)


def write_tflite(params: AddInt8) -> tuple[TfliteCode, ...]:
    fields = {"FusedActivationFunction": params.pair.activation_code, "PotScaleInt16": False}
    return (TfliteCode("ADD", "AddOptions", fields, version=2),)


def infer_shapes(attrs: Add, first: Shape, second: Shape) -> tuple[Shape, ...]:
    return (np.broadcast_shapes(first, second),)


def run_float(attrs: Add, first: Array, second: Array) -> Array:
    return attrs.activation.apply(first + second)


def lower(attrs: Add, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> AddInt8:
    """Multipliers s_i / (2·max s) and 2·max s / (2^20 · s_out), in double. Source: TFLite Micro CalculateOpDataAdd."""
    first, second, output = (float(operand.qparams.scale[0]) for operand in (*inputs, outputs[0]))
    common = 2.0 * max(first, second)
    reals = (first / common, second / common)
    pair = lower_pair(inputs, outputs[0], LEFT_SHIFT, reals, common / (2.0**LEFT_SHIFT * output), attrs.activation)
    require_finer_inputs(pair, "sum", outputs[0].qparams, common)
    return AddInt8(pair)


def run_int(params: AddInt8, first: Array, second: Array) -> Array:
    return look_up(params.table, first, second)


def work(params: AddInt8) -> Work:
    return pair_work(params.pair)


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
