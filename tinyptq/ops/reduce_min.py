"""REDUCE_MIN over any axes but the batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.ops.reduce_extremum import reduce_extremum_op


@dataclass(frozen=True)
class ReduceMin:
    """axes: ascending, counted from the front, never 0."""

    axes: tuple[int, ...]
    keep_dims: bool = False


OP = reduce_extremum_op("reduce_min", "minimum over any axes", ReduceMin, np.minimum)
