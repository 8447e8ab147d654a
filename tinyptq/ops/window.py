"""The sliding window shared by convolutions and pools: sizes, strides and resolved padding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, Shape
from tinyptq.ops.base import Rows, TfliteCode, TfliteOperator

TFLITE_PADDING = {0: "same", 1: "valid"}  # tflite.Padding
SAME_CODE, VALID_CODE = 0, 1
MAX_SIDE = 4096  # of kernels and strides: far beyond any microcontroller's image


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


def read_window(
    operator: TfliteOperator, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int] = (1, 1)
) -> Window:
    """The window a .tflite operator slides over its first input; whatever a hostile file says, it is a usable one."""
    image = operator.inputs[0]
    if image is None or len(image.shape) != 4:
        raise TinyptqError("bad-window", f"{operator.builtin} needs an image [batch, height, width, channels]")
    if not all(1 <= side <= MAX_SIDE for side in (*kernel, *stride, *dilation)):
        sizes = f"kernel {kernel}, stride {stride}, dilation {dilation}"
        raise TinyptqError("bad-window", f"{operator.builtin} with {sizes}", hint=f"each from 1 to {MAX_SIDE}")
    code = operator.options.Padding()
    if code not in TFLITE_PADDING:
        raise TinyptqError("bad-window", f"{operator.builtin} with padding number {code}", hint="SAME (0) or VALID (1)")
    window = make_window(TFLITE_PADDING[code], (image.shape[1], image.shape[2]), kernel, stride, dilation)
    if min(window.output_size(image.shape[1], image.shape[2])) < 1:
        raise TinyptqError("bad-window", f"{operator.builtin}: kernel {kernel} is larger than its input {image.shape}")
    return window


def filter_size(operator: TfliteOperator) -> tuple[int, int]:
    """(height, width) of a convolution's weights, operand 1."""
    weights = operator.inputs[1] if len(operator.inputs) > 1 else None
    if weights is None or len(weights.shape) != 4:
        raise TinyptqError("bad-weights", f"{operator.builtin} needs weights with four dimensions")
    return weights.shape[1], weights.shape[2]


def padded(x: Array, window: Window, fill: float) -> Array:
    """x [n, h, w, c] with the window's border filled."""
    border = ((0, 0), (window.pad_top, window.pad_bottom), (window.pad_left, window.pad_right), (0, 0))
    return np.pad(x, border, constant_values=fill) if window.padded else x


def taps(x: Array, window: Window) -> Array:
    """View of x (already padded) as [n, out_h, out_w, kernel_h, kernel_w, c]; nothing is copied."""
    rows, columns = window.extent
    view = np.lib.stride_tricks.sliding_window_view(x, (rows, columns), axis=(1, 2))
    view = view[:, :: window.stride[0], :: window.stride[1], :, :: window.dilation[0], :: window.dilation[1]]
    return np.moveaxis(view, 3, -1)


def columns(x: Array, window: Window, fill: float) -> Array:
    """x [n, h, w, c] as the left side of a convolution's matmul: [n·out_h·out_w, kernel_h·kernel_w·c]."""
    if window.extent == (1, 1) and window.stride == (1, 1) and not window.padded:
        return x.reshape(-1, x.shape[3])
    view = taps(padded(x, window, fill), window)
    return view.reshape(view.shape[0] * view.shape[1] * view.shape[2], -1)


def tflite_padding(window: Window, input_shape: Shape) -> tuple[tuple[TfliteCode, ...], int]:
    """(PAD operators needed first, padding code): TFLite convolutions know only SAME and VALID."""
    if not window.padded:
        return (), VALID_CODE
    _, height, width, channels = input_shape
    if is_same_or_valid(window, input_shape):
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


@dataclass(frozen=True)
class Lines:
    """How a kernel walks input lines: the literals of templates/macros/window.j2.

    With padding the lines lie in a ring of `count` padded lines; without, they are rows of the input itself.
    """

    padded: bool
    count: int  # rows the dilated kernel spans
    bytes: int  # one line, border included
    row_bytes: int  # one row of the input
    left_bytes: int
    right_bytes: int
    column_bytes: int  # from one output column to the next
    tap_bytes: int  # from one tap of a kernel row to the next
    run: int  # contiguous elements of a kernel row; one tap when dilated
    skips: bool  # rows lie between two windows that no window reads
    width: int = 1  # bytes of an element

    @property
    def line_step(self) -> int:
        """Elements of a line, border included."""
        return self.bytes // self.width

    @property
    def row_step(self) -> int:
        """Elements of a row of the input."""
        return self.row_bytes // self.width

    @property
    def left_step(self) -> int:
        return self.left_bytes // self.width

    @property
    def column_step(self) -> int:
        """Elements from one output column to the next."""
        return self.column_bytes // self.width

    @property
    def tap_step(self) -> int:
        """Elements from one tap of a kernel row to the next."""
        return self.tap_bytes // self.width


def lines(window: Window, input_shape: Shape, width: int = 1) -> Lines:
    """width: bytes of an element."""
    _, _, columns, channels = input_shape
    dilated, pixel = window.dilation[1] > 1, width * channels
    return Lines(
        padded=window.padded,
        count=window.extent[0],
        bytes=(columns + window.pad_left + window.pad_right) * pixel,
        row_bytes=columns * pixel,
        left_bytes=window.pad_left * pixel,
        right_bytes=window.pad_right * pixel,
        column_bytes=window.stride[1] * pixel,
        tap_bytes=window.dilation[1] * pixel,
        run=channels if dilated else window.kernel[1] * channels,
        skips=window.stride[0] > window.extent[0],
        width=width,
    )


def ring_bytes(window: Window, input_shape: Shape, width: int = 1) -> int:
    """Bytes of the ring of padded lines of elements of width bytes; 0 when no padding is needed."""
    geometry = lines(window, input_shape, width)
    return geometry.count * geometry.bytes if window.padded else 0


def rows(window: Window, input_shape: Shape, output_shape: Shape) -> Rows:
    """Rows of any operator that slides this window down the image."""
    return Rows(output_shape[1], lambda first, end: window.input_rows(first, end, input_shape[1]))


def lead(window: Window, input_shape: Shape, output_shape: Shape, widths: tuple[int, int], copied: bool) -> int:
    """Bytes by which the output of a kernel that computes one row after another must begin before its input.

    widths: bytes of an element of input and output. copied: the kernel has copied all rows that an output row reads
    before it stores the first byte of that row.
    """
    input_row, output_row = (
        shape[2] * shape[3] * width for shape, width in zip((input_shape, output_shape), widths, strict=True)
    )
    height, count = input_shape[1], output_shape[1]
    kept = ((row + 1, window.input_rows(row, row + 1, height)[copied]) for row in range(count))
    ends = [end * output_row - first * input_row for end, first in kept if first < height]
    return max(ends, default=-height * input_row)


def is_same_or_valid(window: Window, input_shape: Shape) -> bool:
    """Can TFLite name this padding?"""
    size = (input_shape[1], input_shape[2])
    same = make_window("same", size, window.kernel, window.stride, window.dilation)
    return not window.padded or window == same
