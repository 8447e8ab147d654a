"""How each operator's attributes read when all its tensors get one more axis in front."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

Attrs = Any
Lift = Callable[[Attrs], Attrs]


def same(attrs: Attrs) -> Attrs:
    """Element by element, or over the last axes only."""
    return attrs


def later_axis(attrs: Attrs) -> Attrs:
    return replace(attrs, axis=attrs.axis + 1)


def later_axes(attrs: Attrs) -> Attrs:
    return replace(attrs, axes=tuple(axis + 1 for axis in attrs.axes))


def permuted(attrs: Attrs) -> Attrs:
    return replace(attrs, permutation=(0, *(axis + 1 for axis in attrs.permutation)))


def bordered(attrs: Attrs) -> Attrs:
    return replace(attrs, before=(0, *attrs.before), after=(0, *attrs.after))


def repeated(attrs: Attrs) -> Attrs:
    return replace(attrs, multiples=(1, *attrs.multiples))


def boxed(attrs: Attrs) -> Attrs:
    return replace(attrs, begin=(0, *attrs.begin), size=(1, *attrs.size))


def strided(attrs: Attrs) -> Attrs:
    return replace(
        attrs, begin=(0, *attrs.begin), step=(1, *attrs.step), count=(1, *attrs.count), shape=(1, *attrs.shape)
    )


def last_axis(attrs: Attrs) -> Attrs:
    """Vectors side by side stay side by side."""
    return replace(attrs, keep_dims=True)


ELEMENTWISE = (
    *("relu", "leaky_relu", "elu", "gelu", "silu", "hard_swish", "abs", "neg", "square", "sqrt", "rsqrt", "exp", "log"),
    *("logistic", "tanh", "quantize", "dequantize"),
)
BROADCASTING = ("add", "sub", "mul", "div", "maximum", "minimum", "squared_difference", "prelu", "batch_matmul")
LIFTS: dict[str, Lift] = {
    **dict.fromkeys(
        (*ELEMENTWISE, *BROADCASTING, "softmax", "log_softmax", "l2_normalization", "embedding_lookup"), same
    ),
    **dict.fromkeys(
        ("concatenation", "pack", "unpack", "split", "split_v", "gather", "arg_max", "arg_min"), later_axis
    ),
    **dict.fromkeys(("mean", "sum", "reduce_max", "reduce_min", "reverse_v2"), later_axes),
    **dict.fromkeys(("pad", "pad_v2", "mirror_pad"), bordered),
    "transpose": permuted,
    "tile": repeated,
    "slice": boxed,
    "strided_slice": strided,
    "fully_connected": last_axis,
}
JOINING = ("concatenation", "pack")  # whose constants have as many axes as their other operands
