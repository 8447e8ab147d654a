"""What layers with weights share: int8 weights, one scale per output channel, activations of int8 or int16 ("16x8").

Of int8 activations, and of int16 ones with a bias of 32 bits, sums have 32 bits and gemmlowp's two roundings. Of int16
ones otherwise they have 64 bits and are rescaled by 16 bits of the multiplier ("reduced"). Source: TFLite Micro's
kernels, which choose by the type of the bias; measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tinyptq.fixedpoint import reduce_multipliers, rescale, rescale_reduced
from tinyptq.graph import Array, Graph, Node
from tinyptq.ops.activation import Clamp, integer_bounds
from tinyptq.ops.base import Operand
from tinyptq.ops.element import limits, scaled_element
from tinyptq.ops.requantize import (
    accumulator_bound,
    channel_multipliers,
    prove_no_overflow,
    prove_reducible,
    requantize,
)

INT8_REACH = 255  # |x − zero_point|
INT16_REACH = 1 << 15


@dataclass(frozen=True, eq=False)
class Channels:
    """Integers of every such layer. bias: int64 where reduced, else int32. accumulator: type that holds every sum."""

    element: str
    reduced: bool
    accumulator: str
    activation_min: int
    activation_max: int
    weights: Array
    bias: Array
    multiplier: Array
    shift: Array


class Weighted(Protocol):
    """Params of such a layer."""

    @property
    def element(self) -> str: ...
    @property
    def reduced(self) -> bool: ...
    @property
    def accumulator(self) -> str: ...
    @property
    def output_zero_point(self) -> int: ...
    @property
    def activation_min(self) -> int: ...
    @property
    def activation_max(self) -> int: ...
    @property
    def weights(self) -> Array: ...
    @property
    def multiplier(self) -> Array: ...
    @property
    def shift(self) -> Array: ...


def lower_channels(inputs: tuple[Operand, ...], output: Operand, axis: int, activation: Clamp) -> Channels:
    """inputs: activation, weights with output channels along axis, perhaps a bias. Every sum is proved to fit."""
    x, weight, *rest = inputs
    name = scaled_element(x, output)
    assert weight.data is not None
    count = weight.data.shape[axis]
    given = rest[0].data if rest else None
    reduced = name == "int16" and (given is None or given.dtype != np.int32)
    bias = np.zeros(count, np.int32) if given is None else given
    bias = bias.astype(np.int64) if reduced else bias
    multiplier, shift = channel_multipliers(x, weight, output, count)
    bound = accumulator_bound(weight.data, bias, axis, INT8_REACH if name == "int8" else INT16_REACH)
    if reduced:
        prove_reducible(bound, multiplier, shift)
    else:
        prove_no_overflow(bound, shift)
    accumulator = "int32" if bound.max(initial=0) < 2.0**31 else "int64"
    low, high = integer_bounds(activation, output.qparams, *limits(name))
    return Channels(name, reduced, accumulator, low, high, weight.data, bias, multiplier, shift)


def requantize_channels(params: Weighted, accumulator: Array, bias: Array) -> Array:
    """Sums [..., channels] without bias, exact integers of any type -> outputs of the layer's element type."""
    multiplier, shift = params.multiplier, params.shift
    if params.reduced:
        multiplier, shift = reduce_multipliers(multiplier, shift)
    return requantize(
        accumulator,
        multiplier,
        shift,
        params.output_zero_point,
        params.activation_min,
        params.activation_max,
        dtype=params.element,
        bias=bias,
        rescaling=rescale_reduced if params.reduced else rescale,
    )


def channel_constants(params: Weighted, bias: Array) -> Mapping[str, Array]:
    """Arguments of the portable kernels: where reduced, multipliers have 16 bits and shifts go right."""
    multiplier, shift = params.multiplier, params.shift
    if params.reduced:
        pair = reduce_multipliers(multiplier, shift)
        multiplier, shift = pair[0].astype(np.int16), pair[1].astype(np.int8)
    return {
        "weights": params.weights,
        "bias": bias.astype(params.accumulator),
        "multiplier": multiplier,
        "shift": shift,
    }


def peak(params: Weighted) -> int:
    """The largest |x| of the layer's input."""
    return -limits(params.element)[0]


def fitting_types(graph: Graph, node: Node, wide: tuple[str, ...]) -> bool:
    """Does a quantized file have int8 weights, and a bias of int32, or of one of `wide` beside int16 activations?"""
    x, weights, *bias = (graph.tensors[name] for name in node.inputs)
    if x.dtype.kind == "f":
        return True
    accepted = wide if x.dtype == np.int16 else ("int32",)
    return weights.dtype == np.int8 and all(str(tensor.dtype) in accepted for tensor in bias)


def bias_of_64_or_32_bits(graph: Graph, node: Node) -> bool:
    """Already quantized weights are int8, their bias int32; beside int16 activations it is int64 or int32."""
    return fitting_types(graph, node, ("int64", "int32"))


def bias_of_64_bits(graph: Graph, node: Node) -> bool:
    """Already quantized weights are int8, their bias int32; beside int16 activations it is int64."""
    return fitting_types(graph, node, ("int64",))


def bias_of_64_or_16_bits(graph: Graph, node: Node) -> bool:
    """Already quantized weights are int8, their bias int32; beside int16 activations it is int64 or int16."""
    return fitting_types(graph, node, ("int64", "int16"))
