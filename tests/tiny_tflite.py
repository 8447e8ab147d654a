"""A .tflite writer of one screen for tests: one layer, float or int8, without asking the product's own writer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import flatbuffers
import numpy as np
import tflite

from tinyptq.graph import Array, QParams, Tensor
from tinyptq.ops.base import State, TfliteCode, TfliteOperator, in_file_order

TYPES = {
    np.dtype(np.float32): tflite.TensorType.FLOAT32,
    np.dtype(np.float16): tflite.TensorType.FLOAT16,
    np.dtype(np.int8): tflite.TensorType.INT8,
    np.dtype(np.int16): tflite.TensorType.INT16,
    np.dtype(np.int32): tflite.TensorType.INT32,
    np.dtype(np.int64): tflite.TensorType.INT64,
    np.dtype(np.uint8): tflite.TensorType.UINT8,
    np.dtype(np.bool_): tflite.TensorType.BOOL,
    np.dtype("V1"): tflite.TensorType.RESOURCE,
}
Wiring = list[tuple[TfliteCode, list[int], list[int]]]  # operators: what, input and output tensors


@dataclass(frozen=True, eq=False)
class Part:
    """One subgraph of a file; tensors by their index."""

    tensors: list[Tensor]
    wiring: Wiring
    inputs: list[int]
    outputs: list[int]


def write_layer(
    codes: tuple[TfliteCode, ...],
    inputs: tuple[Tensor, ...],
    outputs: tuple[Tensor, ...],
    order: tuple[int, ...] | None = None,
) -> bytes:
    """A model whose graph is one layer: codes in a chain, the last one writes outputs.

    inputs: all tensor operands in order; those with data become constants, the others graph inputs.
    order: Op.operand_order.
    """
    tensors = [replace(t, qparams=None) if codes[0].numbers else t for t in (*inputs, *outputs)]
    wiring: list[tuple[TfliteCode, list[int], list[int]]] = []
    operands = list(range(len(inputs)))
    results = list(range(len(inputs), len(tensors)))
    for code in codes:
        extra = _add_operands(code, tensors, inputs[0].dtype == np.float32)
        if code is codes[-1]:
            leading = range(len(tensors), len(tensors) + len(code.leading))
            pairs = zip(leading, code.leading, strict=True)
            tensors += [Tensor(f"leading{i}", a.shape, a.dtype, a, outputs[0].qparams) for i, a in pairs]
            wiring.append((code, [*leading, *in_file_order(order, tuple(operands), tuple(extra))], results))
            continue
        assert code.shape is not None
        first = tensors[operands[0]]
        dtype, qparams = (first.dtype, first.qparams) if code.dtype is None else (code.dtype, None)
        tensors.append(Tensor(f"between{len(tensors)}", code.shape, dtype, None, qparams))
        wiring.append((code, [operands[0], *extra], [len(tensors) - 1]))
        operands[0] = len(tensors) - 1
    run_time = [i for i, tensor in enumerate(inputs) if tensor.data is None]
    return model_bytes(tensors, wiring, run_time, results)


def _add_operands(code: TfliteCode, tensors: list[Tensor], is_float: bool) -> list[int]:
    """Indices of a code's own operands, appended to tensors: constants, variables named "state...", -1 where absent."""
    indices = []
    for operand in code.operands:
        indices.append(-1 if operand is None else len(tensors))
        if isinstance(operand, State):
            dtype, qparams = (np.dtype(np.float32), None) if is_float else (operand.initial.dtype, operand.qparams)
            tensors.append(Tensor(f"state{len(tensors)}", operand.initial.shape, dtype, None, qparams))
        elif operand is not None:
            scales = tensors[0].qparams if operand.dtype == tensors[0].dtype else None
            tensors.append(Tensor(f"operand{len(tensors)}", operand.shape, operand.dtype, operand, scales))
    return indices


def read_layer(model: bytes) -> TfliteOperator:
    """The only operator of a written model, as a frontend hands it to read_tflite."""
    graph = tflite.Model.GetRootAs(model).Subgraphs(0)
    assert graph.OperatorsLength() == 1
    operator, code = graph.Operators(0), tflite.Model.GetRootAs(model).OperatorCodes(0).BuiltinCode()
    names = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
    kinds = {v: k for k, v in vars(tflite.BuiltinOptions).items() if isinstance(v, int)}
    table, options = operator.BuiltinOptions(), None
    if table is not None:
        options = getattr(tflite, kinds[operator.BuiltinOptionsType()])()
        options.Init(table.Bytes, table.Pos)
    tensors = [_read_tensor(model, graph.Tensors(i)) for i in range(graph.TensorsLength())]
    places = [operator.Inputs(i) for i in range(operator.InputsLength())]
    inputs = tuple(None if place < 0 else tensors[place] for place in places)
    outputs = tuple(tensors[operator.Outputs(i)] for i in range(operator.OutputsLength()))
    return TfliteOperator(names[code], options, inputs, outputs)


def _read_tensor(model: bytes, entry: Any) -> Tensor:
    dtype = {v: k for k, v in TYPES.items()}[entry.Type()]
    shape = tuple(int(size) for size in entry.ShapeAsNumpy()) if entry.ShapeLength() else ()
    buffer = tflite.Model.GetRootAs(model).Buffers(entry.Buffer())
    data = buffer.DataAsNumpy().view(dtype).reshape(shape) if buffer.DataLength() else None
    quantization, qparams = entry.Quantization(), None
    if quantization is not None:
        scale, zero_point = quantization.ScaleAsNumpy(), quantization.ZeroPointAsNumpy()
        axis = int(quantization.QuantizedDimension()) if len(scale) > 1 else None
        qparams = QParams(scale, zero_point.astype(np.int32), axis)
    return Tensor(entry.Name().decode(), shape, dtype, data, qparams)


def model_bytes(tensors: list[Tensor], wiring: list[Any], inputs: list[int], outputs: list[int]) -> bytes:
    return parts_bytes([Part(tensors, wiring, inputs, outputs)])


def parts_bytes(parts: list[Part]) -> bytes:
    """A file of several subgraphs; the first is the model."""
    b = flatbuffers.Builder(4096)
    tensors = [tensor for part in parts for tensor in part.tensors]
    buffers = [_buffer(b, None), *(_buffer(b, t.data) for t in tensors)]
    subgraphs, first = [], 1
    all_codes = [code for part in parts for code, _, _ in part.wiring]
    codes = [_operator_code(b, code) for code in all_codes]
    for part in parts:
        subgraphs.append(_subgraph(b, part, first, all_codes))
        first += len(part.tensors)
    subgraph_vector = _offsets(b, subgraphs)
    code_vector, buffer_vector = _offsets(b, codes), _offsets(b, buffers)
    tflite.ModelStart(b)
    tflite.ModelAddVersion(b, 3)
    tflite.ModelAddOperatorCodes(b, code_vector)
    tflite.ModelAddSubgraphs(b, subgraph_vector)
    tflite.ModelAddBuffers(b, buffer_vector)
    b.Finish(tflite.ModelEnd(b), b"TFL3")
    return bytes(b.Output())


def _subgraph(b: Any, part: Part, first_buffer: int, codes: list[TfliteCode]) -> int:
    entries = [_tensor(b, t, first_buffer + i) for i, t in enumerate(part.tensors)]
    numbers = {id(code): i for i, code in enumerate(codes)}
    operators = [_operator(b, code, numbers[id(code)], ins, outs) for code, ins, outs in part.wiring]
    tensor_vector, operator_vector = _offsets(b, entries), _offsets(b, operators)
    input_vector, output_vector = _ints(b, part.inputs), _ints(b, part.outputs)
    tflite.SubGraphStart(b)
    tflite.SubGraphAddTensors(b, tensor_vector)
    tflite.SubGraphAddInputs(b, input_vector)
    tflite.SubGraphAddOutputs(b, output_vector)
    tflite.SubGraphAddOperators(b, operator_vector)
    return int(tflite.SubGraphEnd(b))


def _offsets(b: Any, items: list[int]) -> int:
    b.StartVector(4, len(items), 4)
    for item in reversed(items):
        b.PrependUOffsetTRelative(item)
    return int(b.EndVector())


def _ints(b: Any, items: Any) -> int:
    return int(b.CreateNumpyVector(np.asarray(items, np.int32)))


def _buffer(b: Any, data: Array | None) -> int:
    vector = None
    if data is not None:
        raw = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
        b.StartVector(1, len(raw), 16)
        b.head -= len(raw)
        b.Bytes[b.head : b.head + len(raw)] = raw.tobytes()
        vector = b.EndVector()
    tflite.BufferStart(b)
    if vector is not None:
        tflite.BufferAddData(b, vector)
    return int(tflite.BufferEnd(b))


def _tensor(b: Any, tensor: Tensor, buffer: int) -> int:
    """A tensor called "open..." leaves its first size to the run; what is declared there is a placeholder."""
    name, shape = b.CreateString(tensor.name), _ints(b, tensor.shape)
    signature = _ints(b, (-1, *tensor.shape[1:])) if tensor.name.startswith("open") else None
    quantization = None
    if tensor.qparams is not None:
        scale = b.CreateNumpyVector(tensor.qparams.scale.astype(np.float32))
        zero_point = b.CreateNumpyVector(tensor.qparams.zero_point.astype(np.int64))
        tflite.QuantizationParametersStart(b)
        tflite.QuantizationParametersAddScale(b, scale)
        tflite.QuantizationParametersAddZeroPoint(b, zero_point)
        tflite.QuantizationParametersAddQuantizedDimension(b, tensor.qparams.axis or 0)
        quantization = tflite.QuantizationParametersEnd(b)
    tflite.TensorStart(b)
    tflite.TensorAddShape(b, shape)
    tflite.TensorAddType(b, TYPES[tensor.dtype])
    tflite.TensorAddBuffer(b, buffer)
    tflite.TensorAddName(b, name)
    if signature is not None:
        tflite.TensorAddShapeSignature(b, signature)
    tflite.TensorAddIsVariable(b, tensor.name.startswith("state"))
    if quantization is not None:
        tflite.TensorAddQuantization(b, quantization)
    return int(tflite.TensorEnd(b))


def _operator_code(b: Any, code: TfliteCode) -> int:
    number = getattr(tflite.BuiltinOperator, code.builtin)
    tflite.OperatorCodeStart(b)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(b, min(number, 127))
    tflite.OperatorCodeAddBuiltinCode(b, number)
    tflite.OperatorCodeAddVersion(b, code.version)
    return int(tflite.OperatorCodeEnd(b))


def _operator(b: Any, code: TfliteCode, index: int, inputs: list[int], outputs: list[int]) -> int:
    input_vector, output_vector = _ints(b, inputs), _ints(b, outputs)
    options = None
    if code.options is not None:
        texts = {f: b.CreateString(v) for f, v in code.fields.items() if isinstance(v, str)}
        getattr(tflite, f"{code.options}Start")(b)
        for field, value in {**code.fields, **texts}.items():
            getattr(tflite, f"{code.options}Add{field}")(b, value)
        options = getattr(tflite, f"{code.options}End")(b)
    tflite.OperatorStart(b)
    tflite.OperatorAddOpcodeIndex(b, index)
    tflite.OperatorAddInputs(b, input_vector)
    tflite.OperatorAddOutputs(b, output_vector)
    if code.options is not None:
        tflite.OperatorAddBuiltinOptionsType(b, getattr(tflite.BuiltinOptions, code.options))
        tflite.OperatorAddBuiltinOptions(b, options)
    return int(tflite.OperatorEnd(b))
