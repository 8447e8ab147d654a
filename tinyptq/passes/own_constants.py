"""Every node its own constants."""

from __future__ import annotations

from dataclasses import replace

from tinyptq.graph import Graph, Node, Tensor, fresh_name, rebuild


def own_constants(graph: Graph) -> Graph:
    """Before: two nodes read one constant (a layer called twice, deduplicated zeros). After: each reads a tensor of
    its own, so that quantization may choose scales for each.
    """
    seen: set[str] = set()
    nodes: list[Node] = []
    for node in graph.nodes:
        inputs = []
        for name in node.inputs:
            if graph.is_constant(name) and name in seen:
                twin = replace(graph.tensors[name], name=fresh_name(graph, f"{name}_of_{node.name}"))
                graph = with_tensor(graph, twin)
                name = twin.name
            seen.add(name)
            inputs.append(name)
        nodes.append(replace(node, inputs=tuple(inputs)))
    return rebuild(graph, tuple(nodes))


def with_tensor(graph: Graph, tensor: Tensor) -> Graph:
    return replace(graph, tensors={**graph.tensors, tensor.name: tensor})
