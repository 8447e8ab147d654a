"""What the layer functions share: the graph as it grows, and one call of one layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.frontend.keras_archive import WEIGHTS_LIMIT, Store, datasets, read_array
from tinyptq.frontend.keras_config import MAX_ELEMENTS, Ref, bad_config
from tinyptq.graph import Array, Graph, Node, Shape, Tensor
from tinyptq.ops import BY_NAME
from tinyptq.ops.reshape import Reshape

INT32 = np.dtype(np.int32)
INDEXED = "embedding_lookup"
NOT_COMPUTED = ""  # name of a Value that Keras has and the graph has not


@dataclass(frozen=True)
class Value:
    """What a Keras tensor became: the graph tensor `name`; `shape` is the shape Keras gives it, batch 1 first.

    A sequence [1, w, c] may be held as the image [1, w, 1, c]: convolutions and pools need it, element-wise layers
    do not mind, so no Reshape stands between them.
    """

    name: str
    shape: Shape


@dataclass(eq=False)
class Builder:
    """The growing graph. A class because layers add to it in turn; nothing outlives `load_keras`.

    keras: major version of the Keras that wrote the file. tensors, nodes: in order of creation. constants: by (layer,
    role), so that a layer called twice has one set of weights. reshaped: the Reshape already made of a tensor, by
    (name, shape). constant_bytes, calls: kept below limits, because a small file can declare huge arrays, and models
    inside models multiply. packed: the time steps a tensor was packed from, by its name, for whoever takes them apart
    again. masked: an Embedding hides steps of its sequence from layers that ask.
    """

    keras: int
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    constants: dict[tuple[str, str], str] = field(default_factory=dict)
    reshaped: dict[tuple[str, Shape], str] = field(default_factory=dict)
    constant_bytes: int = 0
    calls: int = 0
    packed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    masked: bool = False

    def add(self, stem: str, shape: Shape, data: Array | None = None) -> str:
        """A new float32 tensor named stem, or stem_1, … when that is taken."""
        if any(size < 1 for size in shape) or np.prod(shape, dtype=np.float64) > MAX_ELEMENTS:
            raise bad_config(f"a tensor would have the shape {shape}")
        name, number = stem, 0
        while name in self.tensors:
            number += 1
            name = f"{stem}_{number}"
        self.tensors[name] = Tensor(name, shape, np.dtype(np.float32), data)
        return name

    def held(self, value: Value) -> Shape:
        """The shape of the graph tensor, which for a sequence may have one more dimension than Keras' shape."""
        return self.tensors[value.name].shape

    def hold_integers(self, name: str) -> None:
        """Let the model's input `name` be int32, which nothing but indices may be."""
        tensor = self.tensors[name]
        computed = any(name in node.outputs for node in self.nodes)
        if computed or any(name in node.inputs and node.op != INDEXED for node in self.nodes):
            hint = "let it read an input of the model that no other layer reads"
            raise TinyptqError("unsupported", "its indices are no input of the model, or not only indices", hint=hint)
        self.tensors[name] = replace(tensor, dtype=INT32)

    def graph(self, name: str, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Graph:
        """The finished graph; nodes nobody reads the results of are left out."""
        needed, kept = set(outputs), []
        for node in reversed(self.nodes):
            if needed.intersection(node.outputs):
                needed.update(node.inputs)
                kept.append(node)
        tensors = {n: t for n, t in self.tensors.items() if n in needed or n in inputs}
        return Graph(name, tensors, tuple(reversed(kept)), inputs, outputs)


@dataclass(frozen=True, eq=False)
class Call:
    """One call of one layer: what a layer function works with.

    path: "outer/inner" names of the layer. inputs: its Keras tensors. arguments: these and plain numbers, in order.
    """

    builder: Builder
    path: str
    class_name: str
    config: Mapping[str, Any]
    inputs: tuple[Value, ...]
    arguments: tuple[Ref | float, ...]
    store: Store

    @property
    def source(self) -> str:
        return f"layer '{self.path}' ({self.class_name})"

    @property
    def input(self) -> Value:
        if len(self.inputs) != 1:
            raise bad_config(f"takes one tensor, is given {len(self.inputs)}")
        return self.inputs[0]

    def ranked(self, rank: int) -> Value:
        """The only input, which must have `rank` dimensions with the batch."""
        if len(self.input.shape) != rank:
            raise bad_config(f"expects {rank} dimensions, is given the shape {self.input.shape}")
        return self.input

    def require_all_steps(self) -> None:
        """For layers that skip what a mask hides."""
        if self.builder.masked:
            hint = "train with mask_zero=False"
            raise TinyptqError("unsupported", "skips steps that an Embedding with mask_zero=True hides", hint=hint)

    def weights(self, shapes: Mapping[str, Shape | None]) -> dict[str, Array]:
        """The layer's arrays by role; shapes lists the roles in Keras' order with the shape the configuration implies.

        A shape of None says: it is there, but nobody needs it.
        """
        found = datasets(self.store)
        if len(found) != len(shapes):
            raise TinyptqError("bad-keras-file", f"the file holds {len(found)} weights, expected {', '.join(shapes)}")
        arrays = {}
        for (role, shape), dataset in zip(shapes.items(), found, strict=True):
            if shape is not None:
                self.reserve(shape)
                arrays[role] = read_array(dataset, shape)
        return arrays

    def reserve(self, shape: Shape) -> None:
        """Count bytes before they are read: chunked data may declare far more than the file holds."""
        self.builder.constant_bytes += 4 * int(np.prod(shape, dtype=np.float64))
        if self.builder.constant_bytes > WEIGHTS_LIMIT:
            raise TinyptqError("model-too-large", f"the weights are larger than {WEIGHTS_LIMIT >> 20} MiB")

    def constant(self, role: str, data: Array) -> str:
        """A constant tensor of this layer, the same one when the layer is called again."""
        key = (self.path, role)
        if key not in self.builder.constants:
            stored = np.ascontiguousarray(data, np.float32)
            self.builder.constants[key] = self.builder.add(f"{self.path}/{role}", stored.shape, stored)
        return self.builder.constants[key]

    def emit(self, op: str, attrs: Any, inputs: tuple[str, ...], part: str = "") -> str:
        """A node whose output is named after the layer, with /part behind it when it is an inner one."""
        tensors = [self.builder.tensors[name] for name in inputs]
        if op != INDEXED and any(tensor.dtype == INT32 for tensor in tensors):
            raise TinyptqError("unsupported", "reads an input whose numbers are the indices of an Embedding")
        shapes = [tensor.shape for tensor in tensors]
        try:
            (shape,) = BY_NAME[op].infer_shapes(attrs, *shapes)
        except (ValueError, IndexError, AssertionError, ZeroDivisionError) as error:
            raise bad_config(f"the shapes {shapes} do not fit: {error}") from error
        output = self.builder.add(f"{self.path}/{part}" if part else self.path, tuple(int(s) for s in shape))
        self.builder.nodes.append(Node(op, output, inputs, (output,), attrs, self.source))
        return output

    def shaped(self, value: Value, shape: Shape, part: str = "reshape") -> str:
        """value's graph tensor in another shape: itself, what it was reshaped from, or a Reshape made once."""
        if self.builder.held(value) == shape:
            return value.name
        key = (value.name, shape)
        if key not in self.builder.reshaped:
            output = self.emit("reshape", Reshape(shape), (value.name,), part)
            self.builder.reshaped[key] = output
            self.builder.reshaped[output, self.builder.held(value)] = value.name
        return self.builder.reshaped[key]

    def image(self, value: Value) -> str:
        """The graph tensor as [1, h, w, c]; a sequence [1, w, c] becomes [1, w, 1, c].

        Time runs down the rows, because rows are what a planner can stream.
        """
        if len(value.shape) == 3:
            return self.shaped(value, (1, value.shape[1], 1, value.shape[2]))
        return self.shaped(value, value.shape)

    def plain(self, value: Value) -> str:
        """The graph tensor in Keras' own shape."""
        return self.shaped(value, value.shape)

    def sequence(self, name: str) -> Value:
        """The Keras tensor [1, w, c] that the image [1, w, 1, c] `name` holds."""
        _, steps, _, channels = self.builder.tensors[name].shape
        return Value(name, (1, steps, channels))

    def whole(self, name: str) -> Value:
        """The Keras tensor that has the same shape as the graph tensor `name`."""
        return Value(name, self.builder.tensors[name].shape)
