"""FULLY_CONNECTED: a matrix of weights over the flattened sample (or over its last axis), plus bias and activation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops.activation import NONE, Clamp, read_clamp, tflite_code
from tinyptq.ops.base import FREE, Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.channels import bias_of_64_or_32_bits, channel_constants, lower_channels, peak, requantize_channels
from tinyptq.ops.element import SCALED, width
from tinyptq.ops.requantize import exact_matmul, fold_zero_point
from tinyptq.program import Work


@dataclass(frozen=True)
class FullyConnected:
    """Weights are [out, in]. keep_dims: act on the last axis, [n, ..., in]; else flatten to [n, in]."""

    activation: Clamp = NONE
    keep_dims: bool = False


@dataclass(frozen=True, eq=False)
class FullyConnectedInt:
    """acc = Σ (x − input_zero_point) · w + bias; y = clamp(MBQM(acc, multiplier, shift) + output_zero_point)."""

    input_shape: Shape  # [1, ...]
    output_shape: Shape  # [1, out], or [1, ..., out] with keep_dims
    element: str  # of input and output: "int8" or "int16"
    reduced: bool  # sums are rescaled by 16 bits of the multiplier
    accumulator: str  # type that holds every sum: "int32" or "int64"
    keep_dims: bool
    input_zero_point: int
    output_zero_point: int
    activation_min: int
    activation_max: int
    activation_code: int  # TFLite's fused activation
    weights: Array  # int8 [out, in]
    bias: Array  # int32 [out], int64 where reduced
    multiplier: Array  # int32 [out]
    shift: Array  # int8 [out], positive is left

    @property
    def folded_bias(self) -> Array:
        """[out], of bias' type"""
        return fold_zero_point(self.bias, self.weights, 0, self.input_zero_point)

    @property
    def vectors(self) -> int:
        """How many input vectors one sample holds: 1 unless keep_dims."""
        return elements(self.input_shape) // self.depth

    @property
    def depth(self) -> int:
        return int(self.weights.shape[1])

    @property
    def channels(self) -> int:
        return int(self.weights.shape[0])


def read_tflite(operator: TfliteOperator) -> FullyConnected:
    options = operator.options
    if options is None:
        return FullyConnected()
    return FullyConnected(read_clamp(options.FusedActivationFunction()), bool(options.KeepNumDims()))


def write_tflite(params: FullyConnectedInt) -> tuple[TfliteCode, ...]:
    fields = {"FusedActivationFunction": params.activation_code, "KeepNumDims": params.keep_dims}
    version = 5 if params.keep_dims else 4
    return (TfliteCode("FULLY_CONNECTED", "FullyConnectedOptions", fields, version=version),)


def infer_shapes(attrs: FullyConnected, x: Shape, weights: Shape, bias: Shape | None = None) -> tuple[Shape, ...]:
    """Without keep_dims as many rows as the weights' columns divide the elements into, as TFLite does it."""
    return ((*x[:-1], weights[0]) if attrs.keep_dims else (elements(x) // weights[1], weights[0]),)


def run_float(attrs: FullyConnected, x: Array, weights: Array, bias: Array | None = None) -> Array:
    vectors = x if attrs.keep_dims else x.reshape(len(x), -1)
    y = vectors @ weights.T
    if bias is not None:
        y += bias
    return attrs.activation.apply(y)


def matching_depth(graph: Graph, node: Node) -> bool:
    """Weights are a matrix whose columns are the elements of one sample (or of its last axis, with keep_num_dims)."""
    x, weights = (graph.tensors[name].shape for name in node.inputs[:2])
    return len(weights) == 2 and weights[1] == (x[-1] if node.attrs.keep_dims else elements(x[1:]))


def constant_weights(graph: Graph, node: Node) -> bool:
    """Weights and bias are constants."""
    return all(graph.is_constant(name) for name in node.inputs[1:])


def symmetric_weights(graph: Graph, node: Node) -> bool:
    """Already quantized weights have zero point 0."""
    qparams = graph.tensors[node.inputs[1]].qparams
    return qparams is None or not qparams.zero_point.any()


def lower(attrs: FullyConnected, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> FullyConnectedInt:
    x = inputs[0]
    channels = lower_channels(inputs, outputs[0], 0, attrs.activation)
    return FullyConnectedInt(
        input_shape=x.shape,
        output_shape=outputs[0].shape,
        element=channels.element,
        reduced=channels.reduced,
        accumulator=channels.accumulator,
        keep_dims=attrs.keep_dims,
        input_zero_point=int(x.qparams.zero_point[0]),
        output_zero_point=int(outputs[0].qparams.zero_point[0]),
        activation_min=channels.activation_min,
        activation_max=channels.activation_max,
        activation_code=tflite_code(attrs.activation),
        weights=channels.weights,
        bias=channels.bias,
        multiplier=channels.multiplier,
        shift=channels.shift,
    )


def run_int(params: FullyConnectedInt, x: Array) -> Array:
    sums = exact_matmul(x.reshape(-1, params.depth), params.weights.T, peak=peak(params))
    return requantize_channels(params, sums, params.folded_bias).reshape(len(x), *params.output_shape[1:])


def constants(params: FullyConnectedInt) -> Mapping[str, Array]:
    return channel_constants(params, params.folded_bias)


def work(params: FullyConnectedInt) -> Work:
    return Work(
        macs=params.vectors * params.weights.size,
        weight_bytes=params.weights.nbytes + params.bias.nbytes,
        activation_bytes=width(params.element) * (elements(params.input_shape) + elements(params.output_shape)),
    )


OP = Op(
    name="fully_connected",
    summary="fully connected (dense) layer, over the whole sample or its last axis",
    builtins=("FULLY_CONNECTED",),
    attrs=FullyConnected,
    params=FullyConnectedInt,
    operands=3,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(matching_depth, constant_weights, symmetric_weights, bias_of_64_or_32_bits),
    quantization=FREE,
    weight_axis=0,
    lower=lower,
    run_int=run_int,
    dtypes=SCALED,
    constants=constants,
    work=work,
)
