"""PAD: zeros around a tensor, which are the zero point once it is quantized."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.element import INTEGERS, one_element, touched, width
from tinyptq.program import Work

MAX_RANK = 4


@dataclass(frozen=True)
class Pad:
    """Elements added before and after, per axis; the batch axis gets none."""

    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True)
class Axis:
    """One axis of the copy: elements of the input, of the output, and those put before; step: between neighbours."""

    input: int
    output: int
    before: int
    step: int = 1


@dataclass(frozen=True, eq=False)
class PadInt:
    """y = x inside, fill around it: the zero point, which only int8 has."""

    input_shape: Shape
    output_shape: Shape
    before: tuple[int, ...]
    after: tuple[int, ...]
    fill: int
    element: str

    @property
    def size(self) -> int:
        return elements(self.output_shape)

    @property
    def line_bytes(self) -> int:
        """What is copied at once."""
        return self.axes[2].input * width(self.element)

    @property
    def axes(self) -> tuple[Axis, Axis, Axis]:
        """(blocks, lines, line): what a line can be copied in, axes without a border merged into the one before."""
        merged = [Axis(1, 1, 0)] * 2
        for size, padded, before in zip(self.input_shape, self.output_shape, self.before, strict=True):
            if size == padded:
                outer = merged.pop()
                merged.append(Axis(outer.input * size, outer.output * size, outer.before * size))
            else:
                merged.append(Axis(size, padded, before))
        blocks, lines, line = merged[-3:] if len(merged) >= 3 else (Axis(1, 1, 0), *merged)
        step = line.output
        return (
            Axis(blocks.input, blocks.output, blocks.before, lines.output * step),
            Axis(lines.input, lines.output, lines.before, step),
            line,
        )

    @property
    def start(self) -> int:
        """Where the first line lies in the output."""
        return sum(axis.before * axis.step for axis in self.axes)


def read_tflite(operator: TfliteOperator) -> Pad:
    """Paddings are the constant second operand, [rank, 2]."""
    paddings = operator.inputs[1]
    assert paddings is not None and paddings.data is not None
    before, after = paddings.data.astype(int).T.tolist()
    return Pad(tuple(before), tuple(after))


def write_tflite(params: PadInt) -> tuple[TfliteCode, ...]:
    paddings = np.array([params.before, params.after], np.int32).T
    return (TfliteCode("PAD", "PadOptions", operands=(np.ascontiguousarray(paddings),), version=2),)


def infer_shapes(attrs: Pad, x: Shape) -> tuple[Shape, ...]:
    return (tuple(b + size + a for b, size, a in zip(attrs.before, x, attrs.after, strict=True)),)


def run_float(attrs: Pad, x: Array) -> Array:
    return np.pad(x, tuple(zip(attrs.before, attrs.after, strict=True)))


def plain_borders(graph: Graph, node: Node) -> bool:
    """The tensor has at most 4 dimensions and a border, none of it negative, that leaves the batch alone."""
    attrs, rank = node.attrs, len(graph.tensors[node.inputs[0]].shape)
    border = (*attrs.before, *attrs.after)
    right_rank = 1 <= rank <= MAX_RANK and len(attrs.before) == rank == len(attrs.after)
    return right_rank and min(border) >= 0 and attrs.before[0] == 0 == attrs.after[0]


def lower(attrs: Pad, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> PadInt:
    """The border holds the output's zero point, the elements within are copied as they are: so does TFLM."""
    name = one_element(*inputs, *outputs)
    fill = int(outputs[0].qparams.zero_point[0]) if name == "int8" else 0
    return PadInt(inputs[0].shape, outputs[0].shape, attrs.before, attrs.after, fill, name)


def run_int(params: PadInt, x: Array) -> Array:
    return np.pad(x, tuple(zip(params.before, params.after, strict=True)), constant_values=params.fill)


def work(params: PadInt) -> Work:
    return touched(params.element, params.input_shape, params.output_shape)


OP = Op(
    name="pad",
    summary="zeros around a tensor",
    builtins=("PAD",),
    attrs=Pad,
    params=PadInt,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(plain_borders,),
    quantization=SAME,
    dtypes=INTEGERS,
    lower=lower,
    run_int=run_int,
    work=work,
)
