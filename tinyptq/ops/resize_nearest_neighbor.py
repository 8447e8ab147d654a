"""RESIZE_NEAREST_NEIGHBOR: an image of another size, every pixel a copy of one of the input's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array, Shape
from tinyptq.ops import resize
from tinyptq.ops.base import SAME, Op, Operand, TfliteCode
from tinyptq.ops.copies import moved
from tinyptq.ops.element import INTEGERS, element
from tinyptq.ops.resize import Resize
from tinyptq.program import Work


@dataclass(frozen=True, eq=False)
class ResizeNearestNeighborInt:
    """y[row, column] = x[rows[row], columns[column]]; elements of any type."""

    input_shape: Shape
    output_shape: Shape
    attrs: Resize
    element: str
    rows: Array  # int16 [output height]
    columns: Array  # int16 [output width]

    @property
    def channels(self) -> int:
        return self.output_shape[3]

    @property
    def input_row(self) -> int:
        """Elements of an input row."""
        return self.input_shape[2] * self.channels

    @property
    def output_row(self) -> int:
        return self.output_shape[2] * self.channels

    @property
    def repeats(self) -> bool:
        """Are there output rows that equal the one above?"""
        return bool((self.rows[1:] == self.rows[:-1]).any())


def nearest(attrs: Resize, axis: int, size: int) -> Array:
    """The input index of every output index along axis (0 rows, 1 columns), int16; float32 throughout.

    Source: TFLite GetNearestNeighbor.
    """
    wanted, one = attrs.size[axis], np.float32(1)
    aligned = attrs.align_corners and wanted > 1
    scale = np.float32(size - 1) / np.float32(wanted - 1) if aligned else np.float32(size) / np.float32(wanted)
    places = (np.arange(wanted, dtype=np.float32) + (one / 2 if attrs.half_pixel_centers else one * 0)) * scale
    whole = np.floor(places + one / 2) if attrs.align_corners else np.floor(places)  # places are never negative
    indices: Array = np.clip(whole, 0, size - 1).astype(np.int16)
    return indices


def write_tflite(params: ResizeNearestNeighborInt) -> tuple[TfliteCode, ...]:
    return resize.code("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions", params.attrs, 3)


def run_float(attrs: Resize, x: Array) -> Array:
    return picked(x, nearest(attrs, 0, x.shape[1]), nearest(attrs, 1, x.shape[2]))


def picked(x: Array, rows: Array, columns: Array) -> Array:
    """x [n, h, w, c] at rows and columns; columns first, because most resizings enlarge."""
    return x.take(columns, axis=2).take(rows, axis=1)


def lower(attrs: Resize, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> ResizeNearestNeighborInt:
    shape = inputs[0].shape
    return ResizeNearestNeighborInt(
        input_shape=shape,
        output_shape=outputs[0].shape,
        attrs=attrs,
        element=element(inputs[0]),
        rows=nearest(attrs, 0, shape[1]),
        columns=nearest(attrs, 1, shape[2]),
    )


def run_int(params: ResizeNearestNeighborInt, x: Array) -> Array:
    return picked(x, params.rows, params.columns)


def constants(params: ResizeNearestNeighborInt) -> Mapping[str, Array]:
    return {"rows": params.rows, "columns": params.columns}


def work(params: ResizeNearestNeighborInt) -> Work:
    return moved(params.output_shape, params.element)


OP = Op(
    name="resize_nearest_neighbor",
    summary="an image of another size, pixels copied",
    builtins=("RESIZE_NEAREST_NEIGHBOR",),
    attrs=Resize,
    params=ResizeNearestNeighborInt,
    operands=1,
    read_tflite=resize.read_tflite,
    write_tflite=write_tflite,
    infer_shapes=resize.infer_shapes,
    run_float=run_float,
    constraints=(resize.an_image,),
    quantization=SAME,
    dtypes=INTEGERS,
    lower=lower,
    run_int=run_int,
    constants=constants,
    work=work,
)
