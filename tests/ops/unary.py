"""What the tests of one-operand operators share: LiteRT on a single operator, and the law of the half step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tests import tiny_tflite
from tests.ops.exhaustive import ALL_BYTES, every_int16
from tinyptq.graph import Array, QParams, Tensor
from tinyptq.ops.base import Op, Operand, TfliteCode

SLACK = 1e-6  # of a step: the real function is computed in another order


def run_litert(code: TfliteCode, x: Array, source: QParams | None = None, result: QParams | None = None) -> Array:
    """LiteRT on one operator whose output is like its input; float, or int8 where qparams are given. x [1, ...]."""
    from ai_edge_litert.interpreter import Interpreter

    first, last = Tensor("in", x.shape, x.dtype, None, source), Tensor("out", x.shape, x.dtype, None, result)
    interpreter = Interpreter(model_content=tiny_tflite.write_layer((code,), (first,), (last,)))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    y: Array = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return y


def assert_float_equals_litert(op: Op, attrs: Any, code: TfliteCode, x: Array, tolerance: float = 1e-6) -> None:
    """run_float = LiteRT, relative to the largest output. x: float32 [1, ...]."""
    expected, actual = run_litert(code, x), op.run_float(attrs, x)
    assert actual.dtype == np.float32
    assert np.abs(actual - expected).max() <= tolerance * max(1.0, float(np.abs(expected).max()))


def every_output(op: Op, attrs: Any, source: QParams, result: QParams) -> Array:
    """int8 [256]: run_int of −128 … 127."""
    shape = (1, 256)
    params = op.lower(attrs, (Operand(shape, source),), (Operand(shape, result),))
    y: Array = op.run_int(params, ALL_BYTES.reshape(shape))
    return y.reshape(-1)


def half_step_law(op: Op, attrs: Any, real: Callable[[Array], Array], source: QParams, result: QParams) -> None:
    """For every byte: |dequantized output − real(dequantized input)| <= half a step, inside the output's range.

    real: float64 -> float64, may be infinite.
    """
    scale, zero_point = np.float64(result.scale[0]), int(result.zero_point[0])
    with np.errstate(all="ignore"):
        x = (ALL_BYTES.astype(np.float64) - source.zero_point[0]) * np.float64(source.scale[0])
        expected = np.clip(real(x), (-128 - zero_point) * scale, (127 - zero_point) * scale)
    actual = (every_output(op, attrs, source, result).astype(np.float64) - zero_point) * scale
    assert np.abs(actual - expected).max() <= (0.5 + SLACK) * scale


def assert_near_litert_int8(op: Op, attrs: Any, code: TfliteCode, source: QParams, result: QParams, steps: int) -> None:
    """For every byte: at most `steps` away from LiteRT's int8 kernel, which works with float32 tables."""
    expected = run_litert(code, ALL_BYTES.reshape(1, -1), source, result).reshape(-1)
    difference = every_output(op, attrs, source, result).astype(int) - expected
    assert np.abs(difference).max() <= steps


def reads_back(op: Op, code: TfliteCode) -> Any:
    """The attributes read from a file with this operator."""
    tensor = Tensor("in", (1, 4), np.dtype(np.float32))
    operator = tiny_tflite.read_layer(tiny_tflite.write_layer((code,), (tensor,), (replace(tensor, name="out"),)))
    assert operator.builtin in op.builtins
    return op.read_tflite(operator)


def interpolated_law(
    op: Op, attrs: Any, real: Callable[[Array], Array], scales: tuple[float, float], steps: float = 1.5, first: int = 0
) -> None:
    """For every int16 from `first` in magnitude to the last 128: |output − real(input)| <= steps, inside its range.

    scales: of input and output. real: float64 -> float64, may be infinite.
    """
    x, int16 = every_int16(), np.dtype(np.int16)
    source, result = (QParams.per_tensor(scale) for scale in scales)
    params = op.lower(attrs, (Operand(x.shape, source, dtype=int16),), (Operand(x.shape, result, dtype=int16),))
    with np.errstate(all="ignore"):
        exact = np.clip(real(x[0] * np.float64(source.scale[0])) / np.float64(result.scale[0]), -(2**15), 2**15 - 1)
    y = op.run_int(params, x)
    assert y.dtype == int16 and y.shape == x.shape
    held = (np.abs(x[0].astype(int)) >= first) & (x[0] < 2**15 - 128)
    assert np.abs(y[0] - exact)[held].max() <= steps
