"""Keras' LSTM: one node over the whole sequence, and the last step of its output when that is all Keras returns.

Keras' weights are kernel [depth, 4 · units], recurrent_kernel [units, 4 · units] and bias [4 · units], gates in the
order input, forget, cell, output; ours are one matrix [units, depth] per gate, as TFLite has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tinyptq.frontend.keras_archive import ZIP, Store, child
from tinyptq.frontend.keras_builder import Call, Value
from tinyptq.frontend.keras_config import integers
from tinyptq.graph import Array, Shape
from tinyptq.ops.strided_slice import StridedSlice
from tinyptq.ops.unidirectional_sequence_lstm import UnidirectionalSequenceLstm

LIMITS: Mapping[str, tuple[Any, ...]] = {
    "activation": ("tanh",),
    "recurrent_activation": ("sigmoid",),
    "go_backwards": (False, None),
    "return_state": (False, None),
    "stateful": (False, None),
    "time_major": (False, None),
}
LSTM_GATES = 4


def lstm(call: Call) -> Value:
    x = call.ranked(3)
    (units,) = integers(call.config, "units", 1)
    kernel, recurrent, bias = gate_arrays(call, x.shape[-1], units, LSTM_GATES)
    names = [
        call.constant(f"{role}_{gate}", array)
        for role, arrays in (("kernel", kernel), ("recurrent_kernel", recurrent), ("bias", bias))
        for gate, array in enumerate(arrays)
    ]
    return whole_or_last(call, "unidirectional_sequence_lstm", UnidirectionalSequenceLstm(), (call.plain(x), *names))


def gate_arrays(call: Call, depth: int, units: int, gates: int) -> tuple[list[Array], list[Array], list[Array]]:
    """Per gate its kernel [units, depth], its recurrent kernel [units, units], its bias [units], zeros when absent."""
    shapes: dict[str, Shape | None] = {"kernel": (depth, gates * units), "recurrent": (units, gates * units)}
    if call.config.get("use_bias", True):
        shapes["bias"] = (gates * units,)
    arrays = replace(call, store=cell_store(call.store)).weights(shapes)
    bias = arrays.get("bias", np.zeros(gates * units, np.float32))
    kernels, recurrent = (np.split(arrays[role].T, gates) for role in ("kernel", "recurrent"))
    return kernels, recurrent, np.split(bias, gates)


def cell_store(store: Store) -> Store:
    """In a .keras file the weights of a recurrent layer are those of its cell."""
    return replace(store, group=child(store.group, "cell")) if store.layout == ZIP and store.group else store


def whole_or_last(call: Call, op: str, attrs: Any, inputs: tuple[str, ...]) -> Value:
    """The node's output [1, steps, units], or its last step [1, units] when Keras returns no sequences."""
    if call.config.get("return_sequences", False):
        return call.whole(call.emit(op, attrs, inputs))
    sequence = call.emit(op, attrs, inputs, "sequence")
    _, steps, units = call.builder.tensors[sequence].shape
    last = StridedSlice(begin=(0, steps - 1, 0), step=(1, 1, 1), count=(1, 1, units), shape=(1, units))
    return call.whole(call.emit("strided_slice", last, (sequence,)))
