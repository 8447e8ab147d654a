"""REDUCE_MAX over any axes but the batch (global max pooling is REDUCE_MAX over height and width)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.ops.reduce_extremum import reduce_extremum_op


@dataclass(frozen=True)
class ReduceMax:
    """axes: ascending, counted from the front, never 0."""

    axes: tuple[int, ...]
    keep_dims: bool = False


OP = reduce_extremum_op("reduce_max", "maximum over any axes, global max pooling among them", ReduceMax, np.maximum)
