"""Keras' JSON configuration, read into frozen specifications: which layers there are and who feeds whom.

Three spellings are understood: Sequential (a list of layers), Functional of Keras 2 (`inbound_nodes` as nested lists)
and Functional of Keras 3 (`args` holding `__keras_tensor__` objects). A Sequential becomes the Functional chain it
stands for, so that one wiring function serves all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tinyptq.errors import TinyptqError
from tinyptq.graph import Shape

MODEL_CLASSES = ("Sequential", "Functional", "Model")
MAX_LAYERS = 10_000
MAX_ELEMENTS = 1 << 28  # of one tensor: a sane bound that keeps every product of dimensions in 64 bits


@dataclass(frozen=True)
class Ref:
    """Output `tensor` of call number `call` of a layer."""

    layer: str
    call: int = 0
    tensor: int = 0


@dataclass(frozen=True, eq=False)
class LayerSpec:
    """One layer. calls: per call its arguments in order, Refs and plain numbers; model: when it is a model itself."""

    class_name: str
    name: str
    config: Mapping[str, Any]
    calls: tuple[tuple[Ref | float, ...], ...]
    model: ModelSpec | None = None


@dataclass(frozen=True, eq=False)
class ModelSpec:
    """A model, nested or not; inputs and outputs refer to its layers."""

    name: str
    layers: tuple[LayerSpec, ...]
    inputs: tuple[Ref, ...]
    outputs: tuple[Ref, ...]


def bad_config(message: str, where: str | None = None) -> TinyptqError:
    return TinyptqError("bad-keras-config", message, where=where)


def read_model(model: Mapping[str, Any]) -> ModelSpec:
    """model: {"class_name", "config"} of a Sequential or Functional model."""
    config = model.get("config")
    if model.get("class_name") == "Sequential" and isinstance(config, list):  # Keras before 2.2.3
        config = {"name": "sequential", "layers": config}
    if not isinstance(config, dict) or not isinstance(config.get("layers"), list):
        raise bad_config("the model's configuration has no list of layers")
    if not 0 < len(config["layers"]) <= MAX_LAYERS:
        raise bad_config(f"the model has {len(config['layers'])} layers, expected 1 to {MAX_LAYERS}")
    layers = tuple(read_layer(layer) for layer in config["layers"])
    name = text(config, "name", "model")
    return sequential(name, config, layers) if model["class_name"] == "Sequential" else functional(name, config, layers)


def entry(value: Any, key: str) -> Mapping[str, Any]:
    """The object under key of an object; an empty one when either is no object."""
    inner = value.get(key) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def read_layer(layer: Any) -> LayerSpec:
    if not isinstance(layer, dict) or not isinstance(layer.get("class_name"), str):
        raise bad_config("a layer's entry has no class_name")
    class_name, fields = layer["class_name"], entry(layer, "config")
    model = read_model(layer) if class_name in MODEL_CLASSES else None
    name = layer.get("name", fields.get("name", model.name if model else class_name))
    if not isinstance(name, str):
        raise bad_config(f"a {class_name} layer has the name {name!r}")
    nodes = layer.get("inbound_nodes", [])
    calls = tuple(tuple(arguments(node)) for node in nodes) if isinstance(nodes, list) else ()
    shape = entry(layer, "build_config").get("input_shape")
    return LayerSpec(class_name, name, {"build_input_shape": shape, **fields}, calls, model)


def arguments(value: Any) -> Iterator[Ref | float]:
    """Refs and numbers of one call, in order, whatever Keras wrote it in."""
    if isinstance(value, list):
        if is_ref(value):
            yield Ref(value[0], value[1], value[2])
            value = value[3:]
        for item in value:
            yield from arguments(item)
    elif isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            history: Any = entry(value, "config").get("keras_history")
            if not is_ref(history):
                raise bad_config(f"a tensor has the history {history!r}")
            yield Ref(history[0], history[1], history[2])
        elif "args" in value:
            yield from arguments([value["args"], value.get("kwargs", {})])
        else:
            for item in value.values():
                yield from arguments(item)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield float(value)


def is_ref(value: Any) -> bool:
    """["layer", call, tensor] or, in Keras 2, the same with keyword arguments behind it."""
    return (
        isinstance(value, list)
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and all(isinstance(index, int) and 0 <= index < MAX_LAYERS for index in value[1:3])
        and (len(value) == 3 or isinstance(value[3], dict))
    )


def sequential(name: str, config: Mapping[str, Any], layers: tuple[LayerSpec, ...]) -> ModelSpec:
    """The chain as a Functional model: an InputLayer first, every layer called once on the one before."""
    if layers[0].class_name != "InputLayer":
        shape = first_shape(config, layers[0])
        layers = (LayerSpec("InputLayer", unused("input", layers), {"batch_shape": shape}, ()), *layers)
    names = [layer.name for layer in layers]
    calls = [(), *(((Ref(previous),),) for previous in names[:-1])]
    chain = tuple(replace(layer, calls=call) for layer, call in zip(layers, calls, strict=True))
    return checked(ModelSpec(name, chain, (Ref(names[0]),), (Ref(names[-1]),)))


def unused(stem: str, layers: Sequence[LayerSpec]) -> str:
    names = {layer.name for layer in layers}
    return next(n for n in (stem, *(f"{stem}_{i}" for i in range(len(names) + 1))) if n not in names)


def first_shape(config: Mapping[str, Any], first: LayerSpec) -> Any:
    """The batch shape a Sequential without InputLayer was built for, wherever Keras wrote it; None when nowhere."""
    if first.model is not None:
        return first_shape(config, first.model.layers[0])
    keys = ("batch_shape", "batch_input_shape", "build_input_shape")
    places = [config.get("build_input_shape"), *(first.config.get(key) for key in keys)]
    return next((shape for shape in places if shape is not None), None)


def functional(name: str, config: Mapping[str, Any], layers: tuple[LayerSpec, ...]) -> ModelSpec:
    inputs, outputs = (tuple(refs(config.get(key), key)) for key in ("input_layers", "output_layers"))
    mentioned = [a for layer in layers for call in layer.calls for a in call if isinstance(a, Ref)]
    # A Functional model already owns call 0 where it was made, so its first call inside another is often number 1.
    first = {layer.name: MAX_LAYERS for layer in layers if layer.model is not None}
    for ref in (*mentioned, *outputs):
        if ref.layer in first:
            first[ref.layer] = min(first[ref.layer], ref.call)

    def renumbered(ref: Ref | float) -> Any:
        return replace(ref, call=ref.call - first.get(ref.layer, 0)) if isinstance(ref, Ref) else ref

    wired = tuple(
        replace(layer, calls=tuple(tuple(renumbered(a) for a in call) for call in layer.calls)) for layer in layers
    )
    return checked(ModelSpec(name, wired, inputs, tuple(renumbered(r) for r in outputs)))


def refs(value: Any, key: str) -> tuple[Ref, ...]:
    found = tuple(a for a in arguments(value) if isinstance(a, Ref))
    if not found:
        raise bad_config(f"the model's {key} are {value!r:.80}")
    return found


def checked(model: ModelSpec) -> ModelSpec:
    names = [layer.name for layer in model.layers]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise bad_config(f"two layers are called '{twice}'", f"model '{model.name}'")
    return model


def text(config: Mapping[str, Any], key: str, default: str) -> str:
    value = config.get(key, default)
    if not isinstance(value, str):
        raise bad_config(f"{key} is {value!r:.80}, expected a string")
    return value


def integers(config: Mapping[str, Any], key: str, count: int, default: int | None = None, least: int = 1) -> Shape:
    """`count` integers ≥ least; one alone stands for all of them, as Keras allows."""
    value = config.get(key)
    value = default if value is None else value
    items = value if isinstance(value, list) else [value] * count
    fine = all(isinstance(i, int) and not isinstance(i, bool) and least <= i < MAX_ELEMENTS for i in items)
    if len(items) != count or not fine:
        raise bad_config(f"{key} is {value!r:.80}, expected {count} integer{'s' * (count > 1)} of at least {least}")
    return tuple(items)


def number(config: Mapping[str, Any], key: str, default: float | None = None) -> float:
    value = config.get(key)
    value = default if value is None else value
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not abs(value) < 1e30:
        raise bad_config(f"{key} is {value!r:.80}, expected a number")
    return float(value)


def batch_shape(config: Mapping[str, Any]) -> Shape:
    """An InputLayer's shape with batch 1 first; every other dimension must be known."""
    shape = config.get("batch_shape", config.get("batch_input_shape"))
    if not isinstance(shape, list) or not 2 <= len(shape) <= 5:
        raise bad_config(f"the input shape is {shape!r:.80}, expected [null, …] of 2 to 5 dimensions")
    if any(size is None for size in shape[1:]):
        raise TinyptqError(
            "unknown-shape", f"the input shape {shape} has unknown dimensions", hint="fix them: Input(shape=(…))"
        )
    return (1, *integers({"input shape": shape[1:]}, "input shape", len(shape) - 1))
