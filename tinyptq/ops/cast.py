"""CAST: integers of one type as integers of another, modulo its range; scales do not take part. Nothing in float."""

from __future__ import annotations

from dataclasses import dataclass

from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.element import INTEGERS, element, width
from tinyptq.ops.lookup import same_shape
from tinyptq.program import Work


@dataclass(frozen=True)
class Cast:
    """The types are those of the tensors."""


@dataclass(frozen=True)
class CastInt:
    """y = x modulo 2^bits of output_element."""

    shape: Shape
    element: str
    output_element: str

    @property
    def size(self) -> int:
        return elements(self.shape)


def read_tflite(operator: TfliteOperator) -> Cast:
    return Cast()


def write_tflite(params: CastInt) -> tuple[TfliteCode, ...]:
    return (TfliteCode("CAST"),)


def run_float(attrs: Cast, x: Array) -> Array:
    return x


def between_integers(graph: Graph, node: Node) -> bool:
    """Between int8, int16 and int32, or from float to float."""
    kinds = {graph.tensors[name].dtype.kind for name in (*node.inputs, *node.outputs)}
    return kinds in ({"i"}, {"f"})


def lower(attrs: Cast, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> CastInt:
    return CastInt(inputs[0].shape, element(inputs[0]), element(outputs[0]))


def run_int(params: CastInt, x: Array) -> Array:
    return x.astype(params.output_element)


def work(params: CastInt) -> Work:
    return Work(0, 0, (width(params.element) + width(params.output_element)) * params.size)


OP = Op(
    name="cast",
    summary="integers of another type, modulo its range; nothing in a float model",
    builtins=("CAST",),
    attrs=Cast,
    params=CastInt,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=same_shape,
    run_float=run_float,
    constraints=(between_integers,),
    quantization=SAME,
    dtypes=INTEGERS,
    lower=lower,
    run_int=run_int,
    work=work,
)
