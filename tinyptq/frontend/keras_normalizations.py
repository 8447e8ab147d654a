"""Keras layers that scale and shift: by numbers known beforehand, or by mean and variance of the sample itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinyptq.frontend.keras_builder import Call, Value
from tinyptq.frontend.keras_config import bad_config, number
from tinyptq.graph import Array
from tinyptq.ops.activation import NONE
from tinyptq.ops.add import Add
from tinyptq.ops.l2_normalization import L2Normalization
from tinyptq.ops.mean import Mean
from tinyptq.ops.mul import Mul
from tinyptq.ops.reshape import Reshape
from tinyptq.ops.rsqrt import Rsqrt
from tinyptq.ops.squared_difference import SquaredDifference
from tinyptq.ops.sub import Sub


def affine(call: Call, scale: Array, shift: Array) -> Value:
    """x · scale + shift as Mul and Add by constants; a pass folds them into the convolution before them."""
    if not max(np.abs(scale).max(), np.abs(shift).max()) < np.finfo(np.float32).max:  # NaN fails too
        raise bad_config("scales or shifts by a number beyond float32")
    x = call.input
    scaled = call.emit("mul", Mul(NONE), (x.name, call.constant("scale", scale)), "scaled")
    return Value(call.emit("add", Add(NONE), (scaled, call.constant("shift", shift))), x.shape)


def require_last_axis(call: Call) -> None:
    axis = call.config.get("axis", -1)
    axes = axis if isinstance(axis, list) else [axis]
    if axes not in ([-1], [len(call.input.shape) - 1]):
        raise bad_config(f"axis={axis!r:.40} on the shape {call.input.shape}, only the last axis works")


def batch_normalization(call: Call) -> Value:
    """γ (x − μ) / √(σ² + ε) + β in double, once."""
    require_last_axis(call)
    channels = call.input.shape[-1]
    roles = ["gamma"] * bool(call.config.get("scale", True)) + ["beta"] * bool(call.config.get("center", True))
    arrays = call.weights(dict.fromkeys((*roles, "moving_mean", "moving_variance"), (channels,)))
    double = {role: array.astype(np.float64) for role, array in arrays.items()}
    variance = double["moving_variance"] + number(call.config, "epsilon", 1e-3)
    if (variance <= 0).any():
        raise bad_config("a variance is negative")
    scale = double.get("gamma", np.ones(channels)) / np.sqrt(variance)
    return affine(call, scale, double.get("beta", np.zeros(channels)) - double["moving_mean"] * scale)


def trailing_axes(call: Call) -> tuple[int, ...]:
    """The axes to normalize over, which must be the last ones, never the batch."""
    shape, axis = call.input.shape, call.config.get("axis", -1)
    axes = sorted(a % len(shape) if type(a) is int else 0 for a in (axis if isinstance(axis, list) else [axis]))
    if not axes or axes[0] < 1 or axes != [*range(axes[0], len(shape))]:
        raise bad_config(f"axis={axis!r:.40} on the shape {shape}, only the last axes work")
    return tuple(axes)


def layer_normalization(call: Call) -> Value:
    axes = trailing_axes(call)
    roles = ["gamma"] * bool(call.config.get("scale", True)) + ["beta"] * bool(call.config.get("center", True))
    arrays = call.weights(dict.fromkeys(roles, tuple(call.input.shape[axis] for axis in axes)))
    return last_axes_normalization(call, arrays, axes, number(call.config, "epsilon", 1e-3))


def group_normalization(call: Call) -> Value:
    """Mean and variance over rows, columns and the channels of a group; −1 groups are one per channel."""
    require_last_axis(call)
    channels = call.input.shape[-1]
    groups = call.config.get("groups", 32)
    groups = channels if groups == -1 else groups
    if type(groups) is not int or groups < 1 or channels % groups:
        raise bad_config(f"groups={groups!r:.40} of {channels} channels")
    roles = ["gamma"] * bool(call.config.get("scale", True)) + ["beta"] * bool(call.config.get("center", True))
    arrays = call.weights(dict.fromkeys(roles, (channels,)))
    return groups_normalization(call, arrays, groups, number(call.config, "epsilon", 1e-3))


def unit_normalization(call: Call) -> Value:
    require_last_axis(call)
    x = call.plain(call.input)
    return call.whole(call.emit("l2_normalization", L2Normalization(), (x,)))


def normalization(call: Call) -> Value:
    """(x − mean) / max(√variance, 1e-7), the numbers adapted (in the weights) or given (in the configuration)."""
    given = [call.config.get(key) for key in ("mean", "variance")]
    if given != [None, None]:
        mean, variance = (flat_numbers(value, call.input.shape[-1]) for value in given)
    else:
        scalar = call.config.get("axis", -1) in (None, [])
        if not scalar:
            require_last_axis(call)
        shape = () if scalar else (call.input.shape[-1],)
        arrays = call.weights({"mean": shape, "variance": shape, "count": None})
        mean, variance = (np.atleast_1d(arrays[role]).astype(np.float64) for role in ("mean", "variance"))
    scale = 1.0 / np.maximum(np.sqrt(np.maximum(variance, 0.0)), 1e-7)
    return affine(call, scale, -mean * scale)


def flat_numbers(value: Any, channels: int) -> Array:
    """A number, or one per channel with any number of brackets around, as float64 [1] or [channels]."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    items = value if isinstance(value, list) else [value]
    if len(items) not in (1, channels):
        raise bad_config(f"gives {len(items)} numbers for {channels} channels")
    return np.array([number({"value": item}, "value") for item in items])


def rescaling(call: Call) -> Value:
    scale, shift = (np.array([number(call.config, key, default)]) for key, default in (("scale", None), ("offset", 0)))
    return affine(call, scale, shift)


def last_axes_normalization(call: Call, arrays: Mapping[str, Array], axes: tuple[int, ...], epsilon: float) -> Value:
    """γ (x − μ) / √(σ² + ε) + β, mean μ and variance σ² over the axes of every sample, which are its last ones."""
    x = call.plain(call.input) if len(axes) > 1 else call.input.name
    last = (len(call.builder.tensors[x].shape) - 1,) if len(axes) == 1 else axes
    return Value(affinely(call, normalized(call, x, last, epsilon), arrays), call.input.shape)


def groups_normalization(call: Call, arrays: Mapping[str, Array], groups: int, epsilon: float) -> Value:
    """The same over all positions and the channels of a group, x held as [1, positions, groups, channels / groups]."""
    shape = call.input.shape
    positions, channels = math.prod(shape[1:-1]), shape[-1]
    source = call.shaped(call.input, (1, positions, groups, channels // groups), "groups")
    result = normalized(call, source, (1, 3), epsilon)
    whole = call.emit("reshape", Reshape(shape), (result,), "joined")
    return call.whole(affinely(call, whole, arrays))


def normalized(call: Call, x: str, axes: tuple[int, ...], epsilon: float) -> str:
    """(x − μ) / √(σ² + ε)"""
    mean = call.emit("mean", Mean(axes, True), (x,), "mean")
    squares = call.emit("squared_difference", SquaredDifference(), (x, mean), "squares")
    variance = call.emit("mean", Mean(axes, True), (squares,), "variance")
    positive = call.emit("add", Add(NONE), (variance, call.constant("epsilon", np.array([epsilon]))), "positive")
    root = call.emit("rsqrt", Rsqrt(), (positive,), "root")
    centred = call.emit("sub", Sub(NONE), (x, mean), "centred")
    return call.emit("mul", Mul(NONE), (centred, root), "normalized")


def affinely(call: Call, result: str, arrays: Mapping[str, Array]) -> str:
    """γ · result + β, as far as there are any."""
    if "gamma" in arrays:
        result = call.emit("mul", Mul(NONE), (result, call.constant("gamma", arrays["gamma"])), "scaled")
    if "beta" in arrays:
        result = call.emit("add", Add(NONE), (result, call.constant("beta", arrays["beta"])))
    return result
