"""Functions of one element. int8: computed once for all 256 inputs, then looked up, here and in C. int16: at every
128th input, linear in between, where TFLite Micro has nothing better.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import round_half_away, round_half_away_array
from tinyptq.graph import Array, QParams, Shape
from tinyptq.ops.base import FREE, Op, Operand, TfliteCode, TfliteOperator, elements, in_place
from tinyptq.ops.element import SCALED, every_value, limits, scaled_element, width
from tinyptq.program import Work

MAX_SHIFT = 23  # 255 · 2^23 < 2^31: a centred input stays in int32 before it is rescaled


def tabulate(function: Callable[[Array], Array]) -> Array:
    """int8 [256]: function of every int8 value, at the place of its byte read as unsigned."""
    return function(every_value("int8")).astype(np.int8)


def look_up(table: Array, x: Array) -> Array:
    """table[x] for an int8 array x of any shape."""
    y: Array = table.take(x.view(np.uint8))  # three times as fast as table[…]
    return y


def interpolate(table: Array, x: Array) -> Array:
    """table [513] at x in [-2^15, 2^15), linear between entries 128 apart, ties up; int64. Source: TFLite LUTLookup."""
    entry = 256 + (x >> 7)
    low, high = table[entry].astype(np.int64), table[entry + 1].astype(np.int64)
    value: Array = low + (((high - low) * (x & 127) + 64) >> 7)
    return value


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


# Operators that are nothing but a table.


@dataclass(frozen=True, eq=False)
class TableInt:
    """int8: y = table[x read as an unsigned byte]. int16: y is between table[i] and table[i + 1], i = 256 + x / 128."""

    shape: Shape
    element: str
    table: Array  # int8 [256] or int16 [513]

    @property
    def size(self) -> int:
        return elements(self.shape)


def real_table(function: Callable[[float], float], source: Operand, result: Operand) -> TableInt:
    """The table of a function of real numbers: clamp(round(f((x − zero_point_in) · s_in) / s_out) + zero_point_out).

    In float64 by the C library, one rounding, half away from zero; infinities saturate.
    """
    name = scaled_element(source, result)
    if name == "int16":
        return TableInt(source.shape, name, knots(function, source.qparams, result.qparams))
    scale, zero_point = float(source.qparams.scale[0]), int(source.qparams.zero_point[0])

    def quantized(x: int) -> int:
        return saturated(function((x - zero_point) * scale), result.qparams)

    return TableInt(source.shape, name, tabulate(lambda x: np.array([quantized(int(value)) for value in x])))


def knots(function: Callable[[float], float], source: QParams, result: QParams) -> Array:
    """int16 [513]: what `interpolate` reads: f at every 128th input, in float64, saturated.

    Where the chords on both sides are too high or too low at their middles, an entry gives way by half of that, so
    that the error of a smooth function is the same at entries and between them: f'' · (128 · s_in)² / 16. Where
    the function leaves the output's range, between two entries, the corner is cut; the last entry stands at 2^15.
    """
    low, high = limits("int16")
    scale, step = float(source.scale[0]), float(result.scale[0])
    values = np.array([min(max(function(x * scale) / step, low), high) for x in range(low, high + 2, 64)])
    ends, middles = values[::2], values[1::2]
    excess = (ends[:-1] + ends[1:]) / 2 - middles
    sides = np.concatenate([excess[:1], excess, excess[-1:]])
    entries = ends - (sides[:-1] + sides[1:]) / 4
    return np.clip(round_half_away_array(entries), low, high).astype(np.int16)


def saturated(real: float, qparams: QParams) -> int:
    """real as an int8 of this quantization: rounded half away from zero, limited."""
    quotient = min(max(real / float(qparams.scale[0]), -1024.0), 1024.0)
    return min(max(round_half_away(quotient) + int(qparams.zero_point[0]), -128), 127)


def gather_codes(params: Any) -> tuple[TfliteCode, ...]:
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


def table_op(
    name: str,
    summary: str,
    attrs: type,
    run_float: Callable[..., Array],
    lower: Callable[[Any, tuple[Operand, ...], tuple[Operand, ...]], Any],
    builtins: tuple[str, ...] = (),
    params: type = TableInt,
    read_tflite: Callable[[TfliteOperator], Any] | None = None,
    write_tflite: Callable[[Any], tuple[TfliteCode, ...]] | None = None,
    wide: Callable[[Any, Array], Array] | None = None,
    dtypes: tuple[str, ...] = SCALED,
) -> Op:
    """The record of a one-operand operator whose params have shape, size, element and table.

    wide: (params, int64 array of int16 values) -> int64 array in their range, for int16 without a table.
    write_tflite: default: int8 as `gather_codes`, int16 as the operator itself.
    """

    def by_table(params: Any) -> bool:
        return params.element == "int8" or wide is None

    def run_int(params: Any, x: Array) -> Array:
        if params.element == "int8":
            return look_up(params.table, x)
        function = wide or (lambda params, x: interpolate(params.table, x))
        return function(params, x.astype(np.int64)).astype(np.int16)

    def constants(params: Any) -> dict[str, Array]:
        return {"table": params.table} if by_table(params) else {}

    def work(params: Any) -> Work:
        return Work(0, params.table.nbytes if by_table(params) else 0, 2 * width(params.element) * params.size)

    def codes(params: Any) -> tuple[TfliteCode, ...]:
        return gather_codes(params) if params.element == "int8" else (TfliteCode(builtins[0]),)

    return Op(
        name=name,
        summary=summary,
        builtins=builtins,
        attrs=attrs,
        params=params,
        operands=1,
        read_tflite=read_tflite or (lambda operator: attrs()),
        write_tflite=write_tflite or codes,
        infer_shapes=same_shape,
        run_float=run_float,
        quantization=FREE,
        dtypes=dtypes,
        lower=lower,
        run_int=run_int,
        constants=constants,
        leads=in_place,
        work=work,
    )
