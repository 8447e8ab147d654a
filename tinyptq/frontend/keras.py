"""Keras models (`.keras` of Keras 3, `.h5` of Keras 2 and 3) into a Graph, without Keras or TensorFlow.

Reading order: `keras_archive` opens the container, `keras_config` reads the JSON into specifications,
`keras_layers` and `keras_shapes` say what each layer becomes, and this file wires them together.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from tinyptq.errors import TinyptqError
from tinyptq.frontend.keras_archive import Store, layer_stores, open_archive
from tinyptq.frontend.keras_builder import NOT_COMPUTED, Builder, Call, Value
from tinyptq.frontend.keras_config import (
    MAX_LAYERS,
    MODEL_CLASSES,
    LayerSpec,
    ModelSpec,
    Ref,
    bad_config,
    batch_shape,
    read_model,
)
from tinyptq.frontend.keras_layers import LAYERS, refusals
from tinyptq.graph import Graph

Values = dict[tuple[str, int], tuple[Value, ...]]  # by (layer, call)


def load_keras(path: str | Path) -> Graph:
    """The Graph of a Keras file; every problem is one TinyptqError that names the file and the cause."""
    file = Path(path)
    try:
        config, store, version = open_archive(file)
        with closing(store.group.file):
            if config.get("class_name") not in MODEL_CLASSES:
                raise unsupported_model(config.get("class_name"))
            model = read_model(config)
            refuse_unsupported(model)
            return build(model, store, version)
    except TinyptqError as error:
        raise located(error, str(file)) from error
    except RecursionError as error:
        raise TinyptqError("bad-keras-config", "models are nested too deeply", where=str(file)) from error


def located(error: TinyptqError, place: str) -> TinyptqError:
    """The same complaint with place in front of where it happened."""
    where = f"{place}: {error.where}" if error.where else place
    return TinyptqError(error.reference, error.message, where=where, hint=error.hint, exit_code=error.exit_code)


def unsupported_model(class_name: object) -> TinyptqError:
    return TinyptqError(
        "unsupported",
        f"the model's class is {class_name!r:.80}",
        hint="only Sequential and Functional models say in the file how their layers are connected",
    )


def refuse_unsupported(model: ModelSpec) -> None:
    """One error that lists every layer that cannot be compiled, and why."""
    complaints = list(walk(model, ""))
    if complaints:
        what = "1 layer is" if len(complaints) == 1 else f"{len(complaints)} layers are"
        raise TinyptqError(
            "unsupported",
            f"{what} not supported: {'; '.join(complaints)}",
            hint="supported layers: " + ", ".join(LAYERS),
        )


def walk(model: ModelSpec, prefix: str) -> Iterator[str]:
    for layer in model.layers:
        if layer.model is not None:
            yield from walk(layer.model, f"{prefix}{layer.name}/")
            continue
        reasons = "; ".join(refusals(layer.class_name, layer.config))
        if reasons:
            yield f"layer '{prefix}{layer.name}' ({layer.class_name}): {reasons}"


def build(model: ModelSpec, store: Store, version: int) -> Graph:
    builder = Builder(version)
    inputs = tuple(graph_input(builder, model, ref) for ref in model.inputs)
    outputs = inline(builder, model, store, "", inputs)
    # An image that holds a sequence leaves the graph in the shape Keras gives it.
    names = tuple(Call(builder, v.name, "output", {}, (v,), (), store).plain(v) for v in outputs)
    graph = builder.graph(model.name, tuple(value.name for value in inputs), names)
    if not graph.nodes:
        raise bad_config("the model does nothing: none of its layers computes")
    return graph


def graph_input(builder: Builder, model: ModelSpec, ref: Ref) -> Value:
    layer = next((layer for layer in model.layers if layer.name == ref.layer), None)
    if layer is None or layer.class_name != "InputLayer":
        raise bad_config(f"the model's input '{ref.layer}' is no InputLayer")
    try:
        shape = batch_shape(layer.config)
    except TinyptqError as error:
        raise located(error, f"layer '{layer.name}' (InputLayer)") from error
    return Value(builder.add(layer.name, shape), shape)


def inline(
    builder: Builder, model: ModelSpec, store: Store, prefix: str, inputs: tuple[Value, ...]
) -> tuple[Value, ...]:
    """Add a model's layers to the graph, nested ones too; returns the values of its outputs."""
    if len(inputs) != len(model.inputs):
        raise bad_config(f"model '{prefix or model.name}' takes {len(model.inputs)} tensors, is given {len(inputs)}")
    stores = layer_stores(store, [(layer.class_name, layer.name) for layer in model.layers])
    values: Values = {(ref.layer, 0): (value,) for ref, value in zip(model.inputs, inputs, strict=True)}
    for index, number in in_order(model, values):
        layer = model.layers[index]
        arguments = layer.calls[number]
        given = tuple(pick(values, argument) for argument in arguments if isinstance(argument, Ref))
        call = Call(builder, prefix + layer.name, layer.class_name, layer.config, given, arguments, stores[index])
        values[layer.name, number] = run(call, layer)
    return tuple(pick(values, ref) for ref in model.outputs)


def run(call: Call, layer: LayerSpec) -> tuple[Value, ...]:
    call.builder.calls += 1
    if call.builder.calls > MAX_LAYERS:
        raise bad_config(f"its layers are called more than {MAX_LAYERS} times")
    if layer.model is not None:
        return inline(call.builder, layer.model, call.store, f"{call.path}/", call.inputs)
    try:
        results = LAYERS[layer.class_name].build(call)
        return results if isinstance(results, tuple) else (results,)
    except TinyptqError as error:
        raise located(error, call.source) from error


def pick(values: Values, ref: Ref) -> Value:
    results = values.get((ref.layer, ref.call), ())
    if ref.tensor >= len(results):
        raise bad_config(f"tensor {ref.tensor} of call {ref.call} of layer '{ref.layer}' does not exist")
    if results[ref.tensor].name == NOT_COMPUTED:
        hint = "use its output or its hidden state"
        raise TinyptqError("unsupported", f"the cell state of layer '{ref.layer}' is read", hint=hint)
    return results[ref.tensor]


def in_order(model: ModelSpec, known: Values) -> Iterator[tuple[int, int]]:
    """(layer, call) pairs so that every one comes after those it reads; the file's order where that leaves a choice."""
    tasks = [(i, j) for i, layer in enumerate(model.layers) for j in range(len(layer.calls))]
    waiting: dict[tuple[int, int], set[tuple[str, int]]] = {}
    readers: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for index, number in tasks:
        needs = {(a.layer, a.call) for a in model.layers[index].calls[number] if isinstance(a, Ref)} - known.keys()
        waiting[index, number] = needs
        for need in needs:
            readers.setdefault(need, []).append((index, number))
    ready = [task for task in tasks if not waiting[task]]
    done = 0
    while ready:
        index, number = heapq.heappop(ready)
        done += 1
        yield index, number
        for task in readers.get((model.layers[index].name, number), ()):
            waiting[task].discard((model.layers[index].name, number))
            if not waiting[task]:
                heapq.heappush(ready, task)
    if done < len(tasks):
        stuck = next(model.layers[i].name for (i, _), needs in waiting.items() if needs)
        raise bad_config(f"layer '{stuck}' reads a tensor that no layer computes")
