"""ADD: element-wise sum of two tensors that broadcast, plus fused activation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, Shape
from tinyptq.ops import broadcast
from tinyptq.ops.activation import NONE, TFLITE_CODES, Clamp
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

# Fraction bits the inputs gain before they are rescaled: |x − zero_point| < 2^8 becomes 2^28, |x| <= 2^15 2^30.
LEFT_SHIFTS = {"int8": 20, "int16": 15}


@dataclass(frozen=True)
class Add:
    """Attributes of the float operator."""

    activation: Clamp = NONE


@dataclass(frozen=True, eq=False)
class AddInt:
    """Both inputs reach the common scale 2·max(s) / 2^left_shift, are added there, and the sum is rescaled."""

    pair: RescaledPair

    @property
    def element(self) -> str:
        return self.pair.element

    @cached_property
    def table(self) -> Array:
        """The output for every pair of inputs, int8 [256, 256]: far cheaper than arithmetic per element."""
        return sums(self, *all_pairs()).astype(np.int8)


def read_tflite(operator: TfliteOperator) -> Add:
    options = operator.options
    return Add(TFLITE_CODES[options.FusedActivationFunction()] if options else NONE)


def write_tflite(params: AddInt) -> tuple[TfliteCode, ...]:
    fields = {"FusedActivationFunction": params.pair.activation_code, "PotScaleInt16": False}
    return (TfliteCode("ADD", "AddOptions", fields, version=2, numbers=params.element == "int32"),)


def infer_shapes(attrs: Add, first: Shape, second: Shape) -> tuple[Shape, ...]:
    return (np.broadcast_shapes(first, second),)


def run_float(attrs: Add, first: Array, second: Array) -> Array:
    return attrs.activation.apply(first + second)


def lower(attrs: Add, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> AddInt:
    """Multipliers s_i / (2·max s) and 2·max s / (2^left_shift · s_out), in double.

    Source: TFLite Micro CalculateOpDataAdd.
    """
    if outputs[0].dtype == np.int32:
        require_no_activation(attrs)
        return AddInt(plain_pair(inputs, outputs[0], attrs.activation))
    first, second, output = (float(operand.qparams.scale[0]) for operand in (*inputs, outputs[0]))
    left_shift = LEFT_SHIFTS[scaled_element(*inputs, *outputs)]
    common = 2.0 * max(first, second)
    reals = (first / common, second / common)
    pair = lower_pair(inputs, outputs[0], left_shift, reals, common / (2.0**left_shift * output), attrs.activation)
    require_finer_inputs(pair, "sum", outputs[0].qparams, common)
    return AddInt(pair)


def require_no_activation(attrs: Add) -> None:
    if attrs.activation != NONE:
        raise TinyptqError(
            "unsupported-activation",
            "an activation fused to an ADD of int32 numbers: tflite-micro ignores it, LiteRT does not",
            hint="let it be an operator of its own",
        )


def sums(params: AddInt, first: Array, second: Array) -> Array:
    """The integer specification on int64 arrays of integers; result in the element's range."""
    first, second = rescale(params.pair, first, second)
    return finish(params.pair, first + second)


def run_int(params: AddInt, first: Array, second: Array) -> Array:
    return run_pairs(params, sums, first, second)


def work(params: AddInt) -> Work:
    return pair_work(params.pair)


OP = Op(
    name="add",
    summary="element-wise sum, broadcasting, one operand may be constant",
    builtins=("ADD",),
    attrs=Add,
    params=AddInt,
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
