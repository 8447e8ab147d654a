"""Keras layers without weights: pools, merges, padding and shapes, one function per kind. Call in, Value out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinyptq.frontend.keras_builder import Call, Value
from tinyptq.frontend.keras_config import MAX_ELEMENTS, bad_config, integers, number
from tinyptq.graph import Shape
from tinyptq.ops.activation import NONE
from tinyptq.ops.add import Add
from tinyptq.ops.average_pool_2d import AveragePool2D
from tinyptq.ops.concatenation import Concatenation
from tinyptq.ops.max_pool_2d import MaxPool2D
from tinyptq.ops.mean import Mean
from tinyptq.ops.mul import Mul
from tinyptq.ops.pad import Pad
from tinyptq.ops.reduce_max import ReduceMax
from tinyptq.ops.window import Window, make_window


def dimensions(call: Call) -> int:
    """1 for Conv1D, MaxPooling1D …; 2 for their images."""
    return 1 if call.class_name.endswith("1D") else 2


def spatial(call: Call, image: str) -> Value:
    """The Keras tensor an image [1, h, w, c] holds for this layer."""
    return call.sequence(image) if dimensions(call) == 1 else call.whole(image)


def rows_and_columns(sizes: tuple[int, ...]) -> tuple[int, int]:
    """(steps,) runs down the rows of a one column wide image."""
    return (sizes[0], 1) if len(sizes) == 1 else (sizes[0], sizes[1])


def window_over(x: Value, padding: str, sizes: tuple[Shape, Shape, Shape]) -> Window:
    """sizes: kernel, stride, dilation, each (steps,) or (height, width)."""
    kernel, stride, dilation = (rows_and_columns(size) for size in sizes)
    if padding == "causal":
        return Window(kernel, stride, dilation, pad_top=(kernel[0] - 1) * dilation[0])
    return make_window(padding, rows_and_columns(x.shape[1:-1]), kernel, stride, dilation)


def convolution_window(call: Call, x: Value) -> Window:
    dims = dimensions(call)
    sizes = (
        integers(call.config, "kernel_size", dims),
        integers(call.config, "strides", dims, 1),
        integers(call.config, "dilation_rate", dims, 1),
    )
    return window_over(x, call.config.get("padding", "valid"), sizes)


def pool_window(call: Call) -> Window:
    dims = dimensions(call)
    x = call.ranked(dims + 2)
    size = integers(call.config, "pool_size", dims, 2)
    stride = size if call.config.get("strides") is None else integers(call.config, "strides", dims)
    return window_over(x, call.config.get("padding", "valid"), (size, stride, (1,) * dims))


def max_pooling(call: Call) -> Value:
    return spatial(call, call.emit("max_pool_2d", MaxPool2D(pool_window(call), NONE), (call.image(call.input),)))


def average_pooling(call: Call) -> Value:
    attrs = AveragePool2D(pool_window(call), NONE)
    return spatial(call, call.emit("average_pool_2d", attrs, (call.image(call.input),)))


def global_max_pooling(call: Call) -> Value:
    return reduced(call, "reduce_max", ReduceMax)


def global_average_pooling(call: Call) -> Value:
    call.require_all_steps()
    return reduced(call, "mean", Mean)


def reduced(call: Call, op: str, attrs: Any) -> Value:
    """All rows and columns become one, or vanish unless keepdims."""
    keep = bool(call.config.get("keepdims", False))
    x = call.ranked(dimensions(call) + 2)
    output = call.emit(op, attrs((1, 2), keep), (call.image(x),))
    return spatial(call, output) if keep else call.whole(output)


def zero_padding(call: Call) -> Value:
    x = call.ranked(dimensions(call) + 2)
    (top, bottom), (left, right) = side_pairs(call, "padding", 1)
    return spatial(call, call.emit("pad", Pad((0, top, left, 0), (0, bottom, right, 0)), (call.image(x),)))


def side_pairs(call: Call, key: str, default: int) -> tuple[Shape, Shape]:
    """[top, bottom] and [left, right]: a number, one per side pair, or both pairs; a sequence has rows only."""
    dims = dimensions(call)
    value = call.config.get(key, default)
    sides = value if isinstance(value, list) and dims == 2 else [value] * dims
    if len(sides) != dims:
        raise bad_config(f"{key} is {value!r:.60}, expected one entry per dimension")
    pairs = [integers({key: side}, key, 2, least=0) for side in sides]
    return pairs[0], pairs[1] if dims == 2 else (0, 0)


def identity(call: Call) -> Value:
    return call.input


def flatten(call: Call) -> Value:
    size = math.prod(call.input.shape)
    return call.whole(call.shaped(call.input, (1, size), ""))


def reshape(call: Call) -> Value:
    """target_shape may hold one -1: whatever is left."""
    size = math.prod(call.input.shape)
    target = call.config.get("target_shape")
    sizes: list[Any] = target if isinstance(target, list) else [target]
    if not all(type(s) is int and -1 <= s < MAX_ELEMENTS and s != 0 for s in sizes) or sizes.count(-1) > 1:
        raise bad_config(f"target_shape is {target!r:.60}, expected positive integers and at most one -1")
    known = math.prod(s for s in sizes if s != -1)
    shape = (1, *(size // known if s == -1 else s for s in sizes))
    if math.prod(shape) != size:
        raise bad_config(f"cannot give {call.input.shape} the target_shape {target}")
    return call.whole(call.shaped(call.input, shape, ""))


def add(call: Call) -> Value:
    return folded(call, "add", Add(NONE))


def multiply(call: Call) -> Value:
    return folded(call, "mul", Mul(NONE))


def folded(call: Call, op: str, attrs: Any, part: str = "") -> Value:
    """a ∘ b ∘ c …, numbers among them as constants (x * 0.5 is the same class as the layer Multiply)."""
    names = list(aligned(call))
    numbers = [a for a in call.arguments if isinstance(a, float)]
    names += [call.constant(f"number{i}", np.array([number({"operand": n}, "operand")])) for i, n in enumerate(numbers)]
    if len(names) < 2:
        raise bad_config("needs two operands")
    result = names[0]
    for index, name in enumerate(names[1:], 2):
        result = call.emit(op, attrs, (result, name), part if index == len(names) else f"partial{index}")
    shape = np.broadcast_shapes(*(widened(v.shape, top_rank(call)) for v in call.inputs))
    return Value(result, shape)


def top_rank(call: Call) -> int:
    return max(len(value.shape) for value in call.inputs)


def widened(shape: Shape, rank: int) -> Shape:
    """shape with ones put in behind the batch: Keras aligns operands of merges at the last axis."""
    return (1, *(1,) * (rank - len(shape)), *shape[1:])


def aligned(call: Call) -> tuple[str, ...]:
    """Graph tensors of all inputs with the same number of dimensions; sequences stay images when all of them are."""
    if not call.inputs:
        raise bad_config("has no input")
    ranks = {len(value.shape) for value in call.inputs}
    held = {len(call.builder.held(value)) for value in call.inputs}
    if len(ranks) == len(held) == 1:
        return tuple(value.name for value in call.inputs)
    return tuple(call.shaped(value, widened(value.shape, max(ranks))) for value in call.inputs)


def concatenate(call: Call) -> Value:
    axis, ranks = call.config.get("axis", -1), {len(value.shape) for value in call.inputs}
    rank = max(ranks, default=0)
    if type(axis) is not int or len(ranks) != 1 or not (-rank < axis < rank and axis != 0):
        raise bad_config(f"axis={axis!r:.40} does not fit the shapes {[v.shape for v in call.inputs]}")
    names = aligned(call)
    axis %= rank
    # A sequence held as [1, w, 1, c] has its channels one axis further back.
    held = len(call.builder.tensors[names[0]].shape) - 1 if axis == rank - 1 else axis
    output = call.emit("concatenation", Concatenation(held, NONE), names)
    size = sum(value.shape[axis] for value in call.inputs)
    first = call.inputs[0].shape
    return Value(output, (*first[:axis], size, *first[axis + 1 :]))
