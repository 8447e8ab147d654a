"""Convolutions over pixels moved into the batch become what they stand for: dilated convolutions."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from tinyptq.graph import Graph, Node, fresh_name, rebuild
from tinyptq.ops.batches import Blocks
from tinyptq.ops.conv_2d import Conv2D
from tinyptq.ops.depthwise_conv_2d import DepthwiseConv2D
from tinyptq.ops.reshape import Reshape
from tinyptq.passes.drop_dead import drop_dead
from tinyptq.passes.rewrite import private_producer, substitute


def fold_space_to_batch(graph: Graph) -> Graph:
    """Before: x → space_to_batch_nd → [reshape] → convolution, no padding or stride → [reshape] → batch_to_space_nd.
    After: x → [reshape] → convolution dilated by the block, padding less cropping as its own → [reshape].
    What stands before the convolution may be read by several (the two halves of a gate): each becomes its own.

    The reshapes are those around a Conv1D: [b, w, c] to [b, 1, w, c] or [b, w, 1, c] and back. In a quantized model
    both are exact: what is padded is the zero point, which a convolution's own padding means too.
    """
    before = graph
    for output in [node.outputs[0] for node in graph.nodes if node.op == "batch_to_space_nd"]:
        last = graph.producer(output)
        if last is not None and isinstance(last.attrs, Blocks):
            graph = folded(graph, last) or graph
    return graph if graph is before else drop_dead(graph)


def folded(graph: Graph, last: Node) -> Graph | None:
    chain = chain_before(graph, last)
    if chain is None:
        return None
    first, widen, convolution, narrow = chain
    source, result = graph.tensors[first.inputs[0]], graph.tensors[last.outputs[0]]
    if not (moves_only(graph, first) and moves_only(graph, last)):
        return None
    rows = 0
    if widen is not None:  # which axis of the image the sequence became
        shape = graph.tensors[widen.outputs[0]].shape
        if len(shape) != 4 or 1 not in shape[1:3] or len(first.attrs.block) != 1 or len(source.shape) != 3:
            return None
        rows = 0 if shape[2] == 1 else 1
    attrs = dilated(convolution.attrs, first.attrs, last.attrs, rows)
    if attrs is None:
        return None
    if widen is None:
        whole = replace(convolution, inputs=(source.name, *convolution.inputs[1:]), outputs=(result.name,), attrs=attrs)
        return substitute(graph, {id(convolution): whole, id(last): None})
    assert narrow is not None
    return as_image(graph, (first, widen, convolution, narrow, last), attrs, rows)


def moves_only(graph: Graph, node: Node) -> bool:
    """Floats, or integers of one quantization on both sides."""
    source, result = (graph.tensors[name].qparams for name in (node.inputs[0], node.outputs[0]))
    return source is result is None or (source is not None and result is not None and source.same_as(result))


def as_image(graph: Graph, chain: tuple[Node, ...], attrs: Conv2D | DepthwiseConv2D, rows: int) -> Graph:
    """The convolution between a reshape of the whole sequence to an image and one back."""
    first, _, convolution, narrow, last = chain
    source, result = graph.tensors[first.inputs[0]], graph.tensors[last.outputs[0]]
    images = []
    for stem, tensor in (("image", source), ("convolved", result)):
        _, steps, channels = tensor.shape
        shape = (1, 1, steps, channels) if rows else (1, steps, 1, channels)
        images.append(replace(tensor, name=fresh_name(graph, f"{convolution.name}_{stem}"), shape=shape))
    names = images[0].name, images[1].name
    opened = Node("reshape", names[0], (source.name,), names[:1], Reshape(images[0].shape), first.source)
    whole = replace(convolution, inputs=(names[0], *convolution.inputs[1:]), outputs=names[1:], attrs=attrs)
    closed = replace(narrow, inputs=names[1:], outputs=(result.name,), attrs=Reshape(result.shape))
    graph = substitute(graph, {id(convolution): whole, id(narrow): closed, id(last): None}, tuple(images))
    place = next(position for position, node in enumerate(graph.nodes) if node is whole)
    return rebuild(graph, (*graph.nodes[:place], opened, *graph.nodes[place:]))


def chain_before(graph: Graph, last: Node) -> tuple[Node, Node | None, Node, Node | None] | None:
    """(space_to_batch_nd, reshape or None, convolution, reshape or None) before last; the convolution's result is
    read by the next only.
    """
    narrow = private_producer(graph, last.inputs[0])
    convolution = narrow
    if narrow is not None and narrow.op == "reshape":
        convolution = private_producer(graph, narrow.inputs[0])
    if convolution is None or not isinstance(convolution.attrs, Conv2D | DepthwiseConv2D):
        return None
    widen = graph.producer(convolution.inputs[0])
    first = widen
    if widen is not None and widen.op == "reshape":
        first = graph.producer(widen.inputs[0])
    if first is None or first.op != "space_to_batch_nd" or (widen is first) != (narrow is convolution):
        return None
    return first, None if widen is first else widen, convolution, None if narrow is convolution else narrow


def dilated(
    attrs: Conv2D | DepthwiseConv2D, padding: Blocks, cropping: Blocks, rows: int
) -> Conv2D | DepthwiseConv2D | None:
    """The same convolution with gaps; rows: 1 when a sequence runs along the columns of the image."""
    window = attrs.window
    plain = window.stride == window.dilation == (1, 1) and not window.padded
    if not plain or padding.block != cropping.block or prod(padding.block) < 1 or len(padding.block) > 2:
        return None
    borders = [
        (block, padding.before[i] - cropping.before[i], padding.after[i] - cropping.after[i])
        for i, block in enumerate(padding.block)
    ]
    if len(borders) == 1:
        borders = [(1, 0, 0), *borders] if rows else [*borders, (1, 0, 0)]
    (block_h, top, bottom), (block_w, left, right) = borders
    if min(top, bottom, left, right) < 0:
        return None
    gaps = replace(window, dilation=(block_h, block_w))
    return replace(attrs, window=replace(gaps, pad_top=top, pad_bottom=bottom, pad_left=left, pad_right=right))
