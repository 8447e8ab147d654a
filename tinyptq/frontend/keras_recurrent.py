"""Keras' recurrent layers: LSTM, GRU, SimpleRNN, RNN of one of their cells, Bidirectional.

A layer becomes one node over the whole sequence, and the last step of its output where that is all Keras returns.
Keras' weights are kernel [depth, gates · units], recurrent_kernel [units, gates · units] and bias [gates · units]
(of a GRU with reset_after: [2, gates · units], the second row belongs to the recurrent kernel); ours are one matrix
[units, depth] per gate. Backwards means: the reversed sequence, forwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.frontend.keras_archive import ZIP, Store, child
from tinyptq.frontend.keras_builder import NOT_COMPUTED, Call, Value
from tinyptq.frontend.keras_config import bad_config, entry, integers, text
from tinyptq.graph import Array, Shape
from tinyptq.ops.activation import NONE
from tinyptq.ops.add import Add
from tinyptq.ops.concatenation import Concatenation
from tinyptq.ops.gru import Gru
from tinyptq.ops.mul import Mul
from tinyptq.ops.reverse_v2 import ReverseV2
from tinyptq.ops.simple_rnn import SimpleRnn
from tinyptq.ops.strided_slice import StridedSlice
from tinyptq.ops.unidirectional_sequence_lstm import UnidirectionalSequenceLstm

LIMITS: Mapping[str, tuple[Any, ...]] = {
    "activation": ("tanh",),
    "recurrent_activation": ("sigmoid",),
    "time_major": (False, None),
}
MERGE_MODES = ("concat", "sum", "mul", "ave", None)
BACKWARDS = ReverseV2((1,))
CELLS = {"LSTMCell": "LSTM", "GRUCell": "GRU", "SimpleRNNCell": "SimpleRNN"}
Inner = tuple[str, Mapping[str, Any]]  # class name and configuration of a layer inside another


@dataclass(frozen=True)
class Kind:
    """What a layer becomes. gates: of its weights. attrs: configuration -> the operator's attributes."""

    op: str
    gates: int
    attrs: Callable[[Mapping[str, Any]], Any]


def is_stateful(config: Mapping[str, Any]) -> bool:
    return bool(config.get("stateful", False))


def resets_after(config: Mapping[str, Any]) -> bool:
    """False in files from before Keras knew the option."""
    return bool(config.get("reset_after", False))


KINDS = {
    "LSTM": Kind("unidirectional_sequence_lstm", 4, lambda config: UnidirectionalSequenceLstm(is_stateful(config))),
    "GRU": Kind("gru", 3, lambda config: Gru(resets_after(config), is_stateful(config))),
    "SimpleRNN": Kind("simple_rnn", 1, lambda config: SimpleRnn(is_stateful(config))),
}


def recurrent(call: Call) -> tuple[Value, ...]:
    """The output; with return_state the last hidden state too, and an LSTM's cell state, which nothing may read."""
    kind = KINDS[call.class_name]
    sequence = hidden_states(call, kind)
    output = sequence if call.config.get("return_sequences", False) else last_step(call, sequence)
    if not call.config.get("return_state", False):
        return (output,)
    state = output if output is not sequence else last_step(call, sequence, "state")
    cells = (Value(NOT_COMPUTED, state.shape),) if call.class_name == "LSTM" else ()
    return (output, state, *cells)


def hidden_states(call: Call, kind: Kind) -> Value:
    """[1, steps, units] in the order in which the layer computes them."""
    if len(call.inputs) > 1:
        raise TinyptqError("unsupported", "an initial state is given", hint="only layers that begin with zeros work")
    call.require_all_steps()
    x = call.ranked(3)
    (units,) = integers(call.config, "units", 1)
    names = weight_names(call, x.shape[-1], units, kind)
    source = call.plain(x)
    if call.config.get("go_backwards", False):
        source = call.emit("reverse_v2", BACKWARDS, (source,), "reversed")
    return call.whole(call.emit(kind.op, kind.attrs(call.config), (source, *names), "sequence"))


def weight_names(call: Call, depth: int, units: int, kind: Kind) -> Iterator[str]:
    """The operator's constants: per gate kernel and recurrent kernel, then one bias or two."""
    wide = kind.gates * units
    double = call.class_name == "GRU" and resets_after(call.config)
    shapes: dict[str, Shape | None] = {"kernel": (depth, wide), "recurrent_kernel": (units, wide)}
    if call.config.get("use_bias", True):
        shapes["bias"] = (2, wide) if double else (wide,)
    arrays = replace(call, store=cell_store(call.store)).weights(shapes)
    given, absent = arrays.pop("bias", np.zeros(0, np.float32)).reshape(-1, wide), np.zeros((2, wide), np.float32)
    bias = np.concatenate([given, absent])[:2]
    roles: dict[str, Array] = {**{role: array.T for role, array in arrays.items()}, "bias": bias[0]}
    if kind.op == "gru":
        roles["recurrent_bias"] = bias[1]
    for role, array in roles.items():
        for gate, part in enumerate(np.split(array, kind.gates)):
            yield call.constant(f"{role}_{gate}", part)


def cell_store(store: Store) -> Store:
    """In a .keras file the weights of a recurrent layer are those of its cell."""
    return inside(store, "cell") if store.layout == ZIP else store


def inside(store: Store, part: str) -> Store:
    """In a .keras file: the weights of a layer that another one owns under the name part."""
    return replace(store, group=child(store.group, part)) if store.group is not None else store


def last_step(call: Call, sequence: Value, part: str = "") -> Value:
    """[1, units] of [1, steps, units]."""
    _, steps, units = sequence.shape
    last = StridedSlice(begin=(0, steps - 1, 0), step=(1, 1, 1), count=(1, 1, units), shape=(1, units))
    return call.whole(call.emit("strided_slice", last, (sequence.name,), part))


def rnn_layer(config: Mapping[str, Any]) -> Inner:
    """The layer that an RNN of one cell is."""
    cell = entry(config, "cell")
    name = text(cell, "class_name", "")
    flags = {key: value for key, value in config.items() if key not in ("cell", "name")}
    return CELLS.get(name, name), {**flags, **entry(cell, "config")}


def rnn(call: Call) -> tuple[Value, ...]:
    class_name, config = rnn_layer(call.config)
    return recurrent(replace(call, class_name=class_name, config=config))


# Bidirectional: two layers, one of them backwards.


def directions(config: Mapping[str, Any]) -> tuple[Inner, Inner]:
    """The two layers inside; a file without backward_layer means the same one, the other way round."""
    forward, backward = (without_wrapper(inner_layer(config, key)) for key in ("layer", "backward_layer"))
    opposite = {**forward[1], "go_backwards": not forward[1].get("go_backwards", False)}
    return forward, backward if backward[0] else (forward[0], opposite)


def without_wrapper(layer: Inner) -> Inner:
    """The layer that an RNN of a cell is; any other as it is."""
    return rnn_layer(layer[1]) if layer[0] == "RNN" else layer


def inner_layer(config: Mapping[str, Any], key: str) -> Inner:
    layer = entry(config, key)
    return text(layer, "class_name", ""), entry(layer, "config")


def bidirectional(call: Call) -> tuple[Value, ...]:
    layers = directions(call.config)
    parts = ("forward_layer", "backward_layer")
    count = 3 if layers[0][1].get("use_bias", True) else 2
    first = call.store.first
    flat = (replace(call.store, first=first, count=count), replace(call.store, first=first + count))
    results = []
    for part, (class_name, config), own in zip(parts, layers, flat, strict=True):
        store = inside(call.store, part) if call.store.layout == ZIP else own
        inner = replace(call, path=f"{call.path}/{part}", class_name=class_name, config=config, store=store)
        output, *states = recurrent(inner)
        if config.get("return_sequences", False) and config.get("go_backwards", False):
            output = call.whole(call.emit("reverse_v2", BACKWARDS, (output.name,), f"{part}/restored"))
        results.append((output, states))
    (forward, states), (backward, more) = results
    return (*merged(call, forward, backward), *states, *more)


def merged(call: Call, forward: Value, backward: Value) -> tuple[Value, ...]:
    mode, names = call.config.get("merge_mode", "concat"), (forward.name, backward.name)
    if mode is None:
        return forward, backward
    if mode != "concat" and forward.shape != backward.shape:
        raise bad_config(f"merge_mode={mode!r} of the shapes {forward.shape} and {backward.shape}")
    if mode == "concat":
        return (call.whole(call.emit("concatenation", Concatenation(len(forward.shape) - 1, NONE), names)),)
    if mode == "mul":
        return (call.whole(call.emit("mul", Mul(NONE), names)),)
    total = call.emit("add", Add(NONE), names, "" if mode == "sum" else "sum")
    if mode == "sum":
        return (call.whole(total),)
    return (call.whole(call.emit("mul", Mul(NONE), (total, call.constant("share", np.array([0.5]))))),)
