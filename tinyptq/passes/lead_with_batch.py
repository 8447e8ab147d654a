"""A batch axis in front of what has none: rows folded together, sequences with time first, per-channel vectors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tinyptq.graph import Graph, Node, Shape, Tensor, fresh_name, rebuild
from tinyptq.obstacles import Foreign, holds
from tinyptq.ops import BY_NAME
from tinyptq.ops.reshape import Reshape
from tinyptq.passes.lift_axes import BROADCASTING, ELEMENTWISE, JOINING, LIFTS


@dataclass(eq=False)
class Walk:
    """Where the walk through the nodes is; a running state.

    shapes: of every run-time tensor as the new graph has it, where that is not the old one.
    """

    graph: Graph
    added: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)

    def shape(self, name: str) -> Shape:
        return self.shapes.get(name, self.graph.tensors[name].shape)


def lead_with_batch(graph: Graph) -> Graph:
    """Before: x [1, 16, 8] → reshape [16, 8] → fully_connected [16, 4] → reshape [1, 16, 4].
    After: x → reshape [1, 16, 8] → fully_connected over the last axis [1, 16, 4] → reshape [1, 16, 4].

    In general: a node one of whose tensors does not begin with a batch of 1, or which moves or reduces the first
    axis, works on tensors with one more axis in front. The bytes are the same, only shapes and axes differ. Where an
    operator has no such form (a convolution of several images), the node stays, and is refused for what it is.
    """
    if all(is_batched(graph, node) for node in graph.nodes) and not unbatched_inputs(graph):
        return graph
    walk = Walk(graph)
    for name in unbatched_inputs(graph):
        walk.shapes[name] = (1, *graph.tensors[name].shape)
    for node in graph.nodes:
        place(walk, node)
    tensors = {name: replace(tensor, shape=walk.shape(name)) for name, tensor in graph.tensors.items()}
    variables = tuple(replace(v, initial=v.initial.reshape(walk.shape(v.before))) for v in graph.variables)
    reshaped = replace(graph, tensors=tensors, variables=variables)
    return rebuild(reshaped, tuple(walk.nodes), tuple(walk.added.values()))


def unbatched_inputs(graph: Graph) -> tuple[str, ...]:
    """Graph inputs and variables without a batch axis."""
    return tuple(name for name in graph.given if graph.tensors[name].shape[:1] != (1,))


def run_time(graph: Graph, node: Node) -> Iterator[str]:
    yield from (name for name in node.inputs if not graph.is_constant(name))


def is_batched(graph: Graph, node: Node) -> bool:
    """Can the node stay as it is?"""
    if isinstance(node.attrs, Foreign) or (node.op not in LIFTS and node.op != "reshape"):
        return True
    if node.op == "fully_connected" and not whole_rows(graph, node):
        return True
    names = (*run_time(graph, node), *node.outputs)
    if any(graph.tensors[name].shape[:1] != (1,) for name in names):
        return False
    if node.op in ELEMENTWISE:
        return True
    return all(holds(constraint, graph, node) for constraint in BY_NAME[node.op].constraints)


def whole_rows(graph: Graph, node: Node) -> bool:
    """Do the weights' columns divide the elements into rows?"""
    shape, weights = (graph.tensors[name].shape for name in node.inputs[:2])
    return len(weights) == 2 and min(weights) > 0 and math.prod(shape) % weights[1] == 0


def place(walk: Walk, node: Node) -> None:
    """Put the node into the new graph, in whichever form it can have."""
    graph = walk.graph
    if node.op == "reshape" and not isinstance(node.attrs, Foreign) and not graph.is_constant(node.inputs[0]):
        target = leading_shape(graph.tensors[node.outputs[0]].shape)
        walk.shapes[node.outputs[0]] = target
        walk.nodes.append(replace(node, attrs=Reshape(target)))
    elif is_batched(graph, node):
        inputs = [with_shape(walk, node, name, graph.tensors[name].shape) for name in node.inputs]
        walk.nodes.append(replace(node, inputs=tuple(inputs)))
    elif node.op in BROADCASTING:
        broadcast(walk, node)
    else:
        lift(walk, node)


def leading_shape(shape: Shape) -> Shape:
    return shape if shape[:1] == (1,) else (1, *shape)


def broadcast(walk: Walk, node: Node) -> None:
    """Operands of as many axes as the output, which leads with a batch of 1."""
    output = leading_shape(walk.graph.tensors[node.outputs[0]].shape)
    inputs = list(node.inputs)
    for position, name in enumerate(node.inputs):
        shape = walk.graph.tensors[name].shape
        if not walk.graph.is_constant(name):
            inputs[position] = with_shape(walk, node, name, (*(1,) * (len(output) - len(shape)), *shape))
    walk.shapes[node.outputs[0]] = output
    walk.nodes.append(replace(node, inputs=tuple(inputs)))


def lift(walk: Walk, node: Node) -> None:
    """One more axis in front of every operand and output; an output that leads with 1 by itself gets its own shape."""
    graph = walk.graph
    inputs = [lifted_input(walk, node, name) for name in node.inputs]
    outputs, back = list(node.outputs), []
    for position, name in enumerate(node.outputs):
        shape = graph.tensors[name].shape
        if shape[:1] != (1,):
            walk.shapes[name] = (1, *shape)
            continue
        between = add_tensor(walk, name, (1, *shape))
        outputs[position] = between
        back.append(Node("reshape", name, (between,), (name,), Reshape(shape), node.source))
    attrs = LIFTS[node.op](node.attrs)
    walk.nodes += [replace(node, inputs=tuple(inputs), outputs=tuple(outputs), attrs=attrs), *back]


def lifted_input(walk: Walk, node: Node, name: str) -> str:
    tensor = walk.graph.tensors[name]
    if tensor.data is not None:
        if node.op not in JOINING:
            return name
        fresh = add_tensor(walk, name, (1, *tensor.shape))
        walk.added[fresh] = replace(walk.added[fresh], data=tensor.data[None])
        return fresh
    if node.op == "fully_connected" and not node.attrs.keep_dims:  # which flattens all but the rows
        depth = walk.graph.tensors[node.inputs[1]].shape[-1]
        return with_shape(walk, node, name, (1, math.prod(tensor.shape) // depth, depth))
    return with_shape(walk, node, name, (1, *tensor.shape))


def with_shape(walk: Walk, node: Node, name: str, shape: Shape) -> str:
    """The tensor under a shape: itself, or a reshape of it made for this node."""
    if walk.graph.is_constant(name) or walk.shape(name) == shape:
        return name
    fresh = add_tensor(walk, name, shape)
    walk.nodes.append(Node("reshape", fresh, (name,), (fresh,), Reshape(shape), node.source))
    return fresh


def add_tensor(walk: Walk, like: str, shape: Shape) -> str:
    known = replace(walk.graph, tensors={**walk.graph.tensors, **walk.added})
    fresh = fresh_name(known, f"{like}_reshaped")
    walk.added[fresh] = replace(walk.graph.tensors[like], name=fresh, shape=shape, data=None)
    return fresh
