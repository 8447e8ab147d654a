"""What MAXIMUM and MINIMUM share: everything but the comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyptq.graph import Array, Shape
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode
from tinyptq.ops.broadcast import CONSTRAINTS, Loop, loop_nest
from tinyptq.ops.element import INTEGERS, one_element, touched
from tinyptq.program import Work


@dataclass(frozen=True, eq=False)
class ExtremumInt:
    """y = x0 or x1: inputs and output share their quantization. int32 elements are plain numbers."""

    input_shapes: tuple[Shape, Shape]
    output_shape: Shape
    element: str

    @property
    def loops(self) -> tuple[Loop, ...]:
        return loop_nest(*self.input_shapes)


def infer_shapes(attrs: Any, first: Shape, second: Shape) -> tuple[Shape, ...]:
    return (np.broadcast_shapes(first, second),)


def lower(attrs: Any, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> ExtremumInt:
    """TFLite Micro compares integers as they are: imported files whose scales differ get the same bytes from it."""
    return ExtremumInt((inputs[0].shape, inputs[1].shape), outputs[0].shape, one_element(*inputs, *outputs))


def work(params: ExtremumInt) -> Work:
    return touched(params.element, *params.input_shapes, params.output_shape)


def extremum_op(name: str, which: str, attrs: type, pick: np.ufunc) -> Op:
    """The record; pick: np.maximum or np.minimum, over floats and integers alike. which: "larger"."""

    def run(_: Any, first: Array, second: Array) -> Array:
        y: Array = pick(first, second)
        return y

    return Op(
        name=name,
        summary=f"the {which} of two, element by element, broadcasting, one operand may be constant",
        builtins=(name.upper(),),
        attrs=attrs,
        params=ExtremumInt,
        operands=2,
        read_tflite=lambda operator: attrs(),
        write_tflite=lambda params: (TfliteCode(name.upper(), "MaximumMinimumOptions", version=2),),
        infer_shapes=infer_shapes,
        run_float=run,
        constraints=CONSTRAINTS,
        quantization=SAME,
        dtypes=INTEGERS,
        lower=lower,
        run_int=run,
        work=work,
    )
