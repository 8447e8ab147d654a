"""DEQUANTIZE: nothing in float, and never an integer layer: the passes drop it where a graph ends."""

from __future__ import annotations

from dataclasses import dataclass

from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode, TfliteOperator
from tinyptq.program import Work


@dataclass(frozen=True)
class Dequantize:
    """The float operator has no attributes."""


@dataclass(frozen=True)
class DequantizeInt8:
    """Never made: `at_the_end` refuses the operator before it is lowered."""


def read_tflite(operator: TfliteOperator) -> Dequantize:
    return Dequantize()


def write_tflite(params: DequantizeInt8) -> tuple[TfliteCode, ...]:
    raise AssertionError("DEQUANTIZE is never an integer layer")


def infer_shapes(attrs: Dequantize, x: Shape) -> tuple[Shape, ...]:
    return (x,)


def run_float(attrs: Dequantize, x: Array) -> Array:
    return x


def at_the_end(graph: Graph, node: Node) -> bool:
    """It stands where the model ends, or behind constants: in between there are only integers."""
    return False


def lower(attrs: Dequantize, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> DequantizeInt8:
    raise AssertionError("DEQUANTIZE is never an integer layer")


def run_int(params: DequantizeInt8, x: Array) -> Array:
    raise AssertionError("DEQUANTIZE is never an integer layer")


def work(params: DequantizeInt8) -> Work:
    return Work(0, 0, 0)


OP = Op(
    name="dequantize",
    summary="nothing in a float model; dropped where the model ends",
    builtins=("DEQUANTIZE",),
    attrs=Dequantize,
    params=DequantizeInt8,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(at_the_end,),
    quantization=SAME,
    lower=lower,
    run_int=run_int,
    work=work,
)
