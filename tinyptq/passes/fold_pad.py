"""Explicit padding becomes part of the window that slides over it."""

from __future__ import annotations

from dataclasses import replace

from tinyptq.graph import Graph, Node
from tinyptq.ops.conv_2d import Conv2D
from tinyptq.ops.depthwise_conv_2d import DepthwiseConv2D
from tinyptq.ops.pad import Pad
from tinyptq.passes.rewrite import private_producer, substitute


def fold_pad(graph: Graph) -> Graph:
    """Before: x → pad (rows and columns) → conv_2d or depthwise_conv_2d. After: x → convolution with a wider window
    padding. Exact: both fill with zero. Pools do not count (average) or ignore (max) their padding: not folded.
    """
    for output in [node.outputs[0] for node in graph.nodes if node.outputs]:
        node = graph.producer(output)
        if node is None or not isinstance(node.attrs, Conv2D | DepthwiseConv2D):
            continue
        pad = private_producer(graph, node.inputs[0])
        if pad is not None and isinstance(pad.attrs, Pad) and is_spatial(pad.attrs):
            graph = substitute(graph, {id(pad): None, id(node): padded(node, pad)})
    return graph


def is_spatial(pad: Pad) -> bool:
    """Only rows and columns of [n, h, w, c] grow."""
    return len(pad.before) == 4 and not any((pad.before[0], pad.after[0], pad.before[3], pad.after[3]))


def padded(node: Node, pad: Node) -> Node:
    before, after, window = pad.attrs.before, pad.attrs.after, node.attrs.window
    wider = replace(
        window,
        pad_top=window.pad_top + before[1],
        pad_bottom=window.pad_bottom + after[1],
        pad_left=window.pad_left + before[2],
        pad_right=window.pad_right + after[2],
    )
    return replace(node, inputs=(pad.inputs[0], *node.inputs[1:]), attrs=replace(node.attrs, window=wider))
