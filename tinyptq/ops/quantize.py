"""QUANTIZE: nothing in float; between int8 tensors, the change from one scale and zero point to another."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from tinyptq.graph import Array, Shape
from tinyptq.ops.base import FREE, Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.lookup import look_up, tabulate
from tinyptq.program import Work

MAX_SHIFT = 23  # 255 · 2^23 < 2^31: the centred input stays in int32 before it is rescaled


@dataclass(frozen=True)
class Quantize:
    """The float operator has no attributes."""


@dataclass(frozen=True, eq=False)
class QuantizeInt8:
    """y = clamp(MBQM(x − input_zero_point, multiplier, shift) + output_zero_point)."""

    shape: Shape
    input_zero_point: int
    output_zero_point: int
    multiplier: int
    shift: int

    @property
    def size(self) -> int:
        return elements(self.shape)

    @cached_property
    def table(self) -> Array:
        """The output for every input byte read as unsigned, int8 [256]."""
        return tabulate(lambda x: rescaled(self, x))


def read_tflite(operator: TfliteOperator) -> Quantize:
    return Quantize()


def write_tflite(params: QuantizeInt8) -> tuple[TfliteCode, ...]:
    return (TfliteCode("QUANTIZE", version=2),)


def infer_shapes(attrs: Quantize, x: Shape) -> tuple[Shape, ...]:
    return (x,)


def run_float(attrs: Quantize, x: Array) -> Array:
    return x


def lower(attrs: Quantize, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> QuantizeInt8:
    """Multiplier s_in / s_out in double. Source: TFLite Micro PrepareQuantizeReference."""
    source, target = inputs[0].qparams, outputs[0].qparams
    multiplier, shift = quantize_multiplier(float(source.scale[0]) / float(target.scale[0]))
    if shift > MAX_SHIFT:
        raise TinyptqError(
            "scale-out-of-range",
            f"scale {float(target.scale[0]):.3g} is too fine for values of scale {float(source.scale[0]):.3g}",
            hint="calibrate with data for which this tensor is not always zero",
        )
    return QuantizeInt8(inputs[0].shape, int(source.zero_point[0]), int(target.zero_point[0]), multiplier, shift)


def rescaled(params: QuantizeInt8, x: Array) -> Array:
    """The integer specification on an int64 array of int8 values; result in int8 range."""
    scaled = multiply_by_quantized_multiplier(x - params.input_zero_point, params.multiplier, params.shift)
    y: Array = np.clip(scaled + params.output_zero_point, -128, 127)
    return y


def run_int(params: QuantizeInt8, x: Array) -> Array:
    return look_up(params.table, x)


def work(params: QuantizeInt8) -> Work:
    return Work(0, params.table.nbytes, 2 * params.size)


OP = Op(
    name="quantize",
    summary="int8 to int8 with another scale; nothing in a float model",
    builtins=("QUANTIZE",),
    attrs=Quantize,
    params=QuantizeInt8,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    quantization=FREE,
    lower=lower,
    run_int=run_int,
    constants=lambda params: {"table": params.table},
    work=work,
)
