"""The sliding window shared by convolutions and pools: sizes, strides and resolved padding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array, Shape
from tinyptq.ops.base import TfliteCode


@dataclass(frozen=True)
class Window:
    """All (height, width); padding is resolved: explicit rows above/below and columns left/right."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pad_top: int = 0
    pad_bottom: int = 0
    pad_left: int = 0
    pad_right: int = 0

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns the dilated kernel spans."""
        return (
            (self.kernel[0] - 1) * self.dilation[0] + 1,
            (self.kernel[1] - 1) * self.dilation[1] + 1,
        )

    @property
    def padded(self) -> bool:
        return any((self.pad_top, self.pad_bottom, self.pad_left, self.pad_right))

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        return (
            (height + self.pad_top + self.pad_bottom - self.extent[0]) // self.stride[0] + 1,
            (width + self.pad_left + self.pad_right - self.extent[1]) // self.stride[1] + 1,
        )

    def input_rows(self, first: int, end: int, height: int) -> tuple[int, int]:
        """Half-open range of the input rows that output rows [first, end) read."""
        low = first * self.stride[0] - self.pad_top
        high = (end - 1) * self.stride[0] - self.pad_top + self.extent[0]
        return max(low, 0), min(high, height)


def same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """(before, after) of TFLite's SAME: output = ceil(size / stride), the odd one goes after."""
    extent = (kernel - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    return total // 2, total - total // 2


def make_window(
    padding: str,
    input_size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
) -> Window:
    """Window for TFLite's padding 'same' or 'valid' over an input of (height, width)."""
    if padding == "valid":
        return Window(kernel, stride, dilation)
    top, bottom = same_padding(input_size[0], kernel[0], stride[0], dilation[0])
    left, right = same_padding(input_size[1], kernel[1], stride[1], dilation[1])
    return Window(kernel, stride, dilation, top, bottom, left, right)


def padded(x: Array, window: Window, fill: float) -> Array:
    """x [n, h, w, c] with the window's border filled."""
    border = ((0, 0), (window.pad_top, window.pad_bottom), (window.pad_left, window.pad_right), (0, 0))
    return np.pad(x, border, constant_values=fill) if window.padded else x


def taps(x: Array, window: Window) -> Array:
    """View of x (already padded) as [n, out_h, out_w, kernel_h, kernel_w, c]; nothing is copied."""
    rows, columns = window.extent
    view = np.lib.stride_tricks.sliding_window_view(x, (rows, columns), axis=(1, 2))
    view = view[
        :, :: window.stride[0], :: window.stride[1], :, :: window.dilation[0], :: window.dilation[1]
    ]
    return np.moveaxis(view, 3, -1)


TFLITE_PADDING = {0: "same", 1: "valid"}  # tflite.Padding
SAME_CODE, VALID_CODE = 0, 1


def tflite_padding(window: Window, input_shape: Shape) -> tuple[tuple[TfliteCode, ...], int]:
    """(PAD operators needed first, padding code): TFLite convolutions know only SAME and VALID."""
    if not window.padded:
        return (), VALID_CODE
    _, height, width, channels = input_shape
    if make_window("same", (height, width), window.kernel, window.stride, window.dilation) == window:
        return (), SAME_CODE
    border = [[0, 0], [window.pad_top, window.pad_bottom], [window.pad_left, window.pad_right], [0, 0]]
    shape = (
        1,
        height + window.pad_top + window.pad_bottom,
        width + window.pad_left + window.pad_right,
        channels,
    )
    pad = TfliteCode("PAD", "PadOptions", operands=(np.array(border, np.int32),), shape=shape)
    return (pad,), VALID_CODE


def line_bytes(window: Window, input_shape: Shape) -> int:
    """Bytes of one padded int8 input line."""
    return (input_shape[2] + window.pad_left + window.pad_right) * input_shape[3]


def ring_bytes(window: Window, input_shape: Shape) -> int:
    """Bytes of the ring of padded lines a kernel slides over; 0 when no padding is needed."""
    return window.extent[0] * line_bytes(window, input_shape) if window.padded else 0
