"""Program -> int8 .tflite file: the same integers in the format other tools read (TFLM, LiteRT, vela).

`lay_out` decides which tensors and operators the file has: tensor k is Value k of the program, the rest only the
file needs. Variables are read before the first layer and assigned behind the last one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from tinyptq.emit.tflite_file import RESOURCE, FileOperator, FilePart, FileTensor, serialize
from tinyptq.graph import QParams, Variable
from tinyptq.ops import BY_NAME
from tinyptq.ops.base import State, TfliteCode, Wire, in_file_order
from tinyptq.program import Layer, Program

ABSENT = -1  # index of an optional operand that is not there


def write_tflite_model(program: Program) -> bytes:
    """The bytes of the int8 .tflite; the same program gives the same bytes."""
    return serialize(lay_out(program))


def exported_tensor_indices(program: Program) -> dict[str, int]:
    """{value name: index of its tensor in the exported file}."""
    return {name: index for index, name in enumerate(program.values)}


def lay_out(program: Program) -> tuple[FilePart, ...]:
    """The model, and behind it what runs once and gives the variables their first values."""
    index = exported_tensor_indices(program)
    numbers = plain_values(program)
    tensors = [
        FileTensor(name.encode(), v.shape, v.dtype, None if v.name in numbers else v.qparams, v.data)
        for name, v in zip(unique_names(program.values), program.values.values(), strict=True)
    ]
    handles = _handles(program.variables, tensors)
    operators = _readings(program.variables, handles, index)
    for layer in program.layers:
        operators += _operators_of(layer, index, tensors)
    operators += [_assignment(h, index[v.after]) for h, v in zip(handles, program.variables, strict=True)]
    names = unique_names(t.name.decode() for t in tensors)
    model = FilePart(
        "main",
        tuple(_renamed(t, n) for t, n in zip(tensors, names, strict=True)),
        tuple(operators),
        tuple(index[name] for name in program.inputs),
        tuple(index[name] for name in program.outputs),
    )
    return (model, _first_values(program.variables)) if program.variables else (model,)


def plain_values(program: Program) -> set[str]:
    """Values that some operator takes or makes as numbers and not as steps of a scale."""
    plain = [layer for layer in program.layers if is_plain(layer)]
    return {name for layer in plain for name in (*layer.inputs, *layer.outputs)}


def is_plain(layer: Layer) -> bool:
    op = BY_NAME[layer.op]
    return op.write_steps is None and any(code.numbers for code in op.write_tflite(layer.params))


def _handles(variables: tuple[Variable, ...], tensors: list[FileTensor]) -> list[int]:
    """Indices of the variables' handles, appended to tensors."""
    start = len(tensors)
    names = unique_names(f"{variable.name}/handle" for variable in variables)
    tensors += [FileTensor(name.encode(), (), RESOURCE, None) for name in names]
    return list(range(start, len(tensors)))


def _readings(variables: tuple[Variable, ...], handles: list[int], index: Mapping[str, int]) -> list[FileOperator]:
    """The operators before the first layer."""
    if not variables:
        return []
    once = TfliteCode("CALL_ONCE", "CallOnceOptions", {"InitSubgraphIndex": 1})
    operators = [FileOperator(once, (), ()), *_namings(variables, handles)]
    reading = TfliteCode("READ_VARIABLE", "ReadVariableOptions")
    reads = [FileOperator(reading, (h,), (index[v.before],)) for h, v in zip(handles, variables, strict=True)]
    return [*operators, *reads]


def _namings(variables: tuple[Variable, ...], handles: list[int]) -> list[FileOperator]:
    """What makes the handles; a shared name is a variable."""
    shared = unique_names(variable.name for variable in variables)
    codes = [TfliteCode("VAR_HANDLE", "VarHandleOptions", {"Container": "", "SharedName": name}) for name in shared]
    return [FileOperator(code, (), (handle,)) for code, handle in zip(codes, handles, strict=True)]


def _assignment(handle: int, value: int) -> FileOperator:
    return FileOperator(TfliteCode("ASSIGN_VARIABLE", "AssignVariableOptions"), (handle, value), ())


def _first_values(variables: tuple[Variable, ...]) -> FilePart:
    """tflite-micro would begin with the zero point unasked; LiteRT reads no variable that was never assigned."""
    tensors: list[FileTensor] = []
    handles = _handles(variables, tensors)
    operators = _namings(variables, handles)
    for handle, variable in zip(handles, variables, strict=True):
        operators.append(_assignment(handle, len(tensors)))
        first = variable.initial
        tensors.append(FileTensor(f"first{handle}".encode(), first.shape, first.dtype, None, first))
    return FilePart("first_values", tuple(tensors), tuple(operators))


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
        FileOperator(_own_variable(layer, step.code), tuple(map(place, step.inputs)), tuple(map(place, step.outputs)))
        for step in write_steps(layer.params)
    ]


def _own_variable(layer: Layer, code: TfliteCode) -> TfliteCode:
    """Variables are the same when they share a name: a layer's own one bears the layer's."""
    if "SharedName" not in code.fields:
        return code
    name = _suffixed(layer, str(code.fields["SharedName"])).decode()
    return replace(code, fields={**code.fields, "SharedName": name})


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
    zeros = np.zeros(weights.shape[axis], np.int64 if source.dtype == np.int16 else np.int32)
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
