"""ARG_MIN: where the smallest element along an axis lies; the first one where several are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.ops.arg_extremum import arg_extremum_op


@dataclass(frozen=True)
class ArgMin:
    """axis: counted from the front, never 0."""

    axis: int


OP = arg_extremum_op("arg_min", "smallest", ArgMin, np.argmin)
