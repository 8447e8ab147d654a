"""TRANSPOSE_CONV: every input pixel spreads a filter over the output (Conv2DTranspose), plus bias and activation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops.activation import NONE, Clamp, read_clamp, tflite_code
from tinyptq.ops.base import FREE, Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.channels import bias_of_64_or_16_bits, channel_constants, lower_channels, peak, requantize_channels
from tinyptq.ops.copies import int32
from tinyptq.ops.element import SCALED, width
from tinyptq.ops.requantize import exact_matmul, sample_blocks
from tinyptq.ops.window import MAX_SIDE, SAME_CODE, TFLITE_PADDING, VALID_CODE, filter_size, same_padding
from tinyptq.program import Work


@dataclass(frozen=True)
class TransposeConv:
    """Weights are [out, kernel_h, kernel_w, in]; all pairs are (height, width).

    Tap k of input pixel i falls on output i · stride + k − cropped; what falls outside of `size` is lost.
    """

    stride: tuple[int, int]
    cropped: tuple[int, int]
    size: tuple[int, int]
    activation: Clamp = NONE


@dataclass(frozen=True, eq=False)
class TransposeConvInt:
    """acc = Σ (x − input_zero_point) · w + bias; y = clamp(MBQM(acc, multiplier, shift) + output_zero_point)."""

    input_shape: Shape  # [1, h, w, in]
    output_shape: Shape  # [1, out_h, out_w, out]
    element: str  # of input and output: "int8" or "int16"
    reduced: bool  # sums are rescaled by 16 bits of the multiplier
    accumulator: str  # type that holds every sum: "int32" or "int64"
    stride: tuple[int, int]
    cropped: tuple[int, int]
    input_zero_point: int
    output_zero_point: int
    activation_min: int
    activation_max: int
    activation_code: int  # TFLite's fused activation
    weights: Array  # int8 [out, kernel_h, kernel_w, in]
    bias: Array  # int32 [out], int64 where reduced
    multiplier: Array  # int32 [out]
    shift: Array  # int8 [out], positive is left

    @property
    def kernel(self) -> tuple[int, int]:
        return self.weights.shape[1], self.weights.shape[2]

    @property
    def channels(self) -> int:
        return self.input_shape[3]

    @property
    def input_row(self) -> int:
        """Elements of an input row."""
        return self.input_shape[2] * self.channels

    @property
    def filter_row(self) -> int:
        """Bytes of one row of one filter."""
        return self.kernel[1] * self.channels

    @property
    def filter_bytes(self) -> int:
        """Bytes of one filter."""
        return self.kernel[0] * self.filter_row


def cropping(padding: str, size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns lost before the first output: the padding of the convolution this one transposes."""
    if padding == "valid":
        return 0, 0
    first, second = (same_padding(size[i], kernel[i], stride[i], 1)[0] for i in (0, 1))
    return first, second


def read_tflite(operator: TfliteOperator) -> TransposeConv:
    """Operands: output shape (the file's output has it resolved), weights, image, bias."""
    options, output = operator.options, operator.outputs[0].shape
    kernel, stride = filter_size(operator), (options.StrideH(), options.StrideW())
    if not all(1 <= side <= MAX_SIDE for side in (*kernel, *stride)) or len(output) != 4:
        raise TinyptqError("bad-window", f"{operator.builtin} with kernel {kernel}, stride {stride} to {list(output)}")
    if options.Padding() not in TFLITE_PADDING:
        raise TinyptqError("bad-window", f"{operator.builtin} with padding number {options.Padding()}")
    size = output[1], output[2]
    cropped = cropping(TFLITE_PADDING[options.Padding()], size, kernel, stride)
    return TransposeConv(stride, cropped, size, read_clamp(options.FusedActivationFunction()))


def write_tflite(params: TransposeConvInt) -> tuple[TfliteCode, ...]:
    size = params.output_shape[1], params.output_shape[2]
    shrunk = tuple(-(-size[i] // params.stride[i]) for i in (0, 1))
    same = cropping("same", size, params.kernel, params.stride) == params.cropped and shrunk == params.input_shape[1:3]
    fields = {
        "Padding": SAME_CODE if same else VALID_CODE,
        "StrideH": params.stride[0],
        "StrideW": params.stride[1],
        "FusedActivationFunction": params.activation_code,
    }
    operands = (int32(params.output_shape),)
    return (TfliteCode("TRANSPOSE_CONV", "TransposeConvOptions", fields, operands, version=4),)


def infer_shapes(attrs: TransposeConv, image: Shape, weights: Shape, bias: Shape | None = None) -> tuple[Shape, ...]:
    return ((image[0], *attrs.size, weights[0]),)


def spread(taps: Array, stride: tuple[int, int], cropped: tuple[int, int], size: tuple[int, int]) -> Array:
    """Σ of taps [n, h, w, kernel_h, kernel_w, out] where they fall in the output [n, *size, out]."""
    n, h, w, kernel_h, kernel_w, out = taps.shape
    rows, columns = stride[0] * (h - 1) + kernel_h, stride[1] * (w - 1) + kernel_w
    wanted = cropped[0] + size[0], cropped[1] + size[1]
    canvas = np.zeros((n, max(rows, wanted[0]), max(columns, wanted[1]), out), taps.dtype)
    for i in range(kernel_h):
        for j in range(kernel_w):
            below, right = i + rows - kernel_h + 1, j + columns - kernel_w + 1
            canvas[:, i : below : stride[0], j : right : stride[1]] += taps[:, :, :, i, j]
    return canvas[:, cropped[0] : wanted[0], cropped[1] : wanted[1]]


def matrix(weights: Array) -> Array:
    """Weights as the right side of a matmul: [in, kernel_h·kernel_w·out]."""
    return np.moveaxis(weights, 0, 2).reshape(-1, weights.shape[3]).T


def run_float(attrs: TransposeConv, x: Array, weights: Array, bias: Array | None = None) -> Array:
    shape = (*x.shape[:3], *weights.shape[1:3], len(weights))
    y = spread((x @ matrix(weights)).reshape(shape), attrs.stride, attrs.cropped, attrs.size)
    return attrs.activation.apply(y if bias is None else y + bias)


def fitting_depth(graph: Graph, node: Node) -> bool:
    """Input channels equal the filter's depth."""
    return graph.tensors[node.inputs[0]].shape[3] == graph.tensors[node.inputs[1]].shape[3]


def constant_weights(graph: Graph, node: Node) -> bool:
    """Weights and bias are constants."""
    return all(graph.is_constant(name) for name in node.inputs[1:])


def fitting_size(graph: Graph, node: Node) -> bool:
    """The padding is SAME or VALID for the output's size, and the output has the size such a padding gives."""
    attrs, image = node.attrs, graph.tensors[node.inputs[0]].shape
    _, *sides, _ = graph.tensors[node.inputs[1]].shape
    kernel = sides[0], sides[1]
    named = any(cropping(p, attrs.size, kernel, attrs.stride) == attrs.cropped for p in ("same", "valid"))
    return named and all(
        0 < attrs.size[i] <= attrs.stride[i] * image[1 + i] + kernel[i] for i in (0, 1)
    )


def lower(attrs: TransposeConv, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> TransposeConvInt:
    image = inputs[0]
    channels = lower_channels(inputs, outputs[0], 0, attrs.activation)
    return TransposeConvInt(
        input_shape=image.shape,
        output_shape=outputs[0].shape,
        element=channels.element,
        reduced=channels.reduced,
        accumulator=channels.accumulator,
        stride=attrs.stride,
        cropped=attrs.cropped,
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


def run_int(params: TransposeConvInt, x: Array) -> Array:
    """Sums of taps are exact: |acc| was proved to fit 32 or 47 bits, and float64 holds 53."""
    out = np.empty((len(x), *params.output_shape[1:]), params.element)
    right, (kernel_h, kernel_w) = matrix(params.weights), params.kernel
    size = params.output_shape[1], params.output_shape[2]
    for block in sample_blocks(len(x), params.input_shape[1] * params.input_shape[2] * right.shape[1]):
        centred = x[block].astype(np.int16) - params.input_zero_point
        products = exact_matmul(centred, right, peak=max(peak(params), 255)).astype(params.accumulator)
        taps = products.reshape(*centred.shape[:3], kernel_h, kernel_w, -1)
        sums = spread(taps, params.stride, params.cropped, size)
        out[block] = requantize_channels(params, sums, params.bias)
    return out


def constants(params: TransposeConvInt) -> Mapping[str, Array]:
    return channel_constants(params, params.bias)


def work(params: TransposeConvInt) -> Work:
    return Work(
        macs=params.input_shape[1] * params.input_shape[2] * params.weights.size,
        weight_bytes=params.weights.nbytes + params.bias.nbytes,
        activation_bytes=width(params.element) * (elements(params.input_shape) + elements(params.output_shape)),
    )


OP = Op(
    name="transpose_conv",
    summary="transposed 2-D convolution, any stride",
    builtins=("TRANSPOSE_CONV",),
    attrs=TransposeConv,
    params=TransposeConvInt,
    operands=3,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(fitting_depth, constant_weights, fitting_size, bias_of_64_or_16_bits),
    quantization=FREE,
    weight_axis=0,
    lower=lower,
    run_int=run_int,
    dtypes=SCALED,
    constants=constants,
    work=work,
    operand_order=(2, 1, 3),
)
