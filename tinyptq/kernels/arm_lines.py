"""The function that brings padded lines under a window, shared by the Arm kernels of all layers of a model."""

from __future__ import annotations

from collections.abc import Mapping

from tinyptq.kernels.base import Part
from tinyptq.ops.conv_2d import Conv2DInt
from tinyptq.ops.depthwise_conv_2d import DepthwiseConv2DInt


def lines_part(params: Conv2DInt | DepthwiseConv2DInt) -> Mapping[str, Part]:
    """Without padding, lines are rows of the input and need no function."""
    return {"window_lines": Part("window/lines.c.j2", None)} if params.lines.padded else {}
