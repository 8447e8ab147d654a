"""Shapes a file leaves open (shape_signature with −1), and values that follow from shapes, settled for a batch of one.

Converters write 1 for every size they did not know, also where it is none: of [-1, 32, 8] folded into [-1, 8] the file
says [1, 8]. So such a size is computed from the operator's inputs, operator by operator, as interpreters do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.frontend.flatbuffer import BROKEN
from tinyptq.frontend.shape_values import known_value
from tinyptq.frontend.subgraphs import FileOperator
from tinyptq.frontend.tflite_tensors import MAX_ELEMENTS
from tinyptq.graph import Array, Shape, Tensor
from tinyptq.ops import BY_BUILTIN
from tinyptq.ops.base import TfliteOperator, own_operands

FOLDED_ELEMENTS = 1 << 22  # of all values computed here together


@dataclass(frozen=True, eq=False)
class Settled:
    """operators without those whose value is known, reading tensors with settled shapes; tensors by name."""

    operators: tuple[FileOperator, ...]
    tensors: Mapping[str, Tensor]


def settle_shapes(
    operators: tuple[FileOperator, ...], tensors: Mapping[str, Tensor], unknown: frozenset[str], kept: frozenset[str]
) -> Settled:
    """unknown: tensors whose declared shape holds placeholders. kept: tensors (outputs) an operator must write."""
    now, left, budget = dict(tensors), [], FOLDED_ELEMENTS
    for item in operators:
        item = with_current(item, now)
        value = known_value(item.operator)
        if value is not None and value.size <= budget and item.operator.outputs[0].name not in kept:
            budget -= value.size
            output = item.operator.outputs[0]
            now[output.name] = replace(output, data=value, shape=value.shape)
            continue
        for tensor, shape in zip(item.operator.outputs, output_shapes(item.operator, unknown), strict=True):
            now[tensor.name] = replace(tensor, shape=shape)
        left.append(with_current(item, now))
    return Settled(tuple(left), now)


def with_current(item: FileOperator, now: Mapping[str, Tensor]) -> FileOperator:
    operator = item.operator
    inputs = tuple(None if tensor is None else now[tensor.name] for tensor in operator.inputs)
    outputs = tuple(now[tensor.name] for tensor in operator.outputs)
    return replace(item, operator=replace(operator, inputs=inputs, outputs=outputs))


def output_shapes(operator: TfliteOperator, unknown: frozenset[str]) -> tuple[Shape, ...]:
    """What the file declares, or what follows from the inputs where it left that open and the operator tells."""
    declared = tuple(tensor.shape for tensor in operator.outputs)
    if not any(tensor.name in unknown for tensor in operator.outputs):
        return declared
    computed: tuple[Shape, ...] = declared
    with suppress(TinyptqError, *BROKEN):  # the operator is read once more, and complained about there
        computed = tuple(inferred_shapes(operator))
    fits = len(computed) == len(declared) and all(math.prod(shape) <= MAX_ELEMENTS for shape in computed)
    if not fits:
        return declared
    pairs = zip(operator.outputs, computed, strict=True)
    return tuple(shape if tensor.name in unknown else tensor.shape for tensor, shape in pairs)


def inferred_shapes(operator: TfliteOperator) -> Iterator[Shape]:
    op = BY_BUILTIN.get(operator.builtin)
    source = operator.inputs[0] if operator.inputs else None
    if op is None or source is None:
        yield from (tensor.shape for tensor in operator.outputs)
    elif operator.builtin in NEW_SHAPES:
        yield NEW_SHAPES[operator.builtin](operator, source.shape)
    else:
        operands = own_operands(operator, op)
        inputs = (tensor.shape for tensor in operands if tensor is not None)
        yield from op.infer_shapes(op.read_tflite(operator), *inputs)


def reshaped(operator: TfliteOperator, shape: Shape) -> Shape:
    """The second operand, or the option of old files; one −1 takes the elements that are left."""
    wanted = operator.inputs[1].data if len(operator.inputs) > 1 and operator.inputs[1] is not None else None
    if wanted is None and len(operator.inputs) < 2 and operator.options is not None:
        wanted = operator.options.NewShapeAsNumpy()
    if not isinstance(wanted, np.ndarray):
        return operator.outputs[0].shape
    sizes = [int(size) for size in wanted.reshape(-1)]
    rest = math.prod(size for size in sizes if size != -1)
    return tuple(math.prod(shape) // rest if size == -1 else size for size in sizes)


def squeezed(operator: TfliteOperator, shape: Shape) -> Shape:
    axes = np.atleast_1d(operator.options.SqueezeDimsAsNumpy()).tolist() if operator.options else []
    gone = {axis % len(shape) for axis in axes} or {axis for axis, size in enumerate(shape) if size == 1}
    return tuple(size for axis, size in enumerate(shape) if axis not in gone)


def expanded(operator: TfliteOperator, shape: Shape) -> Shape:
    axis: Array | None = operator.inputs[1].data if operator.inputs[1] is not None else None
    if axis is None:
        return operator.outputs[0].shape
    place = int(axis.reshape(())) % (len(shape) + 1)
    return (*shape[:place], 1, *shape[place:])


NEW_SHAPES = {"RESHAPE": reshaped, "SQUEEZE": squeezed, "EXPAND_DIMS": expanded}
