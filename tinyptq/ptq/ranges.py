"""Ranges -> scales and zero points, and integers of constants: TFLite's 8-bit quantization specification."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyptq.fixedpoint import round_half_away, round_half_away_array
from tinyptq.graph import Array, QParams
from tinyptq.ops.base import INT8
from tinyptq.ptq.recipe import ConstantChoice

LARGEST_BIAS = 2.0**29  # leaves room for the products in a 32-bit accumulator


def activation_qparams(low: float, high: float) -> QParams:
    """Asymmetric int8 over [min(low, 0), max(high, 0)]; zero is exact. A range of zero gets scale 1/255."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32((high - low) / 255.0)
    if not scale > np.finfo(np.float32).tiny:
        return QParams.per_tensor(1.0 / 255.0, -128)
    zero_point = round_half_away(-128.0 - low / float(scale))
    return QParams.per_tensor(float(scale), min(max(zero_point, -128), 127))


def quantize_array(values: Array, qparams: QParams, dtype: np.dtype[Any] = INT8) -> Array:
    """float -> integers: round half away from zero of the float32 quotient, plus zero point, clamped to the type."""
    info = np.iinfo(dtype)
    quotient = values.astype(np.float32) / qparams.scale[0]
    limited = np.clip(quotient.astype(np.float64), -(2.0**33), 2.0**33)
    shifted = round_half_away_array(limited) + int(qparams.zero_point[0])
    return np.asarray(np.clip(shifted, info.min, info.max), dtype)  # NumPy makes scalars of 0-d arrays


def dequantize_array(values: Array, qparams: QParams) -> Array:
    """integers -> float32."""
    centred = values.astype(np.int64) - int(qparams.zero_point[0])
    real: Array = centred.astype(np.float32) * qparams.scale[0]
    return real


def weight_choice(weights: Array, bias: Array | None, axis: int, input_scale: float) -> ConstantChoice:
    """Symmetric per-channel int8 in [-127, 127]; a channel's scale grows until its bias fits 30 bits.

    weights: float32; axis: output channels; bias: float32 [out] or None; input_scale: of the layer's input.
    """
    others = tuple(i for i in range(weights.ndim) if i != axis)
    largest = np.abs(weights.astype(np.float64)).max(axis=others)
    scale = largest / 127.0
    if bias is not None:
        scale = np.maximum(scale, np.abs(bias.astype(np.float64)) / (input_scale * LARGEST_BIAS))
    scale = np.where(scale > 1e-30, scale, 1.0).astype(np.float32)
    shape = [1] * weights.ndim
    shape[axis] = len(scale)
    quotient = weights.astype(np.float64) / scale.astype(np.float64).reshape(shape)
    values = np.clip(round_half_away_array(quotient), -127, 127).astype(np.int8)
    return ConstantChoice(values, QParams(scale, np.zeros(len(scale), np.int32), axis), "symmetric per channel")


def bias_choice(bias: Array, weights: ConstantChoice, input_scale: float) -> ConstantChoice:
    """int32 with scale input_scale · weight_scale[c], zero point 0."""
    scale = np.float64(input_scale) * weights.qparams.scale.astype(np.float64)
    values = np.clip(round_half_away_array(bias.astype(np.float64) / scale), -(2**31) + 1, 2**31 - 1)
    qparams = QParams(scale.astype(np.float32), np.zeros(len(scale), np.int32), 0)
    return ConstantChoice(values.astype(np.int32), qparams, "input scale times weight scale")
