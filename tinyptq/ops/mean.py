"""MEAN over any axes but the batch (global average pooling is MEAN over height and width)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.fixedpoint import quantize_multiplier
from tinyptq.ops.scaled_sum import scaled_sum_op


@dataclass(frozen=True)
class Mean:
    """axes: ascending, counted from the front, never 0."""

    axes: tuple[int, ...]
    keep_dims: bool = False


def mean_multiplier(real: float, count: int) -> tuple[int, int]:
    """Multiplier and shift of real / count: the division happens on the widened integer multiplier and truncates.

    Source: TFLite QuantizedMeanOrSum; measured against tflite-micro, which does the same for all axes.
    """
    multiplier, shift = quantize_multiplier(real)
    widening = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << widening) // count, shift - widening


OP = scaled_sum_op("mean", "mean over any axes, global average pooling among them", Mean, np.mean, mean_multiplier)
