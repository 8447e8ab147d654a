"""Convolutions and pools over several images: one node per image."""

from __future__ import annotations

from dataclasses import replace

from tinyptq.graph import Graph, Node, Tensor, fresh_name, rebuild
from tinyptq.obstacles import IMAGE_OPERATORS, MAX_IMAGES, Foreign
from tinyptq.ops.pack import Pack
from tinyptq.ops.reshape import Reshape
from tinyptq.ops.unpack import Unpack


def unroll_samples(graph: Graph) -> Graph:
    """Before: x [n, h, w, c] → convolution → y [n, ...], as TimeDistributed layers are exported.
    After: x → unpack into n images → n convolutions that share their weights → pack → y.

    The nodes between still have no batch of one; lead_with_batch gives them one.
    """
    for name in [node.outputs[0] for node in graph.nodes if node.outputs]:
        node = graph.producer(name)
        if node is not None and is_unrolled(graph, node):
            graph = unrolled(graph, node)
    return graph


def is_unrolled(graph: Graph, node: Node) -> bool:
    if node.op not in IMAGE_OPERATORS or isinstance(node.attrs, Foreign) or graph.is_constant(node.inputs[0]):
        return False
    source, result = graph.tensors[node.inputs[0]].shape, graph.tensors[node.outputs[0]].shape
    return len(source) == 4 and 1 < source[0] <= MAX_IMAGES and result[:1] == source[:1]


def unrolled(graph: Graph, node: Node) -> Graph:
    source, result = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
    count = source.shape[0]
    added: dict[str, Tensor] = {}

    def several(like: Tensor, stem: str, leading: tuple[int, ...]) -> tuple[str, ...]:
        """One tensor per image, all but the first axis as `like` has them."""
        names: list[str] = []
        for _ in range(count):
            known = replace(graph, tensors={**graph.tensors, **added})
            name = fresh_name(known, f"{like.name}_{stem}{len(names)}")
            added[name] = replace(like, name=name, shape=(*leading, *like.shape[1:]))
            names.append(name)
        return tuple(names)

    parts, images = several(source, "part", ()), several(source, "image", (1,))
    results = several(result, "image", (1,))
    slices = several(result, "part", ())
    nodes = [Node("unpack", parts[0], (source.name,), parts, Unpack(0), node.source)]
    for part, image, output, piece in zip(parts, images, results, slices, strict=True):
        opened = Reshape((1, *source.shape[1:]))
        nodes.append(Node("reshape", image, (part,), (image,), opened, node.source))
        nodes.append(replace(node, name=output, inputs=(image, *node.inputs[1:]), outputs=(output,)))
        nodes.append(Node("reshape", piece, (output,), (piece,), Reshape(result.shape[1:]), node.source))
    nodes.append(Node("pack", node.name, slices, node.outputs, Pack(0), node.source))
    place = next(position for position, other in enumerate(graph.nodes) if other is node)
    return rebuild(graph, (*graph.nodes[:place], *nodes, *graph.nodes[place + 1 :]), tuple(added.values()))
