"""Program -> int8 .tflite file: the same integers in the format other tools read (TFLM, LiteRT, vela).

Two steps: `lay_out` decides which tensors and operators the file has (tensor k is Value k of the program, the
rest only the file needs), `serialize` turns them into a flatbuffer. Source: TFLite schema version 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
import tflite

from tinyptq.graph import Array, QParams, Shape
from tinyptq.ops import BY_NAME
from tinyptq.ops.base import State, TfliteCode, Wire, in_file_order
from tinyptq.program import Layer, Program

SCHEMA_VERSION = 3
FILE_IDENTIFIER = b"TFL3"
DESCRIPTION = "tinyptq"
BUFFER_ALIGNMENT = 16  # what TFLM's kernels may assume of constants
ABSENT = -1  # index of an optional operand that is not there
LAST_OLD_CODE = 127  # deprecated_builtin_code is an int8; later operators hold this value there

TENSOR_TYPES = {
    np.dtype(np.int8): tflite.TensorType.INT8,
    np.dtype(np.int16): tflite.TensorType.INT16,
    np.dtype(np.int32): tflite.TensorType.INT32,
    np.dtype(np.int64): tflite.TensorType.INT64,
    np.dtype(np.float32): tflite.TensorType.FLOAT32,
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
class FileModel:
    tensors: tuple[FileTensor, ...]
    operators: tuple[FileOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def write_tflite_model(program: Program) -> bytes:
    """The bytes of the int8 .tflite; the same program gives the same bytes."""
    return serialize(lay_out(program))


def exported_tensor_indices(program: Program) -> dict[str, int]:
    """{value name: index of its tensor in the exported file}."""
    return {name: index for index, name in enumerate(program.values)}


def lay_out(program: Program) -> FileModel:
    """Tensors and operators of the file, in order."""
    index = exported_tensor_indices(program)
    tensors = [
        FileTensor(name.encode(), v.shape, v.dtype, v.qparams, v.data, name in program.state)
        for name, v in zip(unique_names(program.values), program.values.values(), strict=True)
    ]
    operators: list[FileOperator] = []
    for layer in program.layers:
        operators += _operators_of(layer, index, tensors)
    names = unique_names(t.name.decode() for t in tensors)
    return FileModel(
        tuple(_renamed(t, n) for t, n in zip(tensors, names, strict=True)),
        tuple(operators),
        tuple(index[name] for name in program.inputs),
        tuple(index[name] for name in program.outputs),
    )


def _operators_of(layer: Layer, index: Mapping[str, int], tensors: list[FileTensor]) -> list[FileOperator]:
    """The operators of one layer; all but the last prepare its first input (a PAD). Appends to tensors."""
    if BY_NAME[layer.op].write_steps is not None:
        return _wired_operators(layer, index, tensors)
    codes = BY_NAME[layer.op].write_tflite(layer.params)
    assert all(code.shape is not None for code in codes[:-1]), f"{layer.op}: intermediate without a shape"
    operators = []
    first, *others = (index[name] for name in (*layer.inputs, *layer.folded))
    if BY_NAME[layer.op].weight_axis is not None and len(others) == 1:
        others.append(len(tensors))
        tensors.append(_zero_bias(layer, tensors[first], tensors[others[0]]))
    for step, code in enumerate(codes[:-1]):
        source = tensors[first]
        operands = _add_operands(layer, code, source, tensors)
        assert code.shape is not None
        dtype, qparams = (source.dtype, source.qparams) if code.dtype is None else (code.dtype, None)
        tensors.append(FileTensor(_suffixed(layer, f"step{step}"), code.shape, dtype, qparams))
        operators.append(FileOperator(code, (first, *operands), (len(tensors) - 1,)))
        first = len(tensors) - 1
    operands = _add_operands(layer, codes[-1], tensors[first], tensors)
    outputs = tuple(index[name] for name in layer.outputs)
    leading = _leading_operands(layer, codes[-1], tensors[outputs[0]], tensors)
    inputs = in_file_order(BY_NAME[layer.op].operand_order, (first, *others), operands)
    operators.append(FileOperator(codes[-1], (*leading, *inputs), outputs))
    return operators


def _wired_operators(layer: Layer, index: Mapping[str, int], tensors: list[FileTensor]) -> list[FileOperator]:
    """The operators of a layer that says itself how they are wired. Appends to tensors."""
    own = [index[name] for name in (*layer.inputs, *layer.folded, *layer.outputs)]
    known: dict[str, int] = {}

    def place(wire: Wire) -> int:
        if isinstance(wire, int):
            return own[wire]
        if wire.name not in known:
            known[wire.name] = len(tensors)
            tensors.append(FileTensor(_suffixed(layer, wire.name), wire.shape, wire.dtype, wire.qparams, wire.data))
        return known[wire.name]

    write_steps = BY_NAME[layer.op].write_steps
    assert write_steps is not None
    return [
        FileOperator(step.code, tuple(map(place, step.inputs)), tuple(map(place, step.outputs)))
        for step in write_steps(layer.params)
    ]


def _leading_operands(layer: Layer, code: TfliteCode, result: FileTensor, tensors: list[FileTensor]) -> tuple[int, ...]:
    """Indices of the constants before an operator's run-time operands, appended to tensors; all like its result."""
    start = len(tensors)
    for position, data in enumerate(code.leading):
        name = _suffixed(layer, f"{code.builtin.lower()}_leading{position}")
        tensors.append(FileTensor(name, data.shape, data.dtype, result.qparams, data))
    return tuple(range(start, len(tensors)))


def _zero_bias(layer: Layer, source: FileTensor, weights: FileTensor) -> FileTensor:
    """The bias a layer lacks: LiteRT's int8 CONV_2D demands one, its DEPTHWISE_CONV_2D reads it unasked."""
    axis = BY_NAME[layer.op].weight_axis
    assert axis is not None and source.qparams is not None and weights.qparams is not None
    scale = (source.qparams.scale.astype(np.float64) * weights.qparams.scale).astype(np.float32)
    zeros = np.zeros(weights.shape[axis], np.int32)
    qparams = QParams(scale, np.zeros(len(scale), np.int32), None if weights.qparams.axis is None else 0)
    return FileTensor(_suffixed(layer, "bias"), zeros.shape, zeros.dtype, qparams, zeros)


def _add_operands(layer: Layer, code: TfliteCode, source: FileTensor, tensors: list[FileTensor]) -> tuple[int, ...]:
    """Indices of an operator's other operands, −1 where absent; appended to tensors. source: its first input."""
    indices = []
    for position, operand in enumerate(code.operands):
        if operand is None:
            indices.append(ABSENT)
            continue
        name = _suffixed(layer, f"{code.builtin.lower()}_operand{position}")
        indices.append(len(tensors))
        if isinstance(operand, State):
            first = operand.initial
            tensors.append(FileTensor(name, first.shape, first.dtype, operand.qparams, is_state=True))
            continue
        # bounds to compare an activation with (MAXIMUM) are in its scale; axes, shapes and paddings have none
        qparams = source.qparams if operand.dtype == source.dtype else None
        tensors.append(FileTensor(name, operand.shape, operand.dtype, qparams, operand))
    return tuple(indices)


def _suffixed(layer: Layer, suffix: str) -> bytes:
    return f"{clean_name(layer.name)}/{suffix}".encode()


def _renamed(tensor: FileTensor, name: str) -> FileTensor:
    return FileTensor(name.encode(), tensor.shape, tensor.dtype, tensor.qparams, tensor.data, tensor.is_state)


def clean_name(name: str) -> str:
    """name as valid UTF-8 without NUL (C readers stop there), never empty; unpaired surrogates become '?'."""
    return name.encode("utf-8", "replace").decode().replace("\0", "?") or "unnamed"


def unique_names(names: Iterable[str]) -> list[str]:
    """Cleaned names, a repeated one followed by its position."""
    taken: set[str] = set()
    unique = []
    for position, name in enumerate(map(clean_name, names)):
        candidate = name
        while candidate in taken:
            candidate += f"_{position}"
        taken.add(candidate)
        unique.append(candidate)
    return unique


def serialize(model: FileModel) -> bytes:
    """The flatbuffer. Children are written before their parents, as the format demands."""
    builder = flatbuffers.Builder(1024)
    codes = _operator_codes(model)
    constants = [t for t in model.tensors if t.data is not None]
    buffers = [_buffer(builder, None), *(_buffer(builder, t.data) for t in constants)]
    buffer_of = {id(t): position for position, t in enumerate(constants, start=1)}
    tensors = [_tensor(builder, t, buffer_of.get(id(t), 0)) for t in model.tensors]
    operators = [_operator(builder, o, codes.index(_code_key(o.code))) for o in model.operators]
    subgraph = _subgraph(builder, model, _offsets(builder, tensors), _offsets(builder, operators))
    vectors = (
        _offsets(builder, [_operator_code(builder, *code) for code in codes]),
        _offsets(builder, [subgraph]),
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


def _operator_codes(model: FileModel) -> list[tuple[int, int]]:
    """(builtin code, version) of every kind of operator, in order of first use."""
    return list(dict.fromkeys(_code_key(operator.code) for operator in model.operators))


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
    getattr(tflite, f"{code.options}Start")(builder)
    for field, value in code.fields.items():
        getattr(tflite, f"{code.options}Add{field}")(builder, value)
    return int(getattr(tflite, f"{code.options}End")(builder))


def _subgraph(builder: Any, model: FileModel, tensors: int, operators: int) -> int:
    inputs = _numbers(builder, model.inputs, np.int32)
    outputs = _numbers(builder, model.outputs, np.int32)
    name = builder.CreateString("main")
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
