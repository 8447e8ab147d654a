"""What convolution-like operators share: accumulate, rescale per channel, add the zero point, clamp."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import quantize_multipliers, rescale
from tinyptq.graph import Array
from tinyptq.ops.base import Operand

BLOCK = 1 << 14  # elements whose int64 intermediates stay in a 512 KB cache
WIDE_LIMIT = 2.0**47  # sums that TFLite rescales by 16 bits of the multiplier
WIDE_SHIFT = 7  # its largest left shift of them
Rescaling = Callable[[Array, Array, Any, Any], None]  # fixedpoint.rescale or rescale_reduced
TILE = 1 << 18  # float32 elements of a block of samples


def exact_dtype(reach: float) -> type[np.floating[Any]]:
    """The narrowest float in which every integer up to reach in magnitude is exact."""
    assert reach < 2.0**53, "accumulator leaves float64's exact integers"
    return np.float32 if reach < 2.0**24 else np.float64


def exact_matmul(a: Array, b: Array, peak: float | None = None) -> Array:
    """Integer a @ b through BLAS: float32 when every partial sum fits 24 bits, else float64 (53 bits).

    a: [..., k] values in int16 range, b: [k, m] int8; peak: a bound of |a| when known.
    Returns the exact product as a float array.
    """
    if peak is None:
        peak = float(np.abs(a).max(initial=0))
    dtype = exact_dtype(peak * float(np.abs(b.astype(np.int64)).sum(axis=0).max(initial=0)))
    product: Array = a.astype(dtype, copy=False) @ b.astype(dtype)
    return product


def requantize(
    accumulator: Array,
    multiplier: Array,
    shift: Array,
    zero_point: int,
    low: int,
    high: int,
    dtype: Any = np.int8,
    bias: Array | None = None,
    rescaling: Rescaling = rescale,
) -> Array:
    """clamp(rescaling(accumulator + bias) + zero_point): accumulator [..., channels] of exact integers.

    multiplier, shift, bias: [channels] or [1]. Source: ARITHMETIC contract, gemmlowp double rounding.
    """
    channels = accumulator.shape[-1]
    rows = accumulator.reshape(-1, channels)
    out: Array = np.empty(rows.shape, dtype)
    step = max(1, BLOCK // max(channels, 1))
    wide, scratch = np.empty((2, min(step, len(rows)), channels), np.int64)
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        x = wide[: len(block)]
        np.copyto(x, block, casting="unsafe")  # exact: floats of integers
        if bias is not None:
            x += bias
        rescaling(x, scratch[: len(block)], multiplier, shift)
        x += zero_point
        np.clip(x, low, high, out=x)
        out[start : start + step] = x
    return out.reshape(accumulator.shape)


def fold_zero_point(bias: Array, weights: Array, channel_axis: int, zero_point: int) -> Array:
    """bias − zero_point · Σw per output channel, of bias' type: Σ(x − zero_point)·w + bias becomes Σx·w + this.

    Exact for convolutions because padded taps hold the zero point; proved in range by prove_no_overflow.
    """
    others = tuple(axis for axis in range(weights.ndim) if axis != channel_axis)
    folded: Array = bias.astype(np.int64) - zero_point * weights.astype(np.int64).sum(axis=others)
    return folded.astype(bias.dtype)


def accumulator_bound(weights: Array, bias: Array, channel_axis: int, reach: int = 255) -> Array:
    """Per output channel the largest |Σ(x − zero_point)·w + bias| for |x − zero_point| <= reach (int8: 255).

    float64, so that a hostile bias cannot wrap around.
    """
    others = tuple(axis for axis in range(weights.ndim) if axis != channel_axis)
    bound: Array = np.abs(weights.astype(np.float64)).sum(axis=others) * reach + np.abs(bias.astype(np.float64))
    return bound


def sample_blocks(count: int, elements: int) -> Iterator[slice]:
    """Slices of the batch axis whose intermediates, `elements` numbers a sample, stay near the cache."""
    step = max(1, TILE // max(elements, 1))
    return (slice(start, start + step) for start in range(0, count, step))


def channel_multipliers(image: Operand, weight: Operand, output: Operand, channels: int) -> tuple[Array, Array]:
    """Multiplier and shift of s_in · s_w[c] / s_out per output channel, product in double.

    Source: TFLite PopulateConvolutionQuantizationParams.
    """
    real = float(image.qparams.scale[0]) * weight.qparams.scale.astype(np.float64)
    return quantize_multipliers(np.broadcast_to(real / float(output.qparams.scale[0]), (channels,)))


def prove_no_overflow(bound: Array, shift: Array) -> None:
    """Refuse when max|acc| · 2^max(shift, 0), plus a zero point, can leave int32. bound: [channels] of max|acc|."""
    reach = np.asarray(bound, np.float64) * 2.0 ** np.maximum(np.asarray(shift, np.int64), 0)
    if reach.max(initial=0) >= 2.0**31 - 256:
        channel = int(np.argmax(reach))
        raise TinyptqError(
            "accumulator-overflow",
            f"output channel {channel} can reach {reach[channel]:.3g}, beyond a 32-bit accumulator",
            hint="calibrate with data that exercises this layer, or retrain with smaller weights",
        )


def prove_reducible(bound: Array, multiplier: Array, shift: Array) -> None:
    """Refuse sums that TFLite does not rescale by 16 bits of the multiplier, or not to 32 bits. bound: [channels]."""
    reach = bound * np.asarray(multiplier, np.float64) * 2.0 ** (np.asarray(shift, np.float64) - 31)
    wrong = (bound >= WIDE_LIMIT) | (np.asarray(shift) > WIDE_SHIFT) | (reach >= 2.0**31 - 2**16)
    if wrong.any():
        channel = int(np.argmax(wrong))
        raise TinyptqError(
            "accumulator-overflow",
            f"output channel {channel} can reach {bound[channel]:.3g}, {reach[channel]:.3g} steps of the output",
            hint="int16 activations: below 2^47, at most 128 steps for one, and all of it below 2^31 steps",
        )
