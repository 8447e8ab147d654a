"""A function of one element that is no operator of its own: several operators on one tensor, seen as one.

int8: a table of its 256 values, from integers where the file computes in integers (`values`), else from reals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array
from tinyptq.ops.base import Operand
from tinyptq.ops.lookup import TableInt, real_table, table_op


@dataclass(frozen=True)
class Function:
    """values: the output's integers for the inputs −128 … 127; else real: float32 array -> float32 array."""

    values: tuple[int, ...] = ()
    real: Callable[[Array], Array] | None = None


def run_float(attrs: Function, x: Array) -> Array:
    assert attrs.real is not None, "a function of integers is never a float layer"
    return attrs.real(x)


def lower(attrs: Function, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> TableInt:
    if attrs.real is not None:
        real = attrs.real
        return real_table(lambda x: float(real(np.array([x], np.float32))[0]), inputs[0], outputs[0])
    table = np.roll(np.array(attrs.values, np.int8), 128)  # from 0 upwards, then −128 …
    return TableInt(inputs[0].shape, "int8", table)


OP = table_op(
    "function",
    "several operators that together are a function of one element: comparisons, selections, powers, roundings, sines",
    Function,
    run_float,
    lower,
    dtypes=("int8",),
)
