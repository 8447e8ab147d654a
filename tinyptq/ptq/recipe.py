"""What quantization decided, and why: per activation its range, per constant its integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyptq.graph import Array, QParams
from tinyptq.ops.base import INT8


@dataclass(frozen=True, eq=False)
class ActivationChoice:
    """Real range [low, high] kept by an integer activation, and the observer or rule it came from."""

    low: float
    high: float
    qparams: QParams
    reason: str
    dtype: np.dtype[Any] = INT8


@dataclass(frozen=True, eq=False)
class ConstantChoice:
    """Integers of a weight (int8), bias (int32) or constant operand (int8), and how they were rounded."""

    values: Array
    qparams: QParams
    reason: str


@dataclass(frozen=True, eq=False)
class Recipe:
    """Keyed by tensor name of the float graph; every activation and every constant operand has an entry."""

    activations: Mapping[str, ActivationChoice]
    constants: Mapping[str, ConstantChoice]
    warnings: tuple[str, ...] = ()
