"""MIRROR_PAD: a border that mirrors the tensor, its edge repeated (symmetric) or not (reflect)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode, TfliteOperator
from tinyptq.ops.copies import Copy, first_shape, int32, moved, read_numbers, row_major, strided_copy
from tinyptq.ops.element import INTEGERS, element
from tinyptq.program import Work

REFLECT, SYMMETRIC = 0, 1  # tflite.MirrorPadMode
NUMPY_MODES = {REFLECT: "reflect", SYMMETRIC: "symmetric"}


@dataclass(frozen=True)
class MirrorPad:
    """Elements added before and after, per axis; mode: TFLite's number."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    mode: int = REFLECT


@dataclass(frozen=True)
class MirrorPadInt:
    """Elements of any type, moved."""

    input_shape: Shape
    output_shape: Shape
    before: tuple[int, ...]
    after: tuple[int, ...]
    mode: int
    element: str

    @property
    def interior(self) -> Copy:
        """The input's place in the output."""
        start = self.start(len(self.steps))
        return strided_copy(self.input_shape, row_major(self.input_shape), self.steps, target=start)

    @property
    def borders(self) -> tuple[Copy, ...]:
        """Copies within the output, in order: the innermost axis first, so that corners have something to mirror."""
        return tuple(
            copy for axis in range(len(self.steps) - 1, -1, -1) for copy in (self.head(axis), self.tail(axis)) if copy
        )

    @property
    def steps(self) -> tuple[int, ...]:
        return row_major(self.output_shape)

    def start(self, axes: int) -> int:
        """Where the interior of the first `axes` axes begins in the output."""
        return sum(before * step for before, step in zip(self.before[:axes], self.steps, strict=False))

    def head(self, axis: int) -> Copy | None:
        edge = self.before[axis]
        return self.mirrored(axis, edge, edge + (self.mode == REFLECT), edge - 1, -1) if edge else None

    def tail(self, axis: int) -> Copy | None:
        end = self.before[axis] + self.input_shape[axis]
        first = end - 1 - (self.mode == REFLECT)
        return self.mirrored(axis, self.after[axis], first, end, 1) if self.after[axis] else None

    def mirrored(self, axis: int, count: int, source: int, target: int, direction: int) -> Copy:
        """count indices of axis from source on, written from target on in direction, read in the other one."""
        step, inner = self.steps[axis], self.steps[axis]
        counts = (*self.input_shape[:axis], count, inner)
        outer, start = self.steps[:axis], self.start(axis)
        reads, writes = (*outer, -direction * step, 1), (*outer, direction * step, 1)
        return strided_copy(counts, reads, writes, start + source * step, start + target * step)


def read_tflite(operator: TfliteOperator) -> MirrorPad:
    """Paddings are the constant second operand, [rank, 2]."""
    numbers, rank = read_numbers(operator, 1, "paddings"), len(first_shape(operator))
    mode = operator.options.Mode() if operator.options is not None else REFLECT
    if len(numbers) != 2 * rank or min(numbers) < 0 or mode not in NUMPY_MODES:
        raise TinyptqError("bad-operand", f"{operator.builtin} of {rank} dimensions by {numbers}, mode {mode}")
    return MirrorPad(tuple(numbers[::2]), tuple(numbers[1::2]), mode)


def write_tflite(params: MirrorPadInt) -> tuple[TfliteCode, ...]:
    paddings = int32([*zip(params.before, params.after, strict=True)])  # type: ignore[list-item]
    return (TfliteCode("MIRROR_PAD", "MirrorPadOptions", {"Mode": params.mode}, operands=(paddings,), version=2),)


def infer_shapes(attrs: MirrorPad, x: Shape) -> tuple[Shape, ...]:
    return (tuple(b + size + a for b, size, a in zip(attrs.before, x, attrs.after, strict=True)),)


def padded(x: Array, before: tuple[int, ...], after: tuple[int, ...], mode: int) -> Array:
    y: Array = np.pad(x, tuple(zip(before, after, strict=True)), NUMPY_MODES[mode])  # type: ignore[call-overload]
    return y


def run_float(attrs: MirrorPad, x: Array) -> Array:
    return padded(x, attrs.before, attrs.after, attrs.mode)


def mirrorable(graph: Graph, node: Node) -> bool:
    """The border leaves the batch alone and is no wider than what it mirrors."""
    attrs, shape = node.attrs, graph.tensors[node.inputs[0]].shape
    widest = [size - (attrs.mode == REFLECT) for size in shape[1:]]
    pairs = zip(attrs.before[1:], attrs.after[1:], widest, strict=True)
    return attrs.before[0] == 0 == attrs.after[0] and all(min(b, a) >= 0 and max(b, a) <= most for b, a, most in pairs)


def lower(attrs: MirrorPad, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> MirrorPadInt:
    shapes = inputs[0].shape, outputs[0].shape
    return MirrorPadInt(*shapes, attrs.before, attrs.after, attrs.mode, element(inputs[0]))


def run_int(params: MirrorPadInt, x: Array) -> Array:
    return padded(x, params.before, params.after, params.mode)


def work(params: MirrorPadInt) -> Work:
    return moved(params.output_shape, params.element)


OP = Op(
    name="mirror_pad",
    summary="a border that mirrors the tensor",
    builtins=("MIRROR_PAD",),
    attrs=MirrorPad,
    params=MirrorPadInt,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(mirrorable,),
    quantization=SAME,
    dtypes=INTEGERS,
    lower=lower,
    run_int=run_int,
    work=work,
)
