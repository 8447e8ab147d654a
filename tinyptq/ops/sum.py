"""SUM over any axes but the batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.fixedpoint import quantize_multiplier
from tinyptq.ops.scaled_sum import scaled_sum_op


@dataclass(frozen=True)
class Sum:
    """axes: ascending, counted from the front, never 0."""

    axes: tuple[int, ...]
    keep_dims: bool = False


def sum_multiplier(real: float, count: int) -> tuple[int, int]:
    return quantize_multiplier(real)


OP = scaled_sum_op("sum", "sum over any axes", Sum, np.sum, sum_multiplier)
