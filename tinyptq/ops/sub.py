"""SUB: element-wise difference of two tensors that broadcast, plus fused activation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyptq.graph import Array, Shape
from tinyptq.ops import broadcast
from tinyptq.ops.activation import NONE, Clamp, read_clamp
from tinyptq.ops.base import FREE, Op, Operand, TfliteCode, TfliteOperator
from tinyptq.ops.broadcast import CONSTRAINTS, all_pairs, run_pairs
from tinyptq.ops.element import INTEGERS, scaled_element
from tinyptq.ops.rescaled_pair import (
    RescaledPair,
    finish,
    lower_pair,
    pair_work,
    plain_pair,
    require_finer_inputs,
    rescale,
)
from tinyptq.program import Work

LEFT_SHIFTS = {"int8": 20, "int16": 15}  # as ADD


@dataclass(frozen=True)
class Sub:
    """Attributes of the float operator."""

    activation: Clamp = NONE


@dataclass(frozen=True, eq=False)
class SubInt:
    """Both inputs reach the common scale 2·max(s) / 2^left_shift, the difference is taken there and rescaled."""

    pair: RescaledPair

    @property
    def element(self) -> str:
        return self.pair.element

    @cached_property
    def table(self) -> Array:
        """The output for every pair of inputs, int8 [256, 256]."""
        return differences(self, *all_pairs()).astype(np.int8)


def read_tflite(operator: TfliteOperator) -> Sub:
    options = operator.options
    return Sub(read_clamp(options.FusedActivationFunction()) if options else NONE)


def write_tflite(params: SubInt) -> tuple[TfliteCode, ...]:
    fields = {"FusedActivationFunction": params.pair.activation_code, "PotScaleInt16": False}
    return (TfliteCode("SUB", "SubOptions", fields, version=2, numbers=params.element == "int32"),)


def infer_shapes(attrs: Sub, first: Shape, second: Shape) -> tuple[Shape, ...]:
    return (np.broadcast_shapes(first, second),)


def run_float(attrs: Sub, first: Array, second: Array) -> Array:
    return attrs.activation.apply(first - second)


def lower(attrs: Sub, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> SubInt:
    """Multipliers s_i / (2·max s) and 2·max s / (2^left_shift · s_out), in double as ADD's.

    Measured on tflite-micro.
    """
    if outputs[0].dtype == np.int32:
        return SubInt(plain_pair(inputs, outputs[0], attrs.activation))
    first, second, output = (float(operand.qparams.scale[0]) for operand in (*inputs, outputs[0]))
    left_shift = LEFT_SHIFTS[scaled_element(*inputs, *outputs)]
    common = 2.0 * max(first, second)
    reals = (first / common, second / common)
    pair = lower_pair(inputs, outputs[0], left_shift, reals, common / (2.0**left_shift * output), attrs.activation)
    require_finer_inputs(pair, "difference", outputs[0].qparams, common)
    return SubInt(pair)


def differences(params: SubInt, first: Array, second: Array) -> Array:
    """The integer specification on int64 arrays of integers; result in the element's range."""
    first, second = rescale(params.pair, first, second)
    return finish(params.pair, first - second)


def run_int(params: SubInt, first: Array, second: Array) -> Array:
    return run_pairs(params, differences, first, second)


def work(params: SubInt) -> Work:
    return pair_work(params.pair)


OP = Op(
    name="sub",
    summary="element-wise difference, broadcasting, one operand may be constant",
    builtins=("SUB",),
    attrs=Sub,
    params=SubInt,
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
    leads=lambda params: broadcast.leads(*params.pair.input_shapes),
    work=work,
)
