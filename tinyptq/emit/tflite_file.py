"""Tensors and operators -> the flatbuffer of a .tflite file. Source: TFLite schema version 3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
import tflite

from tinyptq.graph import Array, QParams, Shape
from tinyptq.ops.base import TfliteCode

SCHEMA_VERSION = 3
FILE_IDENTIFIER = b"TFL3"
DESCRIPTION = "tinyptq"
BUFFER_ALIGNMENT = 16  # what TFLM's kernels may assume of constants
LAST_OLD_CODE = 127  # deprecated_builtin_code is an int8; later operators hold this value there
RESOURCE = np.dtype("V1")  # a handle: NumPy has no such type

TENSOR_TYPES = {
    np.dtype(np.int8): tflite.TensorType.INT8,
    np.dtype(np.uint8): tflite.TensorType.UINT8,
    np.dtype(np.int16): tflite.TensorType.INT16,
    np.dtype(np.int32): tflite.TensorType.INT32,
    np.dtype(np.int64): tflite.TensorType.INT64,
    np.dtype(np.float32): tflite.TensorType.FLOAT32,
    RESOURCE: tflite.TensorType.RESOURCE,
}


@dataclass(frozen=True, eq=False)
class FileTensor:
    """A tensor of the file. name: unique, valid UTF-8."""

    name: bytes
    shape: Shape
    dtype: np.dtype[Any]
    qparams: QParams | None
    data: Array | None = None
    is_state: bool = False


@dataclass(frozen=True, eq=False)
class FileOperator:
    """inputs, outputs: tensor indices."""

    code: TfliteCode
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class FilePart:
    """A subgraph; the first one of a file is the model. name: ASCII."""

    name: str
    tensors: tuple[FileTensor, ...]
    operators: tuple[FileOperator, ...]
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()


def serialize(parts: Sequence[FilePart]) -> bytes:
    """The flatbuffer. Children are written before their parents, as the format demands."""
    builder = flatbuffers.Builder(1024)
    codes = _operator_codes(parts)
    constants = [t for part in parts for t in part.tensors if t.data is not None]
    buffers = [_buffer(builder, None), *(_buffer(builder, t.data) for t in constants)]
    buffer_of = {id(t): position for position, t in enumerate(constants, start=1)}
    subgraphs = [_subgraph(builder, part, buffer_of, codes) for part in parts]
    vectors = (
        _offsets(builder, [_operator_code(builder, *code) for code in codes]),
        _offsets(builder, subgraphs),
        _offsets(builder, buffers),
    )
    description = builder.CreateString(DESCRIPTION)
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, SCHEMA_VERSION)
    tflite.ModelAddOperatorCodes(builder, vectors[0])
    tflite.ModelAddSubgraphs(builder, vectors[1])
    tflite.ModelAddBuffers(builder, vectors[2])
    tflite.ModelAddDescription(builder, description)
    builder.Finish(tflite.ModelEnd(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


def _code_key(code: TfliteCode) -> tuple[int, int]:
    return getattr(tflite.BuiltinOperator, code.builtin), code.version


def _operator_codes(parts: Sequence[FilePart]) -> list[tuple[int, int]]:
    """(builtin code, version) of every kind of operator, in order of first use."""
    return list(dict.fromkeys(_code_key(operator.code) for part in parts for operator in part.operators))


def _operator_code(builder: Any, builtin: int, version: int) -> int:
    tflite.OperatorCodeStart(builder)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, min(builtin, LAST_OLD_CODE))
    tflite.OperatorCodeAddVersion(builder, version)
    tflite.OperatorCodeAddBuiltinCode(builder, builtin)
    return int(tflite.OperatorCodeEnd(builder))


def _buffer(builder: Any, data: Array | None) -> int:
    """A Buffer table; without data it is the empty one that index 0 must be."""
    content = _bytes_vector(builder, data) if data is not None else None
    tflite.BufferStart(builder)
    if content is not None:
        tflite.BufferAddData(builder, content)
    return int(tflite.BufferEnd(builder))


def _bytes_vector(builder: Any, data: Array) -> int:
    """data as a little-endian byte vector whose first byte lies on a multiple of BUFFER_ALIGNMENT."""
    raw = np.ascontiguousarray(data, data.dtype.newbyteorder("<")).tobytes()
    builder.StartVector(1, len(raw), BUFFER_ALIGNMENT)
    builder.head -= len(raw)  # room that StartVector has reserved; byte-wise Prepend would take minutes
    builder.Bytes[builder.head : builder.head + len(raw)] = raw
    return int(builder.EndVector())


def _tensor(builder: Any, tensor: FileTensor, buffer: int) -> int:
    name = builder.CreateString(tensor.name)
    shape = _numbers(builder, tensor.shape, np.int32)
    quantization = _quantization(builder, tensor.qparams) if tensor.qparams is not None else None
    tflite.TensorStart(builder)
    tflite.TensorAddShape(builder, shape)
    tflite.TensorAddType(builder, TENSOR_TYPES[tensor.dtype])
    tflite.TensorAddBuffer(builder, buffer)
    tflite.TensorAddName(builder, name)
    if quantization is not None:
        tflite.TensorAddQuantization(builder, quantization)
    tflite.TensorAddIsVariable(builder, tensor.is_state)
    tflite.TensorAddHasRank(builder, True)
    return int(tflite.TensorEnd(builder))


def _quantization(builder: Any, qparams: QParams) -> int:
    scale = _numbers(builder, qparams.scale, np.float32)
    zero_point = _numbers(builder, qparams.zero_point, np.int64)
    tflite.QuantizationParametersStart(builder)
    tflite.QuantizationParametersAddScale(builder, scale)
    tflite.QuantizationParametersAddZeroPoint(builder, zero_point)
    tflite.QuantizationParametersAddQuantizedDimension(builder, qparams.axis or 0)
    return int(tflite.QuantizationParametersEnd(builder))


def _operator(builder: Any, operator: FileOperator, code_index: int) -> int:
    inputs = _numbers(builder, operator.inputs, np.int32)
    outputs = _numbers(builder, operator.outputs, np.int32)
    options = _options(builder, operator.code)
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, code_index)
    tflite.OperatorAddInputs(builder, inputs)
    tflite.OperatorAddOutputs(builder, outputs)
    if operator.code.options is not None:
        tflite.OperatorAddBuiltinOptionsType(builder, getattr(tflite.BuiltinOptions, operator.code.options))
        tflite.OperatorAddBuiltinOptions(builder, options)
    return int(tflite.OperatorEnd(builder))


def _options(builder: Any, code: TfliteCode) -> int | None:
    """The options table, its fields set by their schema names."""
    if code.options is None:
        return None
    texts = {field: builder.CreateString(value) for field, value in code.fields.items() if isinstance(value, str)}
    getattr(tflite, f"{code.options}Start")(builder)
    for field, value in {**code.fields, **texts}.items():
        getattr(tflite, f"{code.options}Add{field}")(builder, value)
    return int(getattr(tflite, f"{code.options}End")(builder))


def _subgraph(builder: Any, part: FilePart, buffer_of: dict[int, int], codes: list[tuple[int, int]]) -> int:
    tensors = _offsets(builder, [_tensor(builder, t, buffer_of.get(id(t), 0)) for t in part.tensors])
    written = [_operator(builder, o, codes.index(_code_key(o.code))) for o in part.operators]
    operators = _offsets(builder, written)
    inputs = _numbers(builder, part.inputs, np.int32)
    outputs = _numbers(builder, part.outputs, np.int32)
    name = builder.CreateString(part.name)
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, tensors)
    tflite.SubGraphAddInputs(builder, inputs)
    tflite.SubGraphAddOutputs(builder, outputs)
    tflite.SubGraphAddOperators(builder, operators)
    tflite.SubGraphAddName(builder, name)
    return int(tflite.SubGraphEnd(builder))


def _numbers(builder: Any, values: Sequence[int] | Array, dtype: type) -> int:
    return int(builder.CreateNumpyVector(np.asarray(values, dtype).reshape(-1)))


def _offsets(builder: Any, offsets: Sequence[int]) -> int:
    """A vector of references to tables already written."""
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())
