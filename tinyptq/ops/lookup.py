"""int8 -> int8 functions of one element: computed once for all 256 inputs, then looked up, here and in C."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import round_half_away
from tinyptq.graph import Array, QParams, Shape
from tinyptq.ops.base import FREE, Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.program import Work

SMALLEST_SCALE = np.finfo(np.float32).tiny
MAX_SHIFT = 23  # 255 · 2^23 < 2^31: a centred input stays in int32 before it is rescaled


def tabulate(function: Callable[[Array], Array]) -> Array:
    """int8 [256]: function of every int8 value, at the place of its byte read as unsigned."""
    return function(np.arange(256).astype(np.uint8).view(np.int8).astype(np.int64)).astype(np.int8)


def look_up(table: Array, x: Array) -> Array:
    """table[x] for an int8 array x of any shape."""
    y: Array = table.take(x.view(np.uint8))  # three times as fast as table[…]
    return y


def input_radius(integer_bits: int, left_shift: int) -> int:
    """Largest |x| that stays within integer_bits integer bits of Q(integer_bits) after · 2^left_shift.

    Source: TFLite CalculateInputRadius.
    """
    return ((1 << integer_bits) - 1) * (1 << (31 - integer_bits)) >> left_shift


def require_left_shift(shift: int, qparams: QParams) -> None:
    """TFLite's fixed-point functions only ever shift their input left."""
    if shift < 0:
        raise TinyptqError(
            "scale-out-of-range",
            f"the input's scale {float(qparams.scale[0]):.3g} is too fine for a fixed-point exponential",
            hint="calibrate with data for which this input is not always zero",
        )


def require_small_shift(shift: int, output: QParams) -> None:
    """A centred int8 value, rescaled, must stay in int32."""
    if shift > MAX_SHIFT:
        raise TinyptqError(
            "scale-out-of-range",
            f"the output's scale {float(output.scale[0]):.3g} is millions of times finer than the input's",
            hint="calibrate with data for which this output is not always zero",
        )


def require_int8(*operands: Operand) -> None:
    """Integers are int8, scales positive, zero points among the integers: files of others may say anything."""
    for operand in operands:
        scale, zero_point = operand.qparams.scale[0], int(operand.qparams.zero_point[0])
        if operand.dtype != np.int8:
            raise TinyptqError("unsupported-type", f"integers of type {operand.dtype}, only int8 works here")
        if not (scale >= SMALLEST_SCALE and -128 <= zero_point <= 127):
            raise TinyptqError("scale-out-of-range", f"scale {scale:.3g} with zero point {zero_point}")


def require_int16(*operands: Operand) -> None:
    """The same of int16, which is symmetric: TFLite's specification knows no other zero point."""
    for operand in operands:
        scale, zero_point = operand.qparams.scale[0], int(operand.qparams.zero_point[0])
        if operand.dtype != np.int16:
            raise TinyptqError("unsupported-type", f"integers of type {operand.dtype} beside int16")
        if not (scale >= SMALLEST_SCALE and zero_point == 0):
            raise TinyptqError("scale-out-of-range", f"int16 of scale {scale:.3g} with zero point {zero_point}, not 0")


# Operators that are nothing but a table.


@dataclass(frozen=True, eq=False)
class TableInt8:
    """y = table[x read as an unsigned byte]."""

    shape: Shape
    table: Array  # int8 [256]

    @property
    def size(self) -> int:
        return elements(self.shape)


def real_table(function: Callable[[float], float], source: Operand, result: Operand) -> TableInt8:
    """The table of a function of real numbers: clamp(round(f((x − zero_point_in) · s_in) / s_out) + zero_point_out).

    In float64 by the C library, one rounding, half away from zero; infinities saturate.
    """
    require_int8(source, result)
    scale, zero_point = float(source.qparams.scale[0]), int(source.qparams.zero_point[0])

    def quantized(x: int) -> int:
        return saturated(function((x - zero_point) * scale), result.qparams)

    return TableInt8(source.shape, tabulate(lambda x: np.array([quantized(int(value)) for value in x])))


def saturated(real: float, qparams: QParams) -> int:
    """real as an int8 of this quantization: rounded half away from zero, limited."""
    quotient = min(max(real / float(qparams.scale[0]), -1024.0), 1024.0)
    return min(max(round_half_away(quotient) + int(qparams.zero_point[0]), -128), 127)


def gather_codes(params: TableInt8) -> tuple[TfliteCode, ...]:
    """The table as operators that tflite-micro runs, byte by byte: CAST to int32, ADD 128, GATHER from the table.

    For functions that TFLite does not know, or not in int8.
    """
    int32 = np.dtype(np.int32)
    table = np.roll(params.table, 128)  # from −128 upwards
    offset = (np.array([128], np.int32),)
    return (
        TfliteCode("CAST", shape=params.shape, dtype=int32),
        TfliteCode("ADD", "AddOptions", {"PotScaleInt16": False}, offset, params.shape, dtype=int32),
        TfliteCode("GATHER", "GatherOptions", leading=(table,)),
    )


def same_shape(attrs: Any, x: Shape) -> tuple[Shape, ...]:
    return (x,)


def table_constants(params: Any) -> dict[str, Array]:
    return {"table": params.table}


def table_work(params: Any) -> Work:
    return Work(0, params.table.nbytes, 2 * params.size)


def run_table(params: Any, x: Array) -> Array:
    return look_up(params.table, x)


def table_op(
    name: str,
    summary: str,
    attrs: type,
    run_float: Callable[..., Array],
    lower: Callable[[Any, tuple[Operand, ...], tuple[Operand, ...]], Any],
    builtins: tuple[str, ...] = (),
    params: type = TableInt8,
    read_tflite: Callable[[TfliteOperator], Any] | None = None,
    write_tflite: Callable[[Any], tuple[TfliteCode, ...]] = gather_codes,
) -> Op:
    """The record of a one-operand operator whose params have shape, size and table."""
    return Op(
        name=name,
        summary=summary,
        builtins=builtins,
        attrs=attrs,
        params=params,
        operands=1,
        read_tflite=read_tflite or (lambda operator: attrs()),
        write_tflite=write_tflite,
        infer_shapes=same_shape,
        run_float=run_float,
        quantization=FREE,
        lower=lower,
        run_int=run_table,
        constants=table_constants,
        work=table_work,
    )
