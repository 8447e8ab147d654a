"""DEPTHWISE_CONV_2D: every input channel has its own filters, `multiplier` of them; plus bias and activation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops import window as win
from tinyptq.ops.activation import NONE, Clamp, read_clamp, tflite_code
from tinyptq.ops.base import FREE, Op, Operand, Rows, TfliteCode, TfliteOperator, elements
from tinyptq.ops.channels import bias_of_64_bits, channel_constants, lower_channels, peak, requantize_channels
from tinyptq.ops.element import SCALED, width
from tinyptq.ops.requantize import exact_dtype, fold_zero_point, sample_blocks
from tinyptq.ops.window import Lines, Window
from tinyptq.program import Work


@dataclass(frozen=True)
class DepthwiseConv2D:
    """Weights are [1, kernel_h, kernel_w, in·multiplier]; output channel ic·multiplier + m reads input channel ic."""

    window: Window
    multiplier: int = 1
    activation: Clamp = NONE


@dataclass(frozen=True, eq=False)
class DepthwiseConv2DInt:
    """acc = Σ (x − input_zero_point) · w + bias over one channel; y = clamp(MBQM(acc) + output_zero_point)."""

    input_shape: Shape  # [1, h, w, in]
    output_shape: Shape  # [1, out_h, out_w, in·depth_multiplier]
    element: str  # of input and output: "int8" or "int16"
    reduced: bool  # sums are rescaled by 16 bits of the multiplier
    accumulator: str  # type that holds every sum: "int32" or "int64"
    window: Window
    depth_multiplier: int
    input_zero_point: int
    output_zero_point: int
    activation_min: int
    activation_max: int
    activation_code: int  # TFLite's fused activation
    weights: Array  # int8 [1, kernel_h, kernel_w, out]
    bias: Array  # int32 [out], int64 where reduced
    multiplier: Array  # int32 [out]
    shift: Array  # int8 [out], positive is left

    @property
    def folded_bias(self) -> Array:
        """[out], of bias' type"""
        return fold_zero_point(self.bias, self.weights, 3, self.input_zero_point)

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

    @property
    def weight_row_bytes(self) -> int:
        """From one kernel row to the next."""
        return self.window.kernel[1] * self.output_shape[3]


def read_tflite(operator: TfliteOperator) -> DepthwiseConv2D:
    options = operator.options
    window = win.read_window(
        operator,
        win.filter_size(operator),
        (options.StrideH(), options.StrideW()),
        (options.DilationHFactor(), options.DilationWFactor()),
    )
    image, weights = operator.inputs[:2]
    assert image is not None and weights is not None
    # The file's DepthMultiplier is redundant, and 0 in some files: the shapes say it.
    multiplier = weights.shape[3] // max(image.shape[3], 1)
    return DepthwiseConv2D(window, multiplier, read_clamp(options.FusedActivationFunction()))


def write_tflite(params: DepthwiseConv2DInt) -> tuple[TfliteCode, ...]:
    pad, padding = win.tflite_padding(params.window, params.input_shape)
    fields = {
        "Padding": padding,
        "StrideH": params.window.stride[0],
        "StrideW": params.window.stride[1],
        "DepthMultiplier": params.depth_multiplier,
        "DilationHFactor": params.window.dilation[0],
        "DilationWFactor": params.window.dilation[1],
        "FusedActivationFunction": params.activation_code,
    }
    return (*pad, TfliteCode("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", fields, version=3))


def infer_shapes(attrs: DepthwiseConv2D, image: Shape, weights: Shape, bias: Shape | None = None) -> tuple[Shape, ...]:
    height, width = attrs.window.output_size(image[1], image[2])
    return ((image[0], height, width, weights[3]),)


def correlate(x: Array, weights: Array, window: Window, multiplier: int) -> Array:
    """Per-channel correlation in x's own float dtype: x [n, h, w, in] padded, weights [1, kh, kw, in·multiplier].

    Tap by tap over whole lines; with a multiplier, one small matmul per input channel.
    """
    height, width = (
        (size - extent) // stride + 1
        for size, extent, stride in zip(x.shape[1:3], window.extent, window.stride, strict=True)
    )
    out = np.zeros((len(x), height, width, weights.shape[3]), x.dtype)
    if multiplier > 1:
        for channel in range(x.shape[3]):
            chosen = slice(channel * multiplier, (channel + 1) * multiplier)
            columns = win.columns(x[..., channel : channel + 1], unpadded(window), 0)
            filters = weights[..., chosen].reshape(-1, multiplier)
            out[..., chosen] = (columns @ filters).reshape(len(x), height, width, multiplier)
        return out
    product = np.empty_like(out)
    for row, column in np.ndindex(*window.kernel):
        top, left = row * window.dilation[0], column * window.dilation[1]
        rows = slice(top, top + (height - 1) * window.stride[0] + 1, window.stride[0])
        columns_ = slice(left, left + (width - 1) * window.stride[1] + 1, window.stride[1])
        np.multiply(x[:, rows, columns_], weights[0, row, column], out=product)
        out += product
    return out


def unpadded(window: Window) -> Window:
    return Window(window.kernel, window.stride, window.dilation)


def run_float(attrs: DepthwiseConv2D, x: Array, weights: Array, bias: Array | None = None) -> Array:
    (shape,) = infer_shapes(attrs, x.shape, weights.shape)
    y = np.empty(shape, np.float32)
    for block in sample_blocks(len(x), 4 * elements(shape[1:])):
        y[block] = correlate(win.padded(x[block], attrs.window, 0.0), weights, attrs.window, attrs.multiplier)
    if bias is not None:
        y += bias
    return attrs.activation.apply(y)


def whole_multiplier(graph: Graph, node: Node) -> bool:
    """Filters are [1, height, width, channels · depth multiplier]."""
    image, weights = (graph.tensors[name].shape for name in node.inputs[:2])
    return len(weights) == 4 and weights[0] == 1 and weights[3] == image[3] * node.attrs.multiplier


def constant_weights(graph: Graph, node: Node) -> bool:
    """Weights and bias are constants."""
    return all(graph.is_constant(name) for name in node.inputs[1:])


def lower(attrs: DepthwiseConv2D, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> DepthwiseConv2DInt:
    image = inputs[0]
    channels = lower_channels(inputs, outputs[0], 3, attrs.activation)
    return DepthwiseConv2DInt(
        input_shape=image.shape,
        output_shape=outputs[0].shape,
        element=channels.element,
        reduced=channels.reduced,
        accumulator=channels.accumulator,
        window=attrs.window,
        depth_multiplier=attrs.multiplier,
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


def run_int(params: DepthwiseConv2DInt, x: Array) -> Array:
    out = np.empty((len(x), *params.output_shape[1:]), params.element)
    reach = peak(params) * float(np.abs(params.weights.astype(np.int64)).sum(axis=(0, 1, 2)).max())
    dtype = exact_dtype(reach)
    weights, bias = params.weights.astype(dtype), params.folded_bias
    for block in sample_blocks(len(x), 4 * elements(params.output_shape)):
        image = win.padded(x[block], params.window, params.input_zero_point).astype(dtype)
        sums = correlate(image, weights, params.window, params.depth_multiplier)
        out[block] = requantize_channels(params, sums, bias)
    return out


def constants(params: DepthwiseConv2DInt) -> Mapping[str, Array]:
    return channel_constants(params, params.folded_bias)


def scratch(params: DepthwiseConv2DInt) -> int:
    """A ring of as many padded input lines as the kernel spans; none without padding."""
    return win.ring_bytes(params.window, params.input_shape, width(params.element))


def rows(params: DepthwiseConv2DInt) -> Rows:
    return win.rows(params.window, params.input_shape, params.output_shape)


def leads(params: DepthwiseConv2DInt) -> tuple[int, ...]:
    """Padded lines are copied before a row is computed, others read in their place."""
    widths = (width(params.element), width(params.element))
    return (win.lead(params.window, params.input_shape, params.output_shape, widths, params.window.padded),)


def work(params: DepthwiseConv2DInt) -> Work:
    outputs = elements(params.output_shape)
    return Work(
        macs=outputs * params.window.kernel[0] * params.window.kernel[1],
        weight_bytes=params.weights.nbytes + params.bias.nbytes,
        activation_bytes=width(params.element) * (elements(params.input_shape) + outputs),
    )


OP = Op(
    name="depthwise_conv_2d",
    summary="2-D and 1-D depthwise convolution, any multiplier, stride, dilation and padding",
    builtins=("DEPTHWISE_CONV_2D",),
    attrs=DepthwiseConv2D,
    params=DepthwiseConv2DInt,
    operands=3,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(whole_multiplier, constant_weights, bias_of_64_bits),
    quantization=FREE,
    weight_axis=3,
    lower=lower,
    run_int=run_int,
    dtypes=SCALED,
    constants=constants,
    scratch=scratch,
    rows=rows,
    leads=leads,
    work=work,
)
