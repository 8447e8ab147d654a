"""Keras' TimeDistributed: one layer, with one set of weights, applied to every time step [1, …] of [1, steps, …].

Layers that look at the last axis alone take all steps at once. Others are called step by step, and their results
packed; a TimeDistributed behind another one goes on with the steps as they were before they were packed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from tinyptq.frontend.keras_archive import ZIP
from tinyptq.frontend.keras_builder import Call, Value
from tinyptq.frontend.keras_config import MAX_LAYERS, bad_config
from tinyptq.frontend.keras_recurrent import inner_layer, inside
from tinyptq.graph import Shape
from tinyptq.ops.pack import Pack
from tinyptq.ops.strided_slice import StridedSlice

NORMALIZATIONS = ("BatchNormalization", "LayerNormalization")
LAST_AXIS = ("Dense", "Activation", "ReLU", "LeakyReLU", "ELU", "Softmax", "Rescaling", "Dropout", *NORMALIZATIONS)
TFLM_DIMENSIONS = 4  # of what element-wise operators and slices take
SPATIAL = ("Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D")
POOLS = tuple(f"{kind}Pooling{n}D" for kind in ("Max", "Average", "GlobalMax", "GlobalAverage") for n in (1, 2))
SHAPES = ("Flatten", "Reshape", "ZeroPadding1D", "ZeroPadding2D", "Cropping1D", "Cropping2D", "Permute")
INSIDE = (*LAST_AXIS, *SPATIAL, *POOLS, *SHAPES)
STEP = 1  # the axis of time


def time_distributed(call: Call, build: Callable[[Call], Value | tuple[Value, ...]]) -> Value:
    """build: what makes the layer inside."""
    class_name, config = inner_layer(call.config, "layer")
    store = inside(call.store, "layer") if call.store.layout == ZIP else call.store
    inner = replace(call, class_name=class_name, config=config, store=store)
    shape = call.input.shape
    if len(shape) < 3:
        raise bad_config(f"expects time steps, is given the shape {shape}")
    axis, last = config.get("axis", -1), len(shape) - 2
    if class_name in LAST_AXIS and len(shape) <= TFLM_DIMENSIONS and axis in (-1, [-1], last, [last]):
        return only(build(replace(inner, config={**config, "axis": -1})))
    results = [only(build(replace(inner, inputs=(step,)))) for step in steps(call)]
    names = tuple(call.plain(result) for result in results)
    rest = results[0].shape[1:]
    flat = tuple(call.shaped(result, row_of(rest)) for result in results)
    row = call.whole(call.emit("pack", Pack(STEP), flat, "packed"))
    output = call.shaped(row, (1, len(results), *rest))
    call.builder.packed[output] = names
    return call.whole(output)


def row_of(rest: Shape) -> Shape:
    """The shape of a step [1, …] where steps are taken apart and packed: TFLM slices 4 dimensions at most."""
    return (1, *rest) if len(rest) < TFLM_DIMENSIONS - 1 else (1, math.prod(rest))


def only(result: Value | tuple[Value, ...]) -> Value:
    assert isinstance(result, Value)
    return result


def steps(call: Call) -> tuple[Value, ...]:
    """The input, taken apart along the axis of time."""
    name, shape = call.plain(call.input), call.input.shape
    count, row = shape[STEP], row_of(shape[STEP + 1 :])
    call.builder.calls += count
    if call.builder.calls > MAX_LAYERS:
        raise bad_config(f"its layers are called more than {MAX_LAYERS} times")
    if name in call.builder.packed:
        return tuple(call.whole(part) for part in call.builder.packed[name])
    source = call.shaped(call.input, (1, count, *row[1:]))
    taken = []
    for step in range(count):
        begin = (0, step, *(0 for _ in row[1:]))
        attrs = StridedSlice(begin, (1,) * len(begin), (1, 1, *row[1:]), row)
        one = call.whole(call.emit("strided_slice", attrs, (source,), f"step{step}"))
        taken.append(call.whole(call.shaped(one, (1, *shape[STEP + 1 :]))))
    return tuple(taken)
