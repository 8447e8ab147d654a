"""Operators that are other operators under another name or type: written as those before nodes are made of them.

ADD_N of floats is a chain of ADD, CUMSUM of floats a FULLY_CONNECTED with a triangle of ones (TFLite Micro's own int8
kernel counts the zero point among the terms). A BROADCAST_TO that puts axes in front has a RESHAPE do it. ARG_MAX and
ARG_MIN, which TFLite's converter lets write 64 bits, write 32: an axis is never longer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import tflite

from tinyptq.frontend.sequences import Spelling
from tinyptq.frontend.subgraphs import FileOperator
from tinyptq.graph import Array, Tensor
from tinyptq.ops.base import TfliteOperator

FLOAT32, INT32, INT64 = (np.dtype(name) for name in ("float32", "int32", "int64"))
MAX_TERMS = 512  # of a running sum: the triangle has as many rows and columns
INDICES = ("ARG_MAX", "ARG_MIN")
Operators = tuple[FileOperator, ...]


def spell_others(operators: Operators, tensors: Mapping[str, Tensor]) -> tuple[Operators, Mapping[str, Tensor]]:
    """The same graph without such forms."""
    found: list[FileOperator] = []
    known = dict(tensors)
    for item in operators:
        spelling = Spelling(item, set(known))
        if is_float_sum(item.operator):
            add_in_turn(spelling)
        elif is_float_running_sum(item.operator):
            multiply_by_triangle(spelling)
        elif widens(item.operator):
            with_all_axes(spelling)
        known.update({tensor.name: tensor for tensor in spelling.tensors})
        found += spelling.operators or [item]
    return narrow_indices(tuple(found), known)


def is_float_sum(operator: TfliteOperator) -> bool:
    inputs = operator.inputs
    same = all(t is not None and t.dtype == FLOAT32 and t.shape == operator.outputs[0].shape for t in inputs)
    return operator.builtin == "ADD_N" and same and len(inputs) > 1


def add_in_turn(spelling: Spelling) -> None:
    operator = spelling.item.operator
    output, total = operator.outputs[0], operator.inputs[0]
    partial = [spelling.tensor(output, "sum", output.shape) for _ in operator.inputs[2:]]
    for term, result in zip(operator.inputs[1:], (*partial, output), strict=True):
        spelling.emit("ADD", None, (total, term), result)
        total = result


def running_axis(operator: TfliteOperator) -> int | None:
    """The axis of a CUMSUM from the front; None where the file does not say it, and for the batch."""
    x, axis = (*operator.inputs, None, None)[:2]
    if x is None or axis is None or axis.data is None or axis.data.size != 1 or axis.dtype != INT32:
        return None
    rank, number = len(x.shape), int(axis.data.flat[0])
    number += rank if number < 0 else 0
    return number if 0 < number < rank else None


def is_float_running_sum(operator: TfliteOperator) -> bool:
    if operator.builtin != "CUMSUM" or operator.options is None:
        return False
    x, axis = operator.inputs[0] if operator.inputs else None, running_axis(operator)
    if x is None or axis is None or x.dtype != FLOAT32 or 0 in x.shape:
        return False
    return x.shape == operator.outputs[0].shape and x.shape[axis] <= MAX_TERMS


def multiply_by_triangle(spelling: Spelling) -> None:
    """Along the last axis; another one trades places with it before and after."""
    operator = spelling.item.operator
    x, output, axis = operator.inputs[0], operator.outputs[0], running_axis(operator)
    assert x is not None and axis is not None
    order = [*range(len(x.shape))]
    order[axis], order[-1] = order[-1], axis
    shape = tuple(x.shape[place] for place in order)
    swap = spelling.constant("order", np.array(order, np.int32))
    weights = spelling.constant("triangle", triangle(shape[-1], operator.options))
    options = SimpleNamespace(FusedActivationFunction=lambda: 0, KeepNumDims=lambda: True, WeightsFormat=lambda: 0)
    if axis == len(shape) - 1:
        spelling.emit("FULLY_CONNECTED", options, (x, weights), output)
        return
    before, after = spelling.tensor(x, "swapped", shape), spelling.tensor(output, "sums", shape)
    spelling.emit("TRANSPOSE", None, (x, swap), before)
    spelling.emit("FULLY_CONNECTED", options, (before, weights), after)
    spelling.emit("TRANSPOSE", None, (after, swap), output)


def triangle(size: int, options: Any) -> Array:
    """float32 [sums, terms]: 1 where the term counts."""
    ones = np.tri(size, k=-1 if options.Exclusive() else 0, dtype=np.float32)
    return ones[::-1, ::-1].copy() if options.Reverse() else ones


def widens(operator: TfliteOperator) -> bool:
    """Is it a BROADCAST_TO that puts axes in front?"""
    if operator.builtin != "BROADCAST_TO" or not operator.inputs or operator.inputs[0] is None:
        return False
    return len(operator.inputs[0].shape) < len(operator.outputs[0].shape)


def with_all_axes(spelling: Spelling) -> None:
    operator = spelling.item.operator
    source, output = operator.inputs[0], operator.outputs[0]
    assert source is not None
    shape = (1,) * (len(output.shape) - len(source.shape)) + source.shape
    widened = spelling.tensor(source, "widened", shape)
    spelling.reshaped(source, widened)
    target = spelling.constant("shape", np.array(output.shape, np.int32))
    spelling.emit("BROADCAST_TO", None, (widened, target), output)


def narrow_indices(operators: Operators, tensors: Mapping[str, Tensor]) -> tuple[Operators, Mapping[str, Tensor]]:
    """int32 where ARG_MAX and ARG_MIN write int64, for whoever reads it too."""
    results = [item.operator.outputs[0] for item in operators if item.operator.builtin in INDICES]
    narrow = {tensor.name: replace(tensor, dtype=INT32) for tensor in results if tensor.dtype == INT64}
    return tuple(narrowed(item, narrow) for item in operators), {**tensors, **narrow}


def narrowed(item: FileOperator, narrow: Mapping[str, Tensor]) -> FileOperator:
    operator = item.operator
    inputs = tuple(t if t is None else narrow.get(t.name, t) for t in operator.inputs)
    outputs = tuple(narrow.get(t.name, t) for t in operator.outputs)
    picks = operator.builtin in INDICES and outputs != operator.outputs
    options = SimpleNamespace(OutputType=lambda: tflite.TensorType.INT32) if picks else operator.options
    return replace(item, operator=replace(operator, options=options, inputs=inputs, outputs=outputs))


def warnings(before: Mapping[str, Tensor], after: Mapping[str, Tensor], outputs: tuple[str, ...]) -> tuple[str, ...]:
    """What a caller has to know about outputs whose type is another one than the file's."""
    wide = [name for name in outputs if name in before and before[name].dtype == INT64]
    changed = [name for name in wide if after[name].dtype == INT32]
    return tuple(f"output '{name}' is int32 here, int64 in the file" for name in changed)
