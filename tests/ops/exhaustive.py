"""Element-wise operators have few inputs: all 256, or all 65536 pairs, go to tflite-micro."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.laws import Case, Lowered, assert_same_bytes, int8_model, run_lowered, run_tflm
from tinyptq.graph import Array, QParams
from tinyptq.ops.base import SAME, Op, Operand

ALL_BYTES = np.arange(-128, 128).astype(np.int8)

zero_points = st.one_of(st.sampled_from([-128, -127, -1, 0, 1, 127]), st.integers(-128, 127))


def scales(low: float, high: float) -> st.SearchStrategy[float]:
    """float32 scales, as likely in every decade of [low, high]."""
    return st.floats(np.log(low), np.log(high)).map(lambda x: float(np.float32(np.exp(x))))


def exhaustive_law(op: Op, attrs: Any, inputs: tuple[QParams, ...], output: QParams | None = None) -> None:
    """run_int = tflite-micro for every byte (one input) or every pair of bytes (two inputs)."""
    columns = np.meshgrid(*[ALL_BYTES] * len(inputs), indexing="ij")
    arrays = tuple(column.reshape(1, -1) for column in columns)
    shape = arrays[0].shape
    operands = tuple(Operand(shape, qparams) for qparams in inputs)
    if op.quantization == SAME:
        output = inputs[0]
    elif isinstance(op.quantization, QParams):
        output = op.quantization
    assert output is not None
    result = Operand(shape, output)
    lowered = Lowered(op.lower(attrs, operands, (result,)), operands, (result,), arrays)
    case = Case("every input", attrs, tuple(operand.shape for operand in operands), "exhaustive")
    assert_same_bytes(run_tflm(int8_model(op, lowered), lowered), run_lowered(op, lowered, arrays), case)


def wide_integers(count: int, seed: int = 0) -> Array:
    """int16 [1, count]: pairs of extremes and of small numbers first, then any."""
    ends = np.array([-(2**15), -(2**15) + 1, -1, 0, 1, 2**15 - 1], np.int16)
    edges = np.repeat(ends, len(ends)) if seed else np.tile(ends, len(ends))
    drawn = np.random.default_rng(seed).integers(-(2**15), 2**15, count).astype(np.int16)
    drawn[: len(edges)] = edges
    return drawn.reshape(1, -1)


def every_int16() -> Array:
    """int16 [1, 65536]."""
    return np.arange(-(2**15), 2**15).astype(np.int16).reshape(1, -1)


def wide_law(op: Op, attrs: Any, scales_in: tuple[float, ...], scale: float) -> None:
    """run_int = tflite-micro for int16: every value of one input, every pair of edges and many others of two."""
    arrays = (every_int16(),) if len(scales_in) == 1 else (wide_integers(4096), wide_integers(4096, 1))
    shape, int16 = arrays[0].shape, np.dtype(np.int16)
    operands = tuple(Operand(shape, QParams.per_tensor(s), dtype=int16) for s in scales_in)
    result = Operand(shape, QParams.per_tensor(scale), dtype=int16)
    lowered = Lowered(op.lower(attrs, operands, (result,)), operands, (result,), arrays)
    case = Case("int16", attrs, (shape,) * len(arrays), "drawn", dtype="int16")
    assert_same_bytes(run_tflm(int8_model(op, lowered), lowered), run_lowered(op, lowered, arrays), case)
