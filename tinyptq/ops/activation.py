"""Fused activations: a clamp on the real line, and what it becomes on integers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import round_half_away
from tinyptq.graph import Array, QParams


@dataclass(frozen=True)
class Clamp:
    """Real bounds of a fused activation; infinite when open."""

    low: float = -math.inf
    high: float = math.inf

    def apply(self, x: Array) -> Array:
        return np.clip(x, np.float32(self.low), np.float32(self.high)) if self != NONE else x


NONE = Clamp()
FAR = 2.0**32  # steps; beyond every integer, also where the scale is so small that the quotient overflows
RELU = Clamp(0.0)
RELU6 = Clamp(0.0, 6.0)
RELU_N1_TO_1 = Clamp(-1.0, 1.0)

# tflite.ActivationFunctionType
TFLITE_CODES = {0: NONE, 1: RELU, 2: RELU_N1_TO_1, 3: RELU6}


def read_clamp(code: int) -> Clamp:
    """The clamp of a .tflite file's fused activation."""
    if code not in TFLITE_CODES:
        raise TinyptqError(
            "unsupported-activation",
            f"fused activation number {code}",
            hint="supported: none, RELU (1), RELU_N1_TO_1 (2), RELU6 (3)",
        )
    return TFLITE_CODES[code]


def tflite_code(clamp: Clamp) -> int:
    """The fused activation to write; 0 for a clamp TFLite cannot name (its bounds are then implied by the range)."""
    return next((code for code, known in TFLITE_CODES.items() if known == clamp), 0)


def intersect(first: Clamp, second: Clamp) -> Clamp:
    """clamp by first, then by second, as one clamp."""
    low, high = (min(max(bound, second.low), second.high) for bound in (first.low, first.high))
    return Clamp(low, high)


def integer_bounds(clamp: Clamp, qparams: QParams, low: int = -128, high: int = 127) -> tuple[int, int]:
    """(min, max) of the quantized output. bound = zero_point + round(real / scale) with a float32 division.

    Source: TFLite CalculateActivationRangeQuantized.
    """
    scale, zero_point = np.float32(qparams.scale[0]), int(qparams.zero_point[0])

    def quantized(real: float) -> int:
        with np.errstate(over="ignore"):
            steps = float(np.float32(real) / scale)
        return zero_point + round_half_away(min(max(steps, -FAR), FAR))

    bottom = max(low, quantized(clamp.low)) if math.isfinite(clamp.low) else low
    top = min(high, quantized(clamp.high)) if math.isfinite(clamp.high) else high
    return bottom, top
