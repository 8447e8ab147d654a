"""What RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR share: attributes, reading and writing, shapes, refusals."""

from __future__ import annotations

from dataclasses import dataclass

from tinyptq.errors import TinyptqError
from tinyptq.graph import Graph, Node, Shape
from tinyptq.ops.base import TfliteCode, TfliteOperator
from tinyptq.ops.copies import first_shape, int32, read_numbers

MAX_SIDE = 16384  # indices of rows and columns are int16


@dataclass(frozen=True)
class Resize:
    """size: output (height, width). align_corners: corner pixels meet; half_pixel_centers: pixels are squares."""

    size: tuple[int, int]
    align_corners: bool = False
    half_pixel_centers: bool = False


def read_tflite(operator: TfliteOperator) -> Resize:
    """The size is the constant second operand."""
    size, options = read_numbers(operator, 1, "size"), operator.options
    if len(first_shape(operator)) != 4 or len(size) != 2 or not all(1 <= side <= MAX_SIDE for side in size):
        raise TinyptqError("bad-size", f"{operator.builtin} of {list(first_shape(operator))} to {size}")
    flags = (False, False) if options is None else (bool(options.AlignCorners()), bool(options.HalfPixelCenters()))
    return Resize((size[0], size[1]), *flags)


def code(builtin: str, options: str, attrs: Resize, version: int) -> tuple[TfliteCode, ...]:
    fields = {"AlignCorners": attrs.align_corners, "HalfPixelCenters": attrs.half_pixel_centers}
    return (TfliteCode(builtin, options, fields, operands=(int32(attrs.size),), version=version),)


def infer_shapes(attrs: Resize, x: Shape) -> tuple[Shape, ...]:
    return ((x[0], *attrs.size, x[3]),)


def an_image(graph: Graph, node: Node) -> bool:
    """The input is an image [batch, height, width, channels], no side beyond 16384."""
    shape = graph.tensors[node.inputs[0]].shape
    return len(shape) == 4 and max(shape[1:3]) <= MAX_SIDE


def one_alignment(graph: Graph, node: Node) -> bool:
    """align_corners and half_pixel_centers are not both set."""
    return not (node.attrs.align_corners and node.attrs.half_pixel_centers)
