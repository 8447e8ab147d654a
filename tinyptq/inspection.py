"""What a model file holds, before anything is decided about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyptq.frontend import load_model, model_kind
from tinyptq.graph import Graph, Node, Shape
from tinyptq.obstacles import Foreign, obstacles
from tinyptq.passes import simplify


@dataclass(frozen=True)
class InspectedLayer:
    """parameters: elements of its constant operands."""

    name: str
    op: str
    shape: Shape
    parameters: int


@dataclass(frozen=True)
class Inspection:
    """ports: ("input", "output" or "state", name, shape). obstacles: what keeps the model from being built."""

    name: str
    kind: str
    ports: tuple[tuple[str, str, Shape], ...]
    layers: tuple[InspectedLayer, ...]
    parameters: int
    warnings: tuple[str, ...]
    obstacles: tuple[str, ...]


def inspect(model: Path | str) -> Inspection:
    """The model as it is after import and graph passes; unsupported operators are listed, not raised."""
    model = Path(model)
    graph = simplify(load_model(model))
    inputs = [("input", name, graph.tensors[name].shape) for name in graph.inputs]
    outputs = [("output", name, graph.tensors[name].shape) for name in graph.outputs]
    states = [("state", variable.name, variable.initial.shape) for variable in graph.variables]
    constants = [tensor.data for tensor in graph.tensors.values() if tensor.data is not None]
    return Inspection(
        name=model.name,
        kind=model_kind(model),
        ports=tuple(inputs + outputs + states),
        layers=tuple(inspected(graph, node) for node in graph.nodes),
        parameters=sum(int(data.size) for data in constants),
        warnings=graph.warnings,
        obstacles=tuple(obstacles(graph)),
    )


def inspected(graph: Graph, node: Node) -> InspectedLayer:
    shapes = [graph.tensors[name].shape for name in node.inputs if graph.is_constant(name)]
    parameters = sum(int(np.prod(shape, dtype=np.int64)) for shape in shapes)
    op = node.attrs.builtin if isinstance(node.attrs, Foreign) else node.op
    return InspectedLayer(node.name, op, graph.tensors[node.outputs[0]].shape, parameters)
