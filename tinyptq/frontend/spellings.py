"""Operators that are other operators under another name or type: written as those before nodes are made of them.

ADD_N of floats is a chain of ADD; a BROADCAST_TO that puts axes in front has a RESHAPE do it. ARG_MAX and ARG_MIN,
which TFLite's converter lets write 64 bits, write 32: an axis is never longer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import tflite

from tinyptq.frontend.sequences import Spelling
from tinyptq.frontend.subgraphs import FileOperator
from tinyptq.graph import Tensor
from tinyptq.ops.base import TfliteOperator

FLOAT32, INT32, INT64 = (np.dtype(name) for name in ("float32", "int32", "int64"))
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
    changed = [name for name in outputs if before[name].dtype == INT64 and after[name].dtype == INT32]
    return tuple(f"output '{name}' is int32 here, int64 in the file" for name in changed)
