"""The integer type of what a layer computes on: `element` in its params, "int8", "int16" or "int32"."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, QParams, Shape
from tinyptq.ops.base import Operand
from tinyptq.program import Work

SCALED = ("int8", "int16")  # types of elements that stand for real numbers
INTEGERS = ("int8", "int16", "int32")  # types of elements that are only moved or compared
SMALLEST_SCALE = np.finfo(np.float32).tiny


def element(operand: Operand) -> str:
    """What the type of an operand is called in params."""
    return str(operand.dtype)


def limits(name: str) -> tuple[int, int]:
    """The smallest and the largest integer of a type."""
    info = np.iinfo(name)
    return int(info.min), int(info.max)


def width(name: str) -> int:
    """Bytes of an element."""
    return int(np.dtype(name).itemsize)


def every_value(name: str) -> Array:
    """All values of a narrow type at the places of their bits read as unsigned, int64 [256] or [65536]."""
    signed: np.dtype[Any] = np.dtype(name)
    return np.arange(1 << (8 * signed.itemsize)).astype(f"u{name}").view(signed).astype(np.int64)


def one_element(*operands: Operand) -> str:
    """The one type of these operands."""
    name = element(operands[0])
    for operand in operands:
        if element(operand) != name:
            raise TinyptqError("unsupported-type", f"integers of type {operand.dtype} beside {name}")
    return name


def scaled_element(*operands: Operand) -> str:
    """The one type of these operands, int8 or int16; scales positive, zero points in range, none in int16.

    Files of others may say anything; TFLite's specification knows int16 only symmetric.
    """
    name = one_element(*operands)
    if name not in SCALED:
        raise TinyptqError("unsupported-type", f"integers of type {name}, only int8 and int16 work here")
    require_scales(*operands)
    return name


def require_scales(*operands: Operand) -> None:
    """Scales float32 can divide by, and zero points that the type has: only 0 of int16."""
    for operand in operands:
        scale, zero_point = operand.qparams.scale[0], int(operand.qparams.zero_point[0])
        low, high = (0, 0) if operand.dtype == np.int16 else limits(element(operand))
        if not (scale >= SMALLEST_SCALE and low <= zero_point <= high):
            why = f", not {low}" if low == high else ""
            what = f"{operand.dtype} of scale {scale:.3g} with zero point {zero_point}{why}"
            raise TinyptqError("scale-out-of-range", what)


def require_plain(*operands: Operand) -> None:
    """int32 elements that are numbers, not steps of a scale: all TFLite computes on in this type."""
    for operand in operands:
        scale, zero_point = float(operand.qparams.scale[0]), int(operand.qparams.zero_point[0])
        if element(operand) != "int32" or (scale, zero_point) != (1.0, 0):
            raise TinyptqError(
                "unsupported-type",
                f"{operand.dtype} of scale {scale:.3g}, zero point {zero_point}, where int32 has to be plain numbers",
            )


def require_reach(reach: int, shift: int, output: QParams) -> None:
    """Integers up to `reach` in magnitude, shifted left by `shift`, must stay in int32 before they are rescaled."""
    if reach << max(shift, 0) > 1 << 31:
        raise TinyptqError(
            "scale-out-of-range",
            f"the output's scale {float(output.scale[0]):.3g} is too fine for what it is computed from",
            hint="calibrate with data for which this output is not always zero",
        )


def touched(name: str, *shapes: Shape) -> Work:
    """Every element of these tensors is read or written once, nothing is multiplied."""
    return Work(0, 0, width(name) * sum(prod(shape) for shape in shapes))
