"""What the two pools share: their integers, TFLite's Pool2DOptions, and walking a clipped window in NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops import window as win
from tinyptq.ops.activation import Clamp, integer_bounds, read_clamp, tflite_code
from tinyptq.ops.base import Operand, Rows, TfliteCode, TfliteOperator
from tinyptq.ops.element import limits, one_element, touched, width
from tinyptq.ops.window import Window
from tinyptq.program import Work


@dataclass(frozen=True, eq=False)
class PoolInt:
    """Input and output share their quantization: no zero point, no multiplier."""

    input_shape: Shape  # [1, h, w, c]
    output_shape: Shape  # [1, out_h, out_w, c]
    window: Window
    element: str
    activation_min: int
    activation_max: int
    activation_code: int

    @property
    def input_row(self) -> int:
        """Elements of an input row."""
        return self.input_shape[2] * self.input_shape[3]

    @property
    def output_row(self) -> int:
        return self.output_shape[2] * self.output_shape[3]

    @property
    def taps(self) -> int:
        return self.window.kernel[0] * self.window.kernel[1]

    @property
    def lowest(self) -> int:
        return limits(self.element)[0]


def read_pool(operator: TfliteOperator) -> tuple[Window, Clamp]:
    options = operator.options
    kernel = (options.FilterHeight(), options.FilterWidth())
    window = win.read_window(operator, kernel, (options.StrideH(), options.StrideW()))
    return window, read_clamp(options.FusedActivationFunction())


def write_pool(builtin: str, window: Window, activation_code: int) -> tuple[TfliteCode, ...]:
    fields = {
        "Padding": win.SAME_CODE if window.padded else win.VALID_CODE,
        "StrideH": window.stride[0],
        "StrideW": window.stride[1],
        "FilterHeight": window.kernel[0],
        "FilterWidth": window.kernel[1],
        "FusedActivationFunction": activation_code,
    }
    return (TfliteCode(builtin, "Pool2DOptions", fields, version=2),)


def infer_shapes(attrs: Any, image: Shape) -> tuple[Shape, ...]:
    return ((image[0], *attrs.window.output_size(image[1], image[2]), image[3]),)


def lower(attrs: Any, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> PoolInt:
    """attrs: window and activation."""
    name = one_element(*inputs, *outputs)
    low, high = integer_bounds(attrs.activation, outputs[0].qparams, *limits(name))
    return PoolInt(
        input_shape=inputs[0].shape,
        output_shape=outputs[0].shape,
        window=attrs.window,
        element=name,
        activation_min=low,
        activation_max=high,
        activation_code=tflite_code(attrs.activation),
    )


def leads(params: PoolInt) -> tuple[int, ...]:
    """Rows are read in their place."""
    widths = (width(params.element), width(params.element))
    return (win.lead(params.window, params.input_shape, params.output_shape, widths, False),)


def rows(params: PoolInt) -> Rows:
    return win.rows(params.window, params.input_shape, params.output_shape)


def work(params: PoolInt) -> Work:
    return touched(params.element, params.input_shape, params.output_shape)


def nameable_padding(graph: Graph, node: Node) -> bool:
    """Padding of a pool is SAME or VALID."""
    return win.is_same_or_valid(node.attrs.window, graph.tensors[node.inputs[0]].shape)


def undilated(graph: Graph, node: Node) -> bool:
    """The window of a pool is not dilated."""
    return bool(node.attrs.window.dilation == (1, 1))


def window_parts(x: Array, window: Window, shape: Shape) -> Iterator[tuple[slice, slice, Array]]:
    """Per tap of the window: the output rows and columns where it lies inside the image, and the input there."""
    for row, column in np.ndindex(*window.kernel):
        rows, from_rows = _inside(row - window.pad_top, window.stride[0], x.shape[1], shape[1])
        columns, from_columns = _inside(column - window.pad_left, window.stride[1], x.shape[2], shape[2])
        yield rows, columns, x[:, from_rows, from_columns]


def _inside(shift: int, stride: int, size: int, count: int) -> tuple[slice, slice]:
    """Outputs i in [0, count) whose input i · stride + shift lies in [0, size), and those inputs."""
    first = max(0, -(shift // stride))
    end = min(count, (size - 1 - shift) // stride + 1)
    end = max(first, end)
    start = first * stride + shift
    return slice(first, end), slice(start, start + max(end - first - 1, 0) * stride + (end > first), stride)
