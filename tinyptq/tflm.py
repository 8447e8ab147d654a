"""The integer oracle: the tflite-micro interpreter, every intermediate tensor.

An optional dependency (the `verify` extra). What it computes on an exported model must equal the simulator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tflite

from tinyptq.emit.ports import remembers
from tinyptq.emit.tflite import exported_tensor_indices, write_tflite_model
from tinyptq.errors import TinyptqError
from tinyptq.frontend.tflite_tensors import unique
from tinyptq.graph import Array
from tinyptq.program import Program

INSTALL = "pip install 'tinyptq[verify]', on Linux x86-64"
PLANNED = 1024  # Source: GreedyMemoryPlanner of the Python interpreter
ARENA_FLOOR = 1 << 20
ARENA_LIMIT = 1 << 30


def run_tflm(model: bytes, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """{tensor name: array [n, ...]} of every activation of an int8 .tflite; names as our own import gives them.

    inputs: by tensor name, [n, ...] with the sample's shape after axis 0.
    """
    graph = tflite.Model.GetRootAs(model, 0).Subgraphs(0)
    raw_names = [graph.Tensors(i).Name() or b"" for i in range(graph.TensorsLength())]
    names = unique(name.decode("utf-8", "replace") for name in raw_names)
    wanted = _activations(graph)
    arrays = [inputs[names[graph.Inputs(i)]] for i in range(graph.InputsLength())]
    return dict(zip((names[i] for i in wanted), run_tensors(model, arrays, wanted), strict=True))


def run_program(program: Program, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """{value name: array [n, ...]} of the program's inputs and every layer's outputs, computed by TFLM."""
    return run_exported(program, write_tflite_model(program), inputs)


def run_exported(program: Program, model: bytes, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """run_program on the bytes of a file that was exported from program earlier."""
    index = exported_tensor_indices(program)
    wanted = [*program.inputs, *(name for layer in program.layers for name in layer.outputs)]
    arrays = [inputs[name] for name in program.inputs]
    tensors = run_tensors(model, arrays, [index[name] for name in wanted], fresh=not remembers(program))
    return dict(zip(wanted, tensors, strict=True))


def run_tensors(model: bytes, inputs: Sequence[Array], wanted: Sequence[int], fresh: bool = False) -> list[Array]:
    """Tensors `wanted` (indices in the file) as [n, ...] arrays; inputs in the file's order.

    The samples are consecutive runs of one interpreter; fresh: its variables are reset before each.
    """
    interpreter = _interpreter(model)
    count = len(inputs[0]) if inputs else 1
    collected: list[list[Array]] = [[] for _ in wanted]
    for sample in range(count):
        if fresh:
            interpreter.reset()
        for position, array in enumerate(inputs):
            interpreter.set_input(np.ascontiguousarray(array[sample : sample + 1]), position)
        interpreter.invoke()
        for index, tensors in zip(wanted, collected, strict=True):
            tensors.append(np.atleast_1d(interpreter.GetTensor(index, 0)["tensor_data"]).copy())
    # the tensors of the file carry batch 1 first, but for single numbers without an axis
    return [np.concatenate(tensors) if tensors else np.zeros(0, np.int8) for tensors in collected]


def _activations(graph: Any) -> list[int]:
    """Tensor indices of the inputs and of every operator's outputs, in order; handles of variables hold no numbers."""
    indices = [graph.Inputs(i) for i in range(graph.InputsLength())]
    for position in range(graph.OperatorsLength()):
        operator = graph.Operators(position)
        indices += [operator.Outputs(i) for i in range(operator.OutputsLength())]
    numbers = (i for i in indices if graph.Tensors(i).Type() != tflite.TensorType.RESOURCE)
    return list(dict.fromkeys(numbers))


def _interpreter(model: bytes) -> Any:
    """An interpreter that keeps all tensors; the arena grows until the model fits."""
    runtime = _runtime()
    _require_planned(model)
    size = max(ARENA_FLOOR, 4 * _tensor_bytes(model))
    while size <= ARENA_LIMIT:
        try:
            return runtime.Interpreter.from_bytes(
                model, arena_size=size, intrepreter_config=runtime.InterpreterConfig.kPreserveAllTensors
            )
        except RuntimeError as error:
            refusal = str(error)
            size *= 4
    raise TinyptqError("tflm-refused", f"the tflite-micro interpreter does not load the model: {refusal}")


def _require_planned(model: bytes) -> None:
    """The interpreter's memory planner has a fixed table; beyond it, no arena is large enough."""
    file = tflite.Model.GetRootAs(model, 0)
    tensors = (file.Subgraphs(0).Tensors(i) for i in range(file.Subgraphs(0).TensorsLength()))
    count = sum(not (t.IsVariable() or file.Buffers(t.Buffer()).DataLength()) for t in tensors)
    if count > PLANNED:
        raise TinyptqError(
            "tflm-refused",
            f"tflite-micro's interpreter plans at most {PLANNED} tensors, the model has {count} that are no constants: "
            "recurrent layers it has no kernel for are spelled out step by step",
            hint="verify without --against tflm, which compares firmware and simulator; or build it with fewer steps",
        )


def _tensor_bytes(model: bytes) -> int:
    """Bytes of all tensors together, an upper bound for what must be kept (4 bytes per element)."""
    graph = tflite.Model.GetRootAs(model, 0).Subgraphs(0)
    shapes = (np.atleast_1d(graph.Tensors(i).ShapeAsNumpy()) for i in range(graph.TensorsLength()))
    return sum(4 * int(np.prod(shape, dtype=np.int64)) for shape in shapes)


def _runtime() -> Any:
    try:
        from tflite_micro import runtime
    except ImportError as error:
        raise TinyptqError("no-tflm", "tflite-micro is not installed", hint=INSTALL) from error
    return runtime
