"""RELU, RELU6, RELU_N1_TO_1, RELU_0_TO_1 and any other clamp that stands alone, in the scale of its input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array, Shape
from tinyptq.ops.activation import RELU, RELU6, RELU_N1_TO_1, Clamp, integer_bounds
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.program import Work

BUILTINS = {"RELU": RELU, "RELU6": RELU6, "RELU_N1_TO_1": RELU_N1_TO_1, "RELU_0_TO_1": Clamp(0.0, 1.0)}
WRITABLE = {RELU: "RELU", RELU6: "RELU6"}  # TFLite Micro has no others


@dataclass(frozen=True)
class Relu:
    """Attributes of the float operator."""

    clamp: Clamp = RELU


@dataclass(frozen=True, eq=False)
class ReluInt8:
    """y = min(max(x, activation_min), activation_max)."""

    shape: Shape
    activation_min: int
    activation_max: int
    builtin: str | None  # the TFLite operator that means this clamp, None when none does

    @property
    def size(self) -> int:
        return elements(self.shape)


def read_tflite(operator: TfliteOperator) -> Relu:
    return Relu(BUILTINS[operator.builtin])


def write_tflite(params: ReluInt8) -> tuple[TfliteCode, ...]:
    """A clamp that TFLite cannot name becomes MAXIMUM then MINIMUM with int8 constants."""
    if params.builtin is not None:
        return (TfliteCode(params.builtin, version=2),)
    return (
        bound("MAXIMUM", params.activation_min, params.shape),
        bound("MINIMUM", params.activation_max, params.shape),
    )


def bound(builtin: str, value: int, shape: Shape) -> TfliteCode:
    return TfliteCode(builtin, "MaximumMinimumOptions", operands=(np.array([value], np.int8),), shape=shape, version=2)


def infer_shapes(attrs: Relu, x: Shape) -> tuple[Shape, ...]:
    return (x,)


def run_float(attrs: Relu, x: Array) -> Array:
    return attrs.clamp.apply(x)


def lower(attrs: Relu, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> ReluInt8:
    assert inputs[0].qparams.same_as(outputs[0].qparams)
    low, high = integer_bounds(attrs.clamp, outputs[0].qparams)
    low, high = min(low, 127), max(high, -128)  # a zero point at the edge of the range
    return ReluInt8(inputs[0].shape, low, high, WRITABLE.get(attrs.clamp))


def run_int(params: ReluInt8, x: Array) -> Array:
    y: Array = np.clip(x, np.int8(params.activation_min), np.int8(params.activation_max))
    return y


def work(params: ReluInt8) -> Work:
    return Work(0, 0, 2 * params.size)


OP = Op(
    name="relu",
    summary="ReLU, ReLU6, ReLU-N and any other clamp",
    builtins=tuple(BUILTINS),
    attrs=Relu,
    params=ReluInt8,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    quantization=SAME,
    lower=lower,
    run_int=run_int,
    work=work,
)
