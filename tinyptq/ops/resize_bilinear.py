"""RESIZE_BILINEAR: an image of another size, every pixel between four of the input's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array, Shape
from tinyptq.ops import resize
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode, elements
from tinyptq.ops.element import SCALED, one_element, width
from tinyptq.ops.resize import Resize
from tinyptq.program import Work

ONE = 1 << 10  # positions are Q10 integers


@dataclass(frozen=True, eq=False)
class ResizeBilinearInt:
    """y = (x[lower, lower] · … over four neighbours) / 2^20, half away from zero; weights in 1/1024 sum to 2^20.

    rows, columns: int16 [output side, 3] of (lower index, upper index, weight of the upper one). The weight may be
    negative at a border, where both indices are the same. TFLite Micro knows int8 only; int16 needs a sum of 64 bits.
    """

    input_shape: Shape
    output_shape: Shape
    attrs: Resize
    element: str
    rows: Array
    columns: Array

    @property
    def channels(self) -> int:
        return self.output_shape[3]

    @property
    def input_row(self) -> int:
        """Elements of an input row."""
        return self.input_shape[2] * self.channels


def neighbours(attrs: Resize, axis: int, size: int) -> Array:
    """int16 [output side, 3] along axis (0 rows, 1 columns). Source: TFLite ResizeBilinearInteger."""
    wanted = attrs.size[axis]
    gaps = (size - 1, wanted - 1) if attrs.align_corners and wanted > 1 else (size, wanted)
    scale = (ONE * gaps[0] + gaps[1] // 2) // gaps[1]
    place = np.arange(wanted, dtype=np.int64) * scale
    if attrs.half_pixel_centers:
        place += scale // 2 - ONE // 2
    lower = np.minimum(np.maximum(truncated(place), 0), size - 1)
    upper = np.minimum(truncated(place + ONE - 1), size - 1)
    return np.stack([lower, upper, place - ONE * lower], axis=1).astype(np.int16)


def truncated(place: Array) -> Array:
    """place / 1024, rounded towards zero as C does."""
    quotient: Array = np.sign(place) * (np.abs(place) // ONE)
    return quotient


def write_tflite(params: ResizeBilinearInt) -> tuple[TfliteCode, ...]:
    return resize.code("RESIZE_BILINEAR", "ResizeBilinearOptions", params.attrs, 3)


def run_float(attrs: Resize, x: Array) -> Array:
    """Interpolate along rows, then along columns, in float32."""
    for axis in (0, 1):
        lower, upper, weight = float_neighbours(attrs, axis, x.shape[1 + axis])
        shape = (-1, 1, 1) if axis == 0 else (-1, 1)
        low, high = x.take(lower, axis=1 + axis), x.take(upper, axis=1 + axis)
        x = low + (high - low) * weight.reshape(shape)
    return x


def float_neighbours(attrs: Resize, axis: int, size: int) -> tuple[Array, Array, Array]:
    """(lower index, upper index, weight of the upper one). Source: TFLite ComputeInterpolationValues."""
    wanted = attrs.size[axis]
    gaps = (size - 1, wanted - 1) if attrs.align_corners and wanted > 1 else (size, wanted)
    scale = np.float32(gaps[0]) / np.float32(gaps[1])
    half = np.float32(0.5 if attrs.half_pixel_centers else 0.0)
    place = (np.arange(wanted, dtype=np.float32) + half) * scale - half
    floor = np.floor(place)
    lower = np.clip(floor, 0, size - 1)
    upper = np.minimum(np.ceil(place), size - 1)
    return lower.astype(np.int64), np.maximum(upper, 0).astype(np.int64), (place - lower).astype(np.float32)


def lower(attrs: Resize, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> ResizeBilinearInt:
    shape = inputs[0].shape
    tables = neighbours(attrs, 0, shape[1]), neighbours(attrs, 1, shape[2])
    return ResizeBilinearInt(shape, outputs[0].shape, attrs, one_element(*inputs, *outputs), *tables)


def run_int(params: ResizeBilinearInt, x: Array) -> Array:
    """Rows, then columns; both exact, so the order does not matter. Samples one by one stay in the cache."""
    wide = np.int32 if params.element == "int8" else np.int64
    out = np.empty((len(x), *params.output_shape[1:]), x.dtype)
    row_low, row_high, row_weight = (column.astype(wide) for column in params.rows.T)
    low, high, weight = (column.astype(wide) for column in params.columns.T)
    row_weight, weight = row_weight[:, None, None], weight[:, None]
    for sample, y in zip(x.astype(wide), out, strict=True):
        lines = sample[row_low] * (ONE - row_weight) + sample[row_high] * row_weight
        total = lines[:, low] * (ONE - weight) + lines[:, high] * weight  # at most 2^27, or 2^35 of int16
        y[:] = (total + (1 << 19) - (total < 0)) >> 20
    return out


def constants(params: ResizeBilinearInt) -> Mapping[str, Array]:
    return {"rows": params.rows, "columns": params.columns}


def work(params: ResizeBilinearInt) -> Work:
    size = elements(params.output_shape)
    tables = params.rows.nbytes + params.columns.nbytes
    return Work(4 * size, tables, width(params.element) * (elements(params.input_shape) + size))


OP = Op(
    name="resize_bilinear",
    summary="an image of another size, pixels interpolated",
    builtins=("RESIZE_BILINEAR",),
    attrs=Resize,
    params=ResizeBilinearInt,
    operands=1,
    read_tflite=resize.read_tflite,
    write_tflite=write_tflite,
    infer_shapes=resize.infer_shapes,
    run_float=run_float,
    constraints=(resize.an_image, resize.one_alignment),
    quantization=SAME,
    dtypes=SCALED,
    lower=lower,
    run_int=run_int,
    constants=constants,
    work=work,
)
