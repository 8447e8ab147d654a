"""QUANTIZE: nothing in float; between integers, the change from one scale, zero point and type to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops.base import FREE, Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.lookup import look_up, tabulate
from tinyptq.program import Work

CONVERSIONS = (
    ("int8", "int8"),
    ("int8", "uint8"),
    ("int8", "int16"),
    ("int8", "int32"),
    ("uint8", "int8"),
    ("int16", "int8"),
    ("int16", "int16"),
    ("int16", "int32"),
    ("int32", "int8"),
    ("int32", "int16"),
)


@dataclass(frozen=True)
class Quantize:
    """The float operator has no attributes."""


@dataclass(frozen=True, eq=False)
class QuantizeInt:
    """y = clamp(MBQM(x − input_zero_point, multiplier, shift) + output_zero_point) to the range of output_type."""

    shape: Shape
    input_type: str  # "int8"
    output_type: str
    input_zero_point: int
    output_zero_point: int
    multiplier: int
    shift: int

    @property
    def size(self) -> int:
        return elements(self.shape)

    @property
    def bounds(self) -> tuple[int, int]:
        """Smallest and largest value of the output's type."""
        info = np.iinfo(self.output_type)
        return int(info.min), int(info.max)

    @property
    def by_table(self) -> bool:
        """int8 to int8 is one of 256 cases, computed when the model is built."""
        return (self.input_type, self.output_type) == ("int8", "int8")

    @cached_property
    def table(self) -> Array:
        """The output for every input byte read as unsigned, int8 [256]."""
        return tabulate(lambda x: rescaled(self, x))


def read_tflite(operator: TfliteOperator) -> Quantize:
    return Quantize()


def write_tflite(params: QuantizeInt) -> tuple[TfliteCode, ...]:
    return (TfliteCode("QUANTIZE", version=2),)


def infer_shapes(attrs: Quantize, x: Shape) -> tuple[Shape, ...]:
    return (x,)


def run_float(attrs: Quantize, x: Array) -> Array:
    return x


def known_conversion(graph: Graph, node: Node) -> bool:
    """Between integers: int8 to int8, uint8, int16, int32; uint8 to int8; int16 to int8, int16, int32; int32 to int8,
    int16.
    """
    types = tuple(str(graph.tensors[name].dtype) for name in (node.inputs[0], node.outputs[0]))
    return types in CONVERSIONS or types == ("float32", "float32")


def lower(attrs: Quantize, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> QuantizeInt:
    """Multiplier s_in / s_out in double. Source: TFLite Micro PrepareQuantizeReference."""
    source, target = inputs[0].qparams, outputs[0].qparams
    multiplier, shift = quantize_multiplier(float(source.scale[0]) / float(target.scale[0]))
    params = QuantizeInt(
        shape=inputs[0].shape,
        input_type=str(inputs[0].dtype),
        output_type=str(outputs[0].dtype),
        input_zero_point=int(source.zero_point[0]),
        output_zero_point=int(target.zero_point[0]),
        multiplier=multiplier,
        shift=shift,
    )
    if reach(params) * 2 ** max(shift, 0) >= 2**31:
        raise TinyptqError(
            "scale-out-of-range",
            f"scale {float(target.scale[0]):.3g} is too fine for values of scale {float(source.scale[0]):.3g}",
            hint="calibrate with data for which this tensor is not always zero",
        )
    return params


def reach(params: QuantizeInt) -> int:
    """Largest |x − input_zero_point|; int32 takes symmetric scales, and its smallest value never occurs."""
    info = np.iinfo(params.input_type)
    if params.input_type == "int32":
        return int(info.max) + abs(params.input_zero_point)
    return max(int(info.max) - params.input_zero_point, params.input_zero_point - int(info.min))


def rescaled(params: QuantizeInt, x: Array) -> Array:
    """The integer specification on an int64 array of input values; result in the output's range."""
    scaled = multiply_by_quantized_multiplier(x - params.input_zero_point, params.multiplier, params.shift)
    y: Array = np.clip(scaled + params.output_zero_point, *params.bounds)
    return y


def run_int(params: QuantizeInt, x: Array) -> Array:
    if params.by_table:
        return look_up(params.table, x)
    return rescaled(params, x.astype(np.int64)).astype(params.output_type)


def constants(params: QuantizeInt) -> Mapping[str, Array]:
    return {"table": params.table} if params.by_table else {}


def leads(params: QuantizeInt) -> tuple[int | None, ...]:
    """Elements are read one by one, just before they are written: none is overtaken while both have one size."""
    return (0 if params.input_type == params.output_type else None,)


def work(params: QuantizeInt) -> Work:
    width = np.dtype(params.input_type).itemsize + np.dtype(params.output_type).itemsize
    return Work(0, 256 if params.by_table else 0, width * params.size)


OP = Op(
    name="quantize",
    summary="integers to integers of another scale or type; nothing in a float model",
    builtins=("QUANTIZE",),
    attrs=Quantize,
    params=QuantizeInt,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    quantization=FREE,
    lower=lower,
    run_int=run_int,
    constraints=(known_conversion,),
    dtypes=("int8", "uint8", "int16", "int32"),
    constants=constants,
    leads=leads,
    work=work,
)
