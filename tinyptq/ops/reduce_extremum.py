"""What REDUCE_MAX and REDUCE_MIN share: everything but the comparison. TFLite Micro knows int8 only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyptq.graph import Array, Shape
from tinyptq.ops.base import SAME, Op, Operand
from tinyptq.ops.element import INTEGERS, one_element, touched
from tinyptq.ops.reduce import Loops, few_runs, loops, read_axes, reduced_shape, reduces_no_batch, write_axes
from tinyptq.program import Work


@dataclass(frozen=True, eq=False)
class ReduceExtremumInt:
    """y = max x (or min x): input and output share their quantization."""

    input_shape: Shape
    output_shape: Shape
    axes: tuple[int, ...]
    keep_dims: bool
    element: str

    @property
    def loops(self) -> Loops:
        return loops(self.input_shape, self.axes)


def infer_shapes(attrs: Any, x: Shape) -> tuple[Shape, ...]:
    return (reduced_shape(x, attrs.axes, attrs.keep_dims),)


def lower(attrs: Any, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> ReduceExtremumInt:
    name = one_element(*inputs, *outputs)
    return ReduceExtremumInt(inputs[0].shape, outputs[0].shape, attrs.axes, attrs.keep_dims, name)


def work(params: ReduceExtremumInt) -> Work:
    return touched(params.element, params.input_shape, params.output_shape)


def reduce_extremum_op(name: str, summary: str, attrs: type, pick: np.ufunc) -> Op:
    """The record; attrs has axes and keep_dims, as the params. pick: np.maximum or np.minimum."""

    def run(attrs: Any, x: Array) -> Array:
        return np.asarray(pick.reduce(x, axis=attrs.axes, keepdims=attrs.keep_dims))

    return Op(
        name=name,
        summary=summary,
        builtins=(name.upper(),),
        attrs=attrs,
        params=ReduceExtremumInt,
        operands=1,
        read_tflite=lambda operator: attrs(*read_axes(operator)),
        write_tflite=lambda params: write_axes(name.upper(), params.axes, params.keep_dims),
        infer_shapes=infer_shapes,
        run_float=run,
        constraints=(reduces_no_batch, few_runs),
        quantization=SAME,
        dtypes=INTEGERS,
        lower=lower,
        run_int=run,
        work=work,
    )
