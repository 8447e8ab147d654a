"""MAXIMUM: the larger of two tensors that broadcast, element by element."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.ops.extremum import extremum_op


@dataclass(frozen=True)
class Maximum:
    """The float operator has no attributes."""


OP = extremum_op("maximum", "larger", Maximum, np.maximum)
