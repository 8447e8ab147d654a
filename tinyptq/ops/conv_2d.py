"""CONV_2D: cross-correlation of an image with a bank of filters, plus bias, plus fused activation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops import window as win
from tinyptq.ops.activation import NONE, Clamp, read_clamp, tflite_code
from tinyptq.ops.base import FREE, Op, Operand, Rows, TfliteCode, TfliteOperator, elements
from tinyptq.ops.channels import bias_of_64_or_32_bits, channel_constants, lower_channels, peak, requantize_channels
from tinyptq.ops.element import SCALED, width
from tinyptq.ops.requantize import exact_matmul, fold_zero_point, sample_blocks
from tinyptq.ops.window import Lines, Window
from tinyptq.program import Work


@dataclass(frozen=True)
class Conv2D:
    """Attributes of the float operator; weights are [out, kernel_h, kernel_w, in].

    Weights of a fraction of the input's depth make groups: each group of filters sees its own input channels.
    """

    window: Window
    activation: Clamp = NONE


@dataclass(frozen=True, eq=False)
class Conv2DInt:
    """acc = Σ (x − input_zero_point) · w + bias; y = clamp(MBQM(acc, multiplier, shift) + output_zero_point)."""

    input_shape: Shape  # [1, h, w, in]
    output_shape: Shape  # [1, out_h, out_w, out]
    element: str  # of input and output: "int8" or "int16"
    reduced: bool  # sums are rescaled by 16 bits of the multiplier
    accumulator: str  # type that holds every sum: "int32" or "int64"
    window: Window
    input_zero_point: int
    output_zero_point: int
    activation_min: int
    activation_max: int
    activation_code: int  # TFLite's fused activation
    weights: Array  # int8 [out, kernel_h, kernel_w, in / groups]
    bias: Array  # int32 [out], int64 where reduced
    multiplier: Array  # int32 [out]
    shift: Array  # int8 [out], positive is left

    @property
    def folded_bias(self) -> Array:
        """[out], of bias' type"""
        return fold_zero_point(self.bias, self.weights, 0, self.input_zero_point)

    @property
    def groups(self) -> int:
        return self.input_shape[3] // self.depth

    @property
    def depth(self) -> int:
        """Input channels of a group."""
        return int(self.weights.shape[3])

    @property
    def group_filters(self) -> int:
        """Output channels of a group."""
        return len(self.weights) // self.groups

    @property
    def lines(self) -> Lines:
        return win.lines(self.window, self.input_shape, width(self.element))

    @property
    def output_row(self) -> int:
        """Elements of an output row."""
        return self.output_shape[2] * self.output_shape[3]

    @property
    def output_row_bytes(self) -> int:
        return self.output_row * width(self.element)


def read_tflite(operator: TfliteOperator) -> Conv2D:
    options = operator.options
    window = win.read_window(
        operator,
        win.filter_size(operator),
        (options.StrideH(), options.StrideW()),
        (options.DilationHFactor(), options.DilationWFactor()),
    )
    return Conv2D(window, read_clamp(options.FusedActivationFunction()))


def write_tflite(params: Conv2DInt) -> tuple[TfliteCode, ...]:
    pad, padding = win.tflite_padding(params.window, params.input_shape)
    fields = {
        "Padding": padding,
        "StrideH": params.window.stride[0],
        "StrideW": params.window.stride[1],
        "DilationHFactor": params.window.dilation[0],
        "DilationWFactor": params.window.dilation[1],
        "FusedActivationFunction": params.activation_code,
    }
    return (*pad, TfliteCode("CONV_2D", "Conv2DOptions", fields, version=3))


def infer_shapes(attrs: Conv2D, image: Shape, weights: Shape, bias: Shape | None = None) -> tuple[Shape, ...]:
    height, width = attrs.window.output_size(image[1], image[2])
    return ((image[0], height, width, weights[0]),)


def correlate(x: Array, weights: Array, window: Window, fill: float, matmul: Callable[..., Array]) -> Array:
    """Every window of x [n, h, w, in] times every filter of its group: [n·out_h·out_w, out]."""
    depth = weights.shape[3]
    groups = x.shape[3] // depth
    parts = []
    for group, filters in enumerate(np.split(weights, groups)):
        columns = win.columns(x[..., group * depth : (group + 1) * depth], window, fill)
        parts.append(matmul(columns, filters.reshape(len(filters), -1).T))
    return parts[0] if groups == 1 else np.concatenate(parts, axis=1)


def run_float(attrs: Conv2D, x: Array, weights: Array, bias: Array | None = None) -> Array:
    (shape,) = infer_shapes(attrs, x.shape, weights.shape)
    y = np.empty(shape, np.float32)
    for block in sample_blocks(len(x), shape[1] * shape[2] * max(weights[0].size, len(weights))):
        y[block] = correlate(x[block], weights, attrs.window, 0.0, np.matmul).reshape(-1, *shape[1:])
    if bias is not None:
        y += bias
    return attrs.activation.apply(y)


def whole_groups(graph: Graph, node: Node) -> bool:
    """Input channels are a multiple of the filter's depth, and each such group has equally many filters."""
    channels, depth = (graph.tensors[name].shape[3] for name in node.inputs[:2])
    return channels % depth == 0 and graph.tensors[node.inputs[1]].shape[0] % (channels // depth) == 0


def constant_weights(graph: Graph, node: Node) -> bool:
    """Weights and bias are constants."""
    return all(graph.is_constant(name) for name in node.inputs[1:])


def lower(attrs: Conv2D, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> Conv2DInt:
    image = inputs[0]
    channels = lower_channels(inputs, outputs[0], 0, attrs.activation)
    return Conv2DInt(
        input_shape=image.shape,
        output_shape=outputs[0].shape,
        element=channels.element,
        reduced=channels.reduced,
        accumulator=channels.accumulator,
        window=attrs.window,
        input_zero_point=int(image.qparams.zero_point[0]),
        output_zero_point=int(outputs[0].qparams.zero_point[0]),
        activation_min=channels.activation_min,
        activation_max=channels.activation_max,
        activation_code=tflite_code(attrs.activation),
        weights=channels.weights,
        bias=channels.bias,
        multiplier=channels.multiplier,
        shift=channels.shift,
    )


def run_int(params: Conv2DInt, x: Array) -> Array:
    out = np.empty((len(x), *params.output_shape[1:]), params.element)
    positions = params.output_shape[1] * params.output_shape[2]
    bias, matmul = params.folded_bias, partial(exact_matmul, peak=peak(params))
    for block in sample_blocks(len(x), positions * max(params.weights[0].size, len(params.weights))):
        sums = correlate(x[block], params.weights, params.window, params.input_zero_point, matmul)
        out[block] = requantize_channels(params, sums, bias).reshape(-1, *params.output_shape[1:])
    return out


def constants(params: Conv2DInt) -> Mapping[str, Array]:
    return channel_constants(params, params.folded_bias)


def scratch(params: Conv2DInt) -> int:
    """A ring of as many padded input lines as the kernel spans; none without padding."""
    return win.ring_bytes(params.window, params.input_shape, width(params.element))


def rows(params: Conv2DInt) -> Rows:
    return win.rows(params.window, params.input_shape, params.output_shape)


def leads(params: Conv2DInt) -> tuple[int, ...]:
    """Padded lines are copied before a row is computed, others read in their place."""
    widths = (width(params.element), width(params.element))
    return (win.lead(params.window, params.input_shape, params.output_shape, widths, params.window.padded),)


def work(params: Conv2DInt) -> Work:
    outputs = elements(params.output_shape)
    return Work(
        macs=outputs * params.weights[0].size,
        weight_bytes=params.weights.nbytes + params.bias.nbytes,
        activation_bytes=width(params.element) * (elements(params.input_shape) + outputs),
    )


OP = Op(
    name="conv_2d",
    summary="2-D and 1-D convolution, any stride, dilation, padding and groups",
    builtins=("CONV_2D",),
    attrs=Conv2D,
    params=Conv2DInt,
    operands=3,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(whole_groups, constant_weights, bias_of_64_or_32_bits),
    quantization=FREE,
    weight_axis=0,
    lower=lower,
    run_int=run_int,
    dtypes=SCALED,
    constants=constants,
    scratch=scratch,
    rows=rows,
    leads=leads,
    work=work,
)
