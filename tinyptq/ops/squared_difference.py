"""SQUARED_DIFFERENCE: (a − b)², element by element, of two tensors that broadcast."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, Shape
from tinyptq.ops.activation import NONE
from tinyptq.ops.base import FREE, Op, Operand, TfliteCode, TfliteOperator
from tinyptq.ops.broadcast import CONSTRAINTS, look_up
from tinyptq.ops.rescaled_pair import RescaledPair, finish, lower_pair, pair_work
from tinyptq.program import Work

LEFT_SHIFT = 7  # the rescaled inputs stay within 255 · 2^7 / 2, their difference within 32640
MAX_SHIFT = 1  # 32640² · 2 < 2^31


@dataclass(frozen=True)
class SquaredDifference:
    """The float operator has no attributes."""


@dataclass(frozen=True, eq=False)
class SquaredDifferenceInt8:
    """Both inputs reach the common scale 2·max(s) / 2^7, are subtracted and squared there, and then rescaled."""

    pair: RescaledPair

    @cached_property
    def table(self) -> Array:
        """The output for every pair of inputs, int8 [256, 256]."""
        first, second = self.pair.rescaled
        return finish(self.pair, np.square(first - second))


def read_tflite(operator: TfliteOperator) -> SquaredDifference:
    return SquaredDifference()


def write_tflite(params: SquaredDifferenceInt8) -> tuple[TfliteCode, ...]:
    return (TfliteCode("SQUARED_DIFFERENCE", "SquaredDifferenceOptions", version=2),)


def infer_shapes(attrs: SquaredDifference, first: Shape, second: Shape) -> tuple[Shape, ...]:
    return (np.broadcast_shapes(first, second),)


def run_float(attrs: SquaredDifference, first: Array, second: Array) -> Array:
    y: Array = np.square(first - second)
    return y


def lower(
    attrs: SquaredDifference, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]
) -> SquaredDifferenceInt8:
    """Multipliers s_i / (2·max s) and (2·max s)² / (2^14 · s_out), in double.

    Source: TFLite Micro SquaredDifferencePrepare.
    """
    first, second, output = (float(operand.qparams.scale[0]) for operand in (*inputs, outputs[0]))
    common = 2.0 * max(first, second)
    real = common * common / (2.0 ** (2 * LEFT_SHIFT) * output)
    pair = lower_pair(inputs, outputs[0], LEFT_SHIFT, (first / common, second / common), real, NONE)
    if pair.output_shift > MAX_SHIFT:
        raise TinyptqError(
            "scale-out-of-range",
            f"the squared difference's scale {output:.3g} is too fine for inputs of scale {common / 2:.3g}",
            hint="calibrate with data for which this difference is not always zero",
        )
    return SquaredDifferenceInt8(pair)


def run_int(params: SquaredDifferenceInt8, first: Array, second: Array) -> Array:
    return look_up(params.table, first, second)


def work(params: SquaredDifferenceInt8) -> Work:
    return pair_work(params.pair)


OP = Op(
    name="squared_difference",
    summary="squared difference, element by element, broadcasting, one operand may be constant",
    builtins=("SQUARED_DIFFERENCE",),
    attrs=SquaredDifference,
    params=SquaredDifferenceInt8,
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
