"""SQUARED_DIFFERENCE: (a − b)², element by element, of two tensors that broadcast."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyptq.graph import Array, Shape
from tinyptq.ops import broadcast
from tinyptq.ops.activation import NONE
from tinyptq.ops.base import FREE, Op, Operand, TfliteCode, TfliteOperator
from tinyptq.ops.broadcast import CONSTRAINTS, all_pairs, run_pairs
from tinyptq.ops.element import INTEGERS, require_reach, scaled_element
from tinyptq.ops.rescaled_pair import RescaledPair, finish, lower_pair, pair_work, plain_pair, rescale
from tinyptq.program import Work

LEFT_SHIFTS = {"int8": 7, "int16": 0}  # the rescaled inputs stay within 2^14, their difference within 2^15
LARGEST = {"int8": 32640**2, "int16": 2**30}


@dataclass(frozen=True)
class SquaredDifference:
    """The float operator has no attributes."""


@dataclass(frozen=True, eq=False)
class SquaredDifferenceInt:
    """Both inputs reach the common scale 2·max(s) / 2^left_shift, the difference is squared there and rescaled."""

    pair: RescaledPair

    @property
    def element(self) -> str:
        return self.pair.element

    @cached_property
    def table(self) -> Array:
        """The output for every pair of inputs, int8 [256, 256]."""
        return squares(self, *all_pairs()).astype(np.int8)


def read_tflite(operator: TfliteOperator) -> SquaredDifference:
    return SquaredDifference()


def write_tflite(params: SquaredDifferenceInt) -> tuple[TfliteCode, ...]:
    return (TfliteCode("SQUARED_DIFFERENCE", "SquaredDifferenceOptions", version=2, numbers=params.element == "int32"),)


def infer_shapes(attrs: SquaredDifference, first: Shape, second: Shape) -> tuple[Shape, ...]:
    return (np.broadcast_shapes(first, second),)


def run_float(attrs: SquaredDifference, first: Array, second: Array) -> Array:
    y: Array = np.square(first - second)
    return y


def lower(attrs: SquaredDifference, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> SquaredDifferenceInt:
    """Multipliers s_i / (2·max s) and (2·max s)² / (2^(2 · left_shift) · s_out), in double.

    Source: TFLite Micro SquaredDifferencePrepare.
    """
    if outputs[0].dtype == np.int32:
        return SquaredDifferenceInt(plain_pair(inputs, outputs[0], NONE))
    first, second, output = (float(operand.qparams.scale[0]) for operand in (*inputs, outputs[0]))
    name = scaled_element(*inputs, *outputs)
    left_shift = LEFT_SHIFTS[name]
    common = 2.0 * max(first, second)
    real = common * common / (2.0 ** (2 * left_shift) * output)
    pair = lower_pair(inputs, outputs[0], left_shift, (first / common, second / common), real, NONE)
    require_reach(LARGEST[name], pair.output_shift, outputs[0].qparams)
    return SquaredDifferenceInt(pair)


def squares(params: SquaredDifferenceInt, first: Array, second: Array) -> Array:
    """The integer specification on int64 arrays of integers; result in the element's range."""
    first, second = rescale(params.pair, first, second)
    return finish(params.pair, np.square(first - second))


def run_int(params: SquaredDifferenceInt, first: Array, second: Array) -> Array:
    return run_pairs(params, squares, first, second)


def work(params: SquaredDifferenceInt) -> Work:
    return pair_work(params.pair)


OP = Op(
    name="squared_difference",
    summary="squared difference, element by element, broadcasting, one operand may be constant",
    builtins=("SQUARED_DIFFERENCE",),
    attrs=SquaredDifference,
    params=SquaredDifferenceInt,
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
