"""A GRU as TFLite operators, one set of them per time step: what `gru_arithmetic` computes, spelled out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinyptq.graph import Array, QParams, Shape, Tensor
from tinyptq.ops.base import TfliteCode, TfliteStep, Wire
from tinyptq.ops.gru_arithmetic import CANDIDATE, HIDDEN_POWER, INPUT_BITS, ONE, RESET, UPDATE, GruInt8

INT16 = np.dtype(np.int16)
RESOURCE = np.dtype("V1")  # a handle: NumPy has no such type
INPUT, WEIGHTS, RECURRENT, BIAS, RECURRENT_BIAS, OUTPUT = 0, 1, 4, 7, 10, 13  # a layer's own tensors, a gate each
ADD = TfliteCode("ADD", "AddOptions", version=2)
SUB = TfliteCode("SUB", "SubOptions", version=2)
MUL = TfliteCode("MUL", "MulOptions", version=2)
QUANTIZE = TfliteCode("QUANTIZE", version=2)
LOGISTIC = TfliteCode("LOGISTIC", version=2)
TANH = TfliteCode("TANH", version=2)
HANDLE = TfliteCode("VAR_HANDLE", "VarHandleOptions", {"Container": "", "SharedName": "hidden"})
PRODUCT = TfliteCode("FULLY_CONNECTED", "FullyConnectedOptions", {"KeepNumDims": True}, version=7)


def write_steps(params: GruInt8) -> Iterator[TfliteStep]:
    """The operators in the order in which they run. Tensors that one step names twice are the same.

    A hidden state that outlives the run is a variable; TFLite Micro's begin with their zero point, which is 0.
    """
    wide = tensor("wide", params.input_shape, params.input_scale / 2.0**INPUT_BITS)
    yield TfliteStep(QUANTIZE, (INPUT,), (wide,))
    seen: list[list[Wire]] = []
    for gate in (UPDATE, RESET, CANDIDATE):
        whole = gate_tensor(params, f"seen{gate}", params.steps)
        yield TfliteStep(PRODUCT, (wide, WEIGHTS + gate, BIAS + gate), (whole,))
        rows = [gate_tensor(params, f"seen{gate}_{t}") for t in range(params.steps)]
        axis = Tensor("axis", (), np.dtype(np.int32), np.array(1, np.int32))
        yield TfliteStep(TfliteCode("SPLIT", "SplitOptions", {"NumSplits": params.steps}), (axis, whole), tuple(rows))
        seen.append(list(rows))
    hidden = state_tensor(params, "before", None if params.stateful else np.zeros((1, 1, params.units), np.int16))
    handle = Tensor("handle", (), RESOURCE)
    if params.stateful:
        yield TfliteStep(HANDLE, (), (handle,))
        yield TfliteStep(TfliteCode("READ_VARIABLE", "ReadVariableOptions"), (handle,), (hidden,))
    results: list[Wire] = []
    for t in range(params.steps):
        hidden_after = state_tensor(params, f"hidden_{t}")
        yield from one_step(params, t, [gate[t] for gate in seen], hidden, hidden_after)
        hidden = hidden_after
        result = Tensor(f"result_{t}", (1, 1, params.units), np.dtype(np.int8), None, params.output_qparams)
        yield TfliteStep(QUANTIZE, (hidden,), (result,))
        results.append(result)
    if params.stateful:
        yield TfliteStep(TfliteCode("ASSIGN_VARIABLE", "AssignVariableOptions"), (handle, hidden), ())
    yield from joined(params, results)


def one_step(params: GruInt8, t: int, seen: list[Wire], hidden: Wire, after: Wire) -> Iterator[TfliteStep]:
    def gate(name: str) -> Tensor:
        return gate_tensor(params, f"{name}_{t}")

    def state(name: str) -> Tensor:
        return state_tensor(params, f"{name}_{t}")

    def remembered(index: int, source: Wire) -> tuple[TfliteStep, Tensor]:
        result = gate(f"remembered{index}")
        return TfliteStep(PRODUCT, (source, RECURRENT + index, RECURRENT_BIAS + index), (result,)), result

    squashed = []
    for index, name in ((UPDATE, "update"), (RESET, "reset")):
        step, product = remembered(index, hidden)
        yield step
        yield TfliteStep(ADD, (seen[index], product), (gate(f"{name}_sum"),))
        yield TfliteStep(LOGISTIC, (gate(f"{name}_sum"),), (state(name),))
        squashed.append(state(name))
    update, reset = squashed
    if params.reset_after:
        step, product = remembered(CANDIDATE, hidden)
        yield step
        yield TfliteStep(MUL, (reset, product), (gate("kept"),))
        inner = gate("kept")
    else:
        yield TfliteStep(MUL, (reset, hidden), (state("kept"),))
        step, inner = remembered(CANDIDATE, state("kept"))
        yield step
    yield TfliteStep(ADD, (seen[CANDIDATE], inner), (gate("candidate_sum"),))
    yield TfliteStep(TANH, (gate("candidate_sum"),), (state("candidate"),))
    one = tensor("one", (1, 1, 1), 2.0 ** (HIDDEN_POWER + 1), np.full((1, 1, 1), ONE // 2, np.int16))
    yield TfliteStep(SUB, (one, update), (state("rest"),))
    yield TfliteStep(MUL, (update, hidden), (state("old"),))
    yield TfliteStep(MUL, (state("rest"), state("candidate")), (state("fresh"),))
    yield TfliteStep(ADD, (state("old"), state("fresh")), (after,))


def joined(params: GruInt8, results: list[Wire]) -> Iterator[TfliteStep]:
    """The outputs of all steps, one behind another."""
    stacked = Tensor("stacked", (1, params.steps, 1, params.units), np.dtype(np.int8), None, params.output_qparams)
    pack = TfliteCode("PACK", "PackOptions", {"ValuesCount": params.steps, "Axis": 1})
    yield TfliteStep(pack, tuple(results), (stacked,))
    shape = Tensor("shape", (3,), np.dtype(np.int32), np.array(params.output_shape, np.int32))
    yield TfliteStep(TfliteCode("RESHAPE", "ReshapeOptions"), (stacked, shape), (OUTPUT,))


def tensor(name: str, shape: Shape, scale: float, data: Array | None = None) -> Tensor:
    return Tensor(name, shape, INT16, data, QParams.per_tensor(scale))


def gate_tensor(params: GruInt8, name: str, steps: int = 1) -> Tensor:
    """A gate before its function."""
    return tensor(name, (1, steps, params.units), 2.0**params.power)


def state_tensor(params: GruInt8, name: str, data: Any = None) -> Tensor:
    """A hidden state or a gate."""
    return tensor(name, (1, 1, params.units), 2.0**HIDDEN_POWER, data)
