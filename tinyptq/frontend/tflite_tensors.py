"""Tensors of a .tflite subgraph: names made unique, sizes proved, constants as views of the file."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tflite

from tinyptq.frontend.flatbuffer import (
    MAX_RANK,
    MAX_TENSORS,
    bounded,
    buffer_bytes,
    require,
    text,
    vector,
)
from tinyptq.graph import Array, QParams, Shape, Tensor

TYPES = {code: name for name, code in vars(tflite.TensorType).items() if isinstance(code, int)}
DTYPES = {
    name: np.dtype(name.lower())
    for name in (
        "FLOAT16 FLOAT32 FLOAT64 INT8 INT16 INT32 INT64 UINT8 UINT16 UINT32 UINT64 BOOL COMPLEX64 COMPLEX128".split()
    )
}
KEPT = "state kept between runs"
NO_DTYPE = np.dtype("V1")  # a type NumPy lacks; its operators are refused by name
MAX_ELEMENTS = 1 << 28
MAX_NAME = 1 << 14


@dataclass(frozen=True, eq=False)
class Operands:
    """tensors by index in the file; oddities: what keeps a tensor (by name) from being used at all.

    unknown: names of tensors whose declared shape holds placeholders, sizes the converter did not know.
    """

    tensors: tuple[Tensor, ...]
    oddities: dict[str, str]
    unknown: frozenset[str]


def read_tensors(data: bytes, model: Any, subgraph: Any) -> Operands:
    """Every tensor of the subgraph. The sum of names and constants is bounded by the file's own size."""
    raw = [subgraph.Tensors(i) for i in bounded(subgraph.TensorsLength(), MAX_TENSORS, "tensors")]
    names = unique(names_of(raw, 4 * len(data)))
    inputs = set(vector(subgraph.InputsAsNumpy(), len(raw), "inputs").tolist())
    tensors, oddities, unknown, budget = [], {}, set(), 64 * len(data)
    for index, (table, name) in enumerate(zip(raw, names, strict=True)):
        tensor = read_tensor(data, model, table, name, index in inputs)
        budget -= 0 if tensor.data is None else tensor.data.nbytes
        require(budget >= 0, "constants that share their bytes far beyond the file's size")
        tensors.append(tensor)
        odd = oddity(table, index in inputs)
        if odd:
            oddities[name] = odd
        sizes = (table.ShapeSignatureAsNumpy(), table.ShapeAsNumpy())
        if any(np.any(vector(numbers, MAX_RANK, "axes") < 0) for numbers in sizes):
            unknown.add(name)
    return Operands(tuple(tensors), oddities, frozenset(unknown))


def names_of(raw: list[Any], budget: int) -> list[str]:
    names = []
    for table in raw:
        names.append(text(table.Name(), MAX_NAME))
        budget -= len(names[-1])
        require(budget >= 0, "names longer than the file")
    return names


def unique(names: Iterable[str]) -> list[str]:
    """The same names, empty ones called "tensor", repeated ones with a number appended; order decides."""
    names = [name or "tensor" for name in names]
    taken, counts, result = set(names), dict.fromkeys(names, 0), []
    for name in names:
        fresh = name
        counts[name] += 1
        while counts[name] > 1 and fresh in taken:
            fresh = f"{name}_{counts[name]}"
            counts[name] += fresh in taken
        taken.add(fresh)
        result.append(fresh)
    return result


def read_tensor(data: bytes, model: Any, table: Any, name: str, is_input: bool) -> Tensor:
    """A graph input is never a constant, whatever its buffer says."""
    shape = read_shape(table)
    dtype = DTYPES.get(TYPES.get(table.Type(), ""), NO_DTYPE)
    require(table.Buffer() < model.BuffersLength(), f"tensor '{name}': buffer {table.Buffer()} does not exist")
    content = buffer_bytes(data, model.Buffers(table.Buffer()))
    if len(content) == 0 or is_input:
        shape = batch_one(table, shape)
        stand_in = nothing(shape, dtype) if oddity(table, is_input) and not is_input else None
        return Tensor(name, shape, dtype, stand_in, read_qparams(table, shape, dtype))
    if dtype == NO_DTYPE:
        return Tensor(name, shape, dtype, nothing(shape, dtype))
    return Tensor(name, shape, dtype, constant(content, shape, dtype, name), read_qparams(table, shape, dtype))


def read_shape(table: Any) -> Shape:
    """A negative size is a placeholder, as 1 is where the signature has −1: TensorFlow 2.4 has blocks of an open batch
    at −2, say.
    """
    sizes = (int(size) for size in vector(table.ShapeAsNumpy(), MAX_RANK, "axes"))
    shape = tuple(1 if size < 0 else size for size in sizes)
    require(math.prod(shape) <= MAX_ELEMENTS, f"shape {list(shape)} is beyond any microcontroller")
    return shape


def batch_one(table: Any, shape: Shape) -> Shape:
    """A batch the file leaves open (shape_signature −1) is 1."""
    signature = vector(table.ShapeSignatureAsNumpy(), MAX_RANK, "axes")
    return (1, *shape[1:]) if shape and len(signature) == len(shape) and signature[0] == -1 else shape


def nothing(shape: Shape, dtype: np.dtype[Any]) -> Array:
    """Stands for contents no operator here can read (state, foreign types): zeros that take no memory."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def constant(content: Array, shape: Shape, dtype: np.dtype[Any], name: str) -> Array:
    expected = math.prod(shape) * dtype.itemsize
    require(len(content) == expected, f"tensor '{name}' has {len(content)} bytes, its shape needs {expected}")
    values = content.view(dtype.newbyteorder("<")).reshape(shape)
    return np.require(values, dtype, "A")


def read_qparams(table: Any, shape: Shape, dtype: np.dtype[Any]) -> QParams | None:
    """None for floats and tensors without scales."""
    quantization = table.Quantization()
    if quantization is None or dtype.kind not in "iu":
        return None
    scale = vector(quantization.ScaleAsNumpy(), max((1, *shape)), "scales").astype(np.float32)
    if len(scale) == 0:
        return None
    points = vector(quantization.ZeroPointAsNumpy(), len(scale), "zero points")
    points = np.zeros(1, np.int64) if len(points) == 0 else points
    require(len(points) in (1, len(scale)), f"{len(points)} zero points for {len(scale)} scales")
    require(bool(np.all(np.isfinite(scale) & (scale >= 0))), "a scale is not a finite positive number")
    require(bool(np.all(np.abs(points) < 2**31)), "a zero point is beyond 32 bits")
    axis = None if len(scale) == 1 else channel_axis(int(quantization.QuantizedDimension()), shape, len(scale))
    return QParams(scale, np.broadcast_to(points, scale.shape).astype(np.int32), axis)


def channel_axis(declared: int, shape: Shape, count: int) -> int:
    """The axis with one scale per index. One beyond the shape is tolerated where only one axis fits,
    as TFLM does: the biases of person_detect.tflite have it.
    """
    if 0 <= declared < len(shape):
        require(shape[declared] == count, f"{count} scales do not fit axis {declared} of {list(shape)}")
        return declared
    fitting = [axis for axis, size in enumerate(shape) if size == count]
    require(len(fitting) == 1, f"{count} scales do not fit any axis of {list(shape)}")
    return fitting[0]


def oddity(table: Any, is_input: bool) -> str | None:
    """Why a tensor cannot be used by any operator; None for ordinary ones."""
    kind = TYPES.get(table.Type(), f"type number {table.Type()}")
    if kind not in DTYPES:
        return f"elements of type {kind}"
    if table.Sparsity() is not None:
        return "sparse storage"
    if table.IsVariable():
        return KEPT
    if 0 in read_shape(table):
        return "no elements"
    sizes = (table.ShapeSignatureAsNumpy(), table.ShapeAsNumpy())
    for numbers in (vector(numbers, MAX_RANK, "axes") for numbers in sizes):
        if is_input and np.any(numbers[1:] < 0):
            return f"no fixed size: {numbers.tolist()}"
    return None
