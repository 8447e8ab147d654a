"""A function of one int8 element, known by its 256 values: what is left of float operators between integer ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array
from tinyptq.ops.base import Operand
from tinyptq.ops.lookup import TableInt, table_op


@dataclass(frozen=True)
class Function:
    """values: the output's integers for the inputs −128 … 127."""

    values: tuple[int, ...]


def run_float(attrs: Function, x: Array) -> Array:
    raise AssertionError("a function of integers is never a float layer")


def lower(attrs: Function, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> TableInt:
    table = np.roll(np.array(attrs.values, np.int8), 128)  # from 0 upwards, then −128 …
    return TableInt(inputs[0].shape, "int8", table)


OP = table_op(
    "function",
    "float operators of one int8 tensor, between DEQUANTIZE and QUANTIZE: their 256 values",
    Function,
    run_float,
    lower,
    dtypes=("int8",),
)
