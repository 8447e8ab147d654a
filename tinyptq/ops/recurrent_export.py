"""What the exports of GRU and simple RNN share: 16-bit products of the whole sequence, the state, the results.

Generators yield TFLite operators in the order in which they run, and return the tensors that others go on with.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array, QParams, Shape, Tensor
from tinyptq.ops.base import TfliteCode, TfliteStep, Wire
from tinyptq.ops.recurrent16 import HIDDEN_POWER, INPUT_BITS

INT16 = np.dtype(np.int16)
RESOURCE = np.dtype("V1")  # a handle: NumPy has no such type
ADD = TfliteCode("ADD", "AddOptions", version=2)
SUB = TfliteCode("SUB", "SubOptions", version=2)
MUL = TfliteCode("MUL", "MulOptions", version=2)
QUANTIZE = TfliteCode("QUANTIZE", version=2)
LOGISTIC = TfliteCode("LOGISTIC", version=2)
TANH = TfliteCode("TANH", version=2)
PRODUCT = TfliteCode("FULLY_CONNECTED", "FullyConnectedOptions", {"KeepNumDims": True}, version=7)
HANDLE = TfliteCode("VAR_HANDLE", "VarHandleOptions", {"Container": "", "SharedName": "hidden"})
READ = TfliteCode("READ_VARIABLE", "ReadVariableOptions")
ASSIGN = TfliteCode("ASSIGN_VARIABLE", "AssignVariableOptions")
Steps = Generator[TfliteStep, None, list[list[Wire]]]
Remember = Callable[[Wire], Iterator[TfliteStep]]


@dataclass(frozen=True)
class Sequence16:
    """An int8 input [1, steps, depth] of that scale, and gates of scale 2^power before their function."""

    input_shape: Shape
    input_scale: float
    power: int
    units: int

    def gate(self, name: str, steps: int = 1) -> Tensor:
        """A gate before its function."""
        return tensor(name, (1, steps, self.units), 2.0**self.power)


def tensor(name: str, shape: Shape, scale: float, data: Array | None = None) -> Tensor:
    return Tensor(name, shape, INT16, data, QParams.per_tensor(scale))


def state_tensor(units: int, name: str, data: Array | None = None) -> Tensor:
    """A hidden state, or a gate behind its function."""
    return tensor(name, (1, 1, units), 2.0**HIDDEN_POWER, data)


def steps_of(sequence: Sequence16, gates: int, weights: int, biases: int) -> Steps:
    """What the input adds to each gate, step by step. weights, biases: where the layer's own begin."""
    steps = sequence.input_shape[1]
    wide = tensor("wide", sequence.input_shape, sequence.input_scale / 2.0**INPUT_BITS)
    yield TfliteStep(QUANTIZE, (0,), (wide,))
    axis = Tensor("axis", (), np.dtype(np.int32), np.array(1, np.int32))
    split = TfliteCode("SPLIT", "SplitOptions", {"NumSplits": steps})
    seen: list[list[Wire]] = []
    for gate in range(gates):
        whole = sequence.gate(f"seen{gate}", steps)
        yield TfliteStep(PRODUCT, (wide, weights + gate, biases + gate), (whole,))
        rows: list[Wire] = [sequence.gate(f"seen{gate}_{t}") for t in range(steps)]
        yield TfliteStep(split, (axis, whole), tuple(rows))
        seen.append(rows)
    return seen


def memory(units: int, stateful: bool) -> Generator[TfliteStep, None, tuple[Wire, Remember]]:
    """(the hidden state before the first step, what keeps the last one). A state that outlives the run is a variable;
    TFLite Micro's begin with their zero point, which is 0.
    """
    zeros = np.zeros((1, 1, units), np.int16)
    hidden, handle = state_tensor(units, "before", None if stateful else zeros), Tensor("handle", (), RESOURCE)
    if stateful:
        yield TfliteStep(HANDLE, (), (handle,))
        yield TfliteStep(READ, (handle,), (hidden,))

    def remember(last: Wire) -> Iterator[TfliteStep]:
        if stateful:
            yield TfliteStep(ASSIGN, (handle, last), ())

    return hidden, remember


def results(states: list[Wire], qparams: QParams, output: int) -> Iterator[TfliteStep]:
    """Hidden states as int8, one behind another. output: the layer's own tensor."""
    assert isinstance(states[0], Tensor)
    steps, units, int8 = len(states), states[0].shape[2], np.dtype(np.int8)
    narrow = [Tensor(f"result_{t}", (1, 1, units), int8, None, qparams) for t in range(steps)]
    for state, result in zip(states, narrow, strict=True):
        yield TfliteStep(QUANTIZE, (state,), (result,))
    packed = Tensor("packed", (1, steps, 1, units), int8, None, qparams)
    pack = TfliteCode("PACK", "PackOptions", {"ValuesCount": steps, "Axis": 1})
    yield TfliteStep(pack, tuple(narrow), (packed,))
    shape = Tensor("shape", (3,), np.dtype(np.int32), np.array((1, steps, units), np.int32))
    yield TfliteStep(TfliteCode("RESHAPE", "ReshapeOptions"), (packed, shape), (output,))
