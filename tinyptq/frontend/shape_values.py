"""Integers a model computes from its own shapes, known as soon as the shapes are: SHAPE, and arithmetic behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyptq.graph import Array, Tensor
from tinyptq.ops.base import TfliteOperator

MAX_ELEMENTS = 1 << 20  # of a FILL: a bias or a scale, no image
MAX_OPERANDS = 64

Rule = Callable[[TfliteOperator, list[Array]], Array]


def known_value(operator: TfliteOperator) -> Array | None:
    """The operator's only output when it follows from shapes and constants; None when it does not, or is not ours.

    Integers that stand for reals are left alone, except that FILL repeats one; a float16 number it repeats is one here.
    """
    if len(operator.outputs) != 1 or len(operator.inputs) > MAX_OPERANDS:
        return None
    output = operator.outputs[0]
    if operator.builtin in ("SHAPE", "RANK"):
        return shape_of(operator)
    rule = RULES.get(operator.builtin)
    operands = [tensor.data for tensor in operator.inputs if tensor is not None]
    values = [data for data in operands if data is not None]
    if rule is None or not values or len(values) < len(operator.inputs):
        return None
    if operator.builtin == "DEQUANTIZE":
        return values[0].astype(np.float32) if values[0].dtype == np.float16 and values[0].size == 1 else None
    if operator.builtin != "FILL" and not all(is_plain(tensor) for tensor in (*operator.inputs, output)):
        return None
    try:
        value = rule(operator, values)
    except (ValueError, IndexError, TypeError, AttributeError, ArithmeticError):
        return None  # no such arithmetic: the operator stays, and is refused by name
    return np.asarray(value, output.dtype, "C") if value.size <= MAX_ELEMENTS else None


def is_plain(tensor: Tensor | None) -> bool:
    """Integers that mean themselves, few of them."""
    if tensor is None or tensor.qparams is not None or tensor.dtype.kind not in "iu":
        return False
    return tensor.data is None or tensor.data.size <= MAX_ELEMENTS


def shape_of(operator: TfliteOperator) -> Array | None:
    tensor, output = operator.inputs[0] if operator.inputs else None, operator.outputs[0]
    if tensor is None or output.dtype.kind not in "iu":
        return None
    return np.array(len(tensor.shape) if operator.builtin == "RANK" else tensor.shape, output.dtype)


def strided_slice(operator: TfliteOperator, values: list[Array]) -> Array:
    """Of a vector: one begin, one end, one stride."""
    vector, begin, end, stride = (value.reshape(-1) for value in values)
    options: Any = operator.options
    if values[0].ndim != 1 or not len(begin) == len(end) == len(stride) == 1:
        raise ValueError("not a vector")
    if options.EllipsisMask() or options.NewAxisMask():
        raise ValueError("axes made or skipped")
    if options.ShrinkAxisMask() & 1:
        return np.asarray(vector[int(begin[0])])
    first = None if options.BeginMask() & 1 else int(begin[0])
    last = None if options.EndMask() & 1 else int(end[0])
    return np.asarray(vector[first : last : int(stride[0])])


def fill(operator: TfliteOperator, values: list[Array]) -> Array:
    """dims, value: the value repeated; it and the result must mean the same by their integers."""
    dims, value = values
    source, output = operator.inputs[1], operator.outputs[0]
    assert source is not None
    first, second = source.qparams, output.qparams
    alike = first is second is None or (first is not None and second is not None and first.same_as(second))
    if not alike or value.size != 1 or source.dtype != output.dtype:
        raise ValueError("a value of another kind")
    shape = tuple(int(size) for size in dims.reshape(-1))
    if min(shape, default=0) < 0 or np.prod(shape, dtype=np.float64) > MAX_ELEMENTS:
        raise ValueError("no such size")
    return np.full(shape, value.reshape(()), output.dtype)


def ranged(operator: TfliteOperator, values: list[Array]) -> Array:
    start, limit, delta = (int(value.reshape(())) for value in values)
    if delta == 0 or abs(limit - start) > MAX_ELEMENTS:
        raise ValueError("no such range")
    return np.arange(start, limit, delta)


def box(operator: TfliteOperator, values: list[Array]) -> Array:
    x, begin, size = values
    index = (slice(b, None if s < 0 else b + s) for b, s in zip(begin.tolist(), size.tolist(), strict=True))
    return np.asarray(x[tuple(index)])


def pair(values: list[Array]) -> tuple[Array, Array]:
    first, second = values
    return first.astype(np.int64), second.astype(np.int64)


RULES: dict[str, Rule] = {
    "STRIDED_SLICE": strided_slice,
    "SLICE": box,
    "FILL": fill,
    "RANGE": ranged,
    "CAST": lambda operator, values: values[0],
    "DEQUANTIZE": lambda operator, values: values[0],
    "PACK": lambda operator, values: np.stack(values, operator.options.Axis()),
    "CONCATENATION": lambda operator, values: np.concatenate(values, operator.options.Axis()),
    "GATHER": lambda operator, values: np.take(*pair(values), operator.options.Axis()),
    "RESHAPE": lambda operator, values: values[0].reshape(values[1]),
    "SQUEEZE": lambda operator, values: values[0].reshape(-1) if values[0].size > 1 else values[0].reshape(()),
    "EXPAND_DIMS": lambda operator, values: np.expand_dims(values[0], int(values[1].reshape(()))),
    "ADD": lambda operator, values: np.add(*pair(values)),
    "SUB": lambda operator, values: np.subtract(*pair(values)),
    "MUL": lambda operator, values: np.multiply(*pair(values)),
    "FLOOR_DIV": lambda operator, values: np.floor_divide(*pair(values)),
    "FLOOR_MOD": lambda operator, values: np.mod(*pair(values)),
    "MAXIMUM": lambda operator, values: np.maximum(*pair(values)),
    "MINIMUM": lambda operator, values: np.minimum(*pair(values)),
    "REDUCE_PROD": lambda operator, values: np.prod(values[0], tuple(values[1].reshape(-1)), np.int64),
}
