"""STRIDED_SLICE: every n-th index per axis, forwards or backwards; axes of one may vanish or appear."""

from __future__ import annotations

from dataclasses import dataclass

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode, TfliteOperator
from tinyptq.ops.copies import Copy, box_copy, first_shape, int32, moved, read_numbers, take_box
from tinyptq.ops.element import INTEGERS, element
from tinyptq.program import Work


@dataclass(frozen=True)
class StridedSlice:
    """First index, step (never 0) and number of indices per input axis; shape: of the output, axes of one removed."""

    begin: tuple[int, ...]
    step: tuple[int, ...]
    count: tuple[int, ...]
    shape: Shape


@dataclass(frozen=True)
class StridedSliceInt:
    """Elements of any type, moved."""

    input_shape: Shape
    output_shape: Shape
    begin: tuple[int, ...]
    step: tuple[int, ...]
    count: tuple[int, ...]
    element: str

    @property
    def copy(self) -> Copy:
        return box_copy(self.input_shape, self.begin, self.step, self.count)


def read_tflite(operator: TfliteOperator) -> StridedSlice:
    """begin, end and strides are constant operands that the masks of the options modify, like NumPy's basic slices."""
    shape, options = first_shape(operator), operator.options
    entries = [read_numbers(operator, 1 + i, what) for i, what in enumerate(("begin", "end", "strides"))]
    if options is None or len({len(numbers) for numbers in entries}) != 1:
        raise TinyptqError("bad-slice", f"{operator.builtin} with begin, end, strides {entries}")
    picked: list[tuple[int, int, int]] = []
    result: list[int] = []
    for bit, (begin, end, step) in enumerate(zip(*entries, strict=True)):
        flags = 1 << bit
        if options.EllipsisMask() & flags:
            later = sum(not options.NewAxisMask() >> i & 1 for i in range(bit + 1, len(entries[0])))
            whole = shape[len(picked) : len(shape) - later]
            picked += [(0, 1, size) for size in whole]
            result += whole
        elif options.NewAxisMask() & flags:
            result.append(1)
        else:
            size = shape[len(picked)] if len(picked) < len(shape) else 0
            picked.append(indices(operator, size, flags, begin, end, step))
            result += [] if options.ShrinkAxisMask() & flags else [picked[-1][2]]
    if len(picked) > len(shape):
        raise TinyptqError("bad-slice", f"{operator.builtin} with {len(picked)} axes of {list(shape)}")
    rest = shape[len(picked) :]
    begins, steps, counts = zip(*picked, *((0, 1, size) for size in rest), strict=True)
    return StridedSlice(begins, steps, counts, (*result, *rest))


def indices(operator: TfliteOperator, size: int, flags: int, begin: int, end: int, step: int) -> tuple[int, int, int]:
    """(first, step, count) along one axis of `size`, whose bit in the masks is `flags`."""
    options = operator.options
    end = begin + end if options.Offset() else end
    if options.ShrinkAxisMask() & flags:
        found = range(size)[begin : begin + 1 if begin != -1 else None]
        step = 1
    elif step == 0:
        raise TinyptqError("bad-slice", f"{operator.builtin} with a stride of 0")
    else:
        first = None if options.BeginMask() & flags else begin
        found = range(size)[slice(first, None if options.EndMask() & flags else end, step)]
    if not found:
        raise TinyptqError("bad-slice", f"{operator.builtin} keeps nothing of an axis of {size}")
    return found[0], step if len(found) > 1 else 1, len(found)


def write_tflite(params: StridedSliceInt) -> tuple[TfliteCode, ...]:
    """The end behind index 0, going backwards, can only be said with a mask. TFLM knows no mask for new axes."""
    steps, counts = params.step, params.count
    ends = [b + s * (c - 1) + (1 if s > 0 else -1) for b, s, c in zip(params.begin, steps, counts, strict=True)]
    shrunk = removed_axes(counts, params.output_shape)
    fields = {
        "EndMask": sum(1 << axis for axis, end in enumerate(ends) if end < 0),
        "ShrinkAxisMask": sum(1 << axis for axis in shrunk or ()),
    }
    operands = (int32(params.begin), int32([max(end, 0) for end in ends]), int32(steps))
    code = TfliteCode("STRIDED_SLICE", "StridedSliceOptions", fields, operands, counts, version=2)
    reshape = TfliteCode("RESHAPE", operands=(int32(params.output_shape),))
    return (code,) if shrunk is not None else (code, reshape)


def removed_axes(counts: Shape, shape: Shape) -> tuple[int, ...] | None:
    """Axes of one that counts has and shape has not; None when shape is something else."""
    removed: list[int] = []
    for axis, count in enumerate(counts):
        place = axis - len(removed)
        if count == 1 and shape[place : place + 1] != (1,):
            removed.append(axis)
    return tuple(removed) if tuple(c for axis, c in enumerate(counts) if axis not in removed) == shape else None


def infer_shapes(attrs: StridedSlice, x: Shape) -> tuple[Shape, ...]:
    return (attrs.shape,)


def run_float(attrs: StridedSlice, x: Array) -> Array:
    y = take_box(x, attrs.begin, attrs.step, attrs.count)
    return y.reshape(len(y), *attrs.shape[1:]) if attrs.shape[:1] == (1,) else y.reshape(attrs.shape)


def keeps_batch(graph: Graph, node: Node) -> bool:
    """The batch is not sliced and stays the first axis."""
    attrs, shape = node.attrs, graph.tensors[node.inputs[0]].shape
    return bool(attrs.begin[0] == 0 and attrs.count[0] == shape[0] == 1 == attrs.shape[0])


def lower(attrs: StridedSlice, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> StridedSliceInt:
    return StridedSliceInt(inputs[0].shape, attrs.shape, attrs.begin, attrs.step, attrs.count, element(inputs[0]))


def run_int(params: StridedSliceInt, x: Array) -> Array:
    return take_box(x, params.begin, params.step, params.count).reshape(len(x), *params.output_shape[1:])


def work(params: StridedSliceInt) -> Work:
    return moved(params.output_shape, params.element)


OP = Op(
    name="strided_slice",
    summary="every n-th index per axis, either direction",
    builtins=("STRIDED_SLICE",),
    attrs=StridedSlice,
    params=StridedSliceInt,
    operands=1,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(keeps_batch,),
    quantization=SAME,
    dtypes=INTEGERS,
    lower=lower,
    run_int=run_int,
    work=work,
)
