"""The function that brings padded lines under a window, shared by the Arm kernels of all layers of a model."""

from __future__ import annotations

from collections.abc import Mapping

from tinyptq.kernels.base import Part
from tinyptq.ops.conv_2d import Conv2DInt
from tinyptq.ops.depthwise_conv_2d import DepthwiseConv2DInt


def lines_part(params: Conv2DInt | DepthwiseConv2DInt) -> Mapping[str, Part]:
    """Without padding, lines are rows of the input and need no function."""
    return {"window_lines": Part("window/lines.c.j2", None)} if params.lines.padded else {}


MVE_BYTE, DSP_BYTE = 0.15, 0.7  # instructions of the C library's memcpy and memset per byte, on each kind of core


def lines_cost(params: Conv2DInt | DepthwiseConv2DInt, per_byte: float) -> int:
    """Instructions that bring lines under all windows, filling the ring included (fitted)."""
    window, lines, rows = params.window, params.lines, params.output_shape[1]
    point = rows * (9 * window.kernel[0] + 20)
    if not lines.padded:
        return point
    filled = min((rows - 1) * window.stride[0] + lines.count, rows * lines.count)
    borders = lines.count + window.pad_bottom
    bytes_moved = lines.row_bytes * params.input_shape[1] + lines.bytes * borders
    return int(point + 35 * filled + 30 * params.input_shape[1] + 25 * borders + per_byte * bytes_moved)
