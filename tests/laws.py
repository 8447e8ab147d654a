"""The laws every operator obeys, written once; tests/ops/test_<op>.py brings the cases.

1. float_law: run_float equals LiteRT on the same float model.
2. int_law:   run_int equals the tflite-micro interpreter on the same int8 model, every byte.
3. c_law:     the portable C template equals run_int, every byte, whole and row block by row block.
4. step_law:  the dequantized integers stay within some quantization steps of run_float.
5. file_law:  read_tflite reads back what write_tflite wrote.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import tiny_tflite
from tests.c_harness import CFunction, run_c
from tinyptq.graph import Array, QParams, Shape, Tensor
from tinyptq.ops.base import SAME, Op, Operand, folds_constants

SAMPLES = 6


@dataclass(frozen=True, eq=False)
class Case:
    """One configuration of an operator.

    operands:  in order; a tuple is the shape of a run-time input (batch 1 first), a float array is a constant.
    qparams:   operand index, or "output" -> forced quantization; the others are observed on random data.
    spread:    half-width of the random float inputs.
    per_tensor_weights: one scale for the whole weight tensor.
    dtype: of run-time operands, outputs and element-wise constants; wider ones than int8 are symmetric.
    bias: type of a layer's bias; None: int32, int64 beside int16 activations.
    """

    id: str
    attrs: Any
    operands: tuple[Shape | Array, ...]
    why: str
    qparams: Mapping[int | str, QParams] = field(default_factory=dict)
    spread: float = 2.0
    per_tensor_weights: bool = False
    count: int = SAMPLES
    dtype: str = "int8"
    bias: str | None = None


@dataclass(frozen=True, eq=False)
class Lowered:
    """A case as integers: params, operands with integer data, and run-time integer inputs [n, ...]."""

    params: Any
    operands: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    inputs: tuple[Array, ...]

    @property
    def output(self) -> Operand:
        return self.outputs[0]


def parametrize(cases: Sequence[Case]) -> Any:
    """pytest parametrization over cases; the id of a test is the id of its case."""
    return pytest.mark.parametrize("case", cases, ids=[case.id for case in cases])


def widened(cases: Sequence[Case], dtype: str = "int16") -> tuple[Case, ...]:
    """The same cases with wider elements; scales that were forced are observed again."""
    return tuple(replace(case, id=f"{case.id}-{dtype}", dtype=dtype, qparams={}) for case in cases)


def draw(seed: str, *shape: int) -> Array:
    """Reproducible standard normal float32 numbers, named by a string."""
    return np.random.default_rng(zlib.crc32(seed.encode())).standard_normal(shape).astype(np.float32)


def shapes_of(case: Case) -> tuple[Shape, ...]:
    return tuple(o if isinstance(o, tuple) else o.shape for o in case.operands)


def float_inputs(case: Case) -> tuple[Array, ...]:
    """Random run-time inputs [n, ...] of a case, constants left out."""
    runtime = [(i, o) for i, o in enumerate(case.operands) if isinstance(o, tuple)]
    return tuple(draw(f"{case.id}/{i}", case.count, *shape[1:]) * np.float32(case.spread) for i, shape in runtime)


def run_case_float(op: Op, case: Case, inputs: tuple[Array, ...]) -> Array:
    """run_float with the constants put where they belong."""
    waiting = iter(inputs)
    return joined(op.run_float(case.attrs, *(next(waiting) if isinstance(o, tuple) else o for o in case.operands)))


def joined(results: Any) -> Array:
    """One array as it is; several outputs flattened and put side by side, [n, elements]."""
    if isinstance(results, tuple):
        return np.concatenate([result.reshape(len(result), -1) for result in results], axis=1)
    array: Array = results
    return array


# Quantization of a case: plain min-max, enough to get every integer parameter exercised.


def observe(*arrays: Array, dtype: str = "int8") -> QParams:
    """Asymmetric int8 qparams over the range of all arrays, zero included; symmetric ones of wider types."""
    if dtype != "int8":
        peak = max(1e-6, *(float(np.abs(a).max()) for a in arrays))
        return QParams.per_tensor(float(np.float32(peak / np.iinfo(dtype).max)), 0)
    low = min(0.0, *(float(a.min()) for a in arrays))
    high = max(1e-6, *(float(a.max()) for a in arrays))
    scale = np.float32((high - low) / 255.0)
    return QParams.per_tensor(float(scale), int(np.clip(np.rint(-128 - low / scale), -128, 127)))


def quantize(x: Array, qparams: QParams, low: int = -128, high: int = 127, dtype: type = np.int8) -> Array:
    """Nearest integers; per axis when qparams has one."""
    shape = [1] * x.ndim
    if qparams.axis is not None:
        shape[qparams.axis] = -1
    q = np.rint(x.astype(np.float64) / qparams.scale.astype(np.float64).reshape(shape))
    return np.clip(q + qparams.zero_point.reshape(shape), low, high).astype(dtype)


def dequantize(q: Array, qparams: QParams) -> Array:
    """The float32 numbers integers stand for; per axis when qparams has one."""
    shape = [1] * q.ndim
    if qparams.axis is not None:
        shape[qparams.axis] = -1
    real = (q.astype(np.float64) - qparams.zero_point.reshape(shape)) * qparams.scale.reshape(shape)
    return real.astype(np.float32)


def quantize_weights(weights: Array, axis: int | None) -> Operand:
    """Symmetric int8 in [-127, 127], along axis or as a whole."""
    others = tuple(i for i in range(weights.ndim) if i != axis) if axis is not None else None
    peak = np.maximum(np.abs(weights).max(axis=others), 1e-8)
    scale = np.atleast_1d(peak / 127).astype(np.float32)
    qparams = QParams(scale, np.zeros(len(scale), np.int32), axis)
    return Operand(weights.shape, qparams, quantize(weights, qparams, -127, 127))


def lower_case(op: Op, case: Case) -> Lowered:
    """Integers for a case: observed qparams unless forced, SAME operators share one."""
    inputs = float_inputs(case)
    y = run_case_float(op, case, inputs)
    observed = _input_qparams(op, case, inputs)
    qparams = op.quantization if isinstance(op.quantization, QParams) else observe(y, dtype=case.dtype)
    qparams = observed[0] if op.quantization == SAME else case.qparams.get("output", qparams)
    observed = {**observed, "output": qparams}
    operands: list[Operand] = []
    for index, operand in enumerate(case.operands):
        made = _operand(op, case, index, operand, observed, operands)
        operands.append(replace(made, dtype=np.dtype(case.dtype)) if made.data is None else made)
    dtype = op.output_dtype or np.dtype(case.dtype)
    outputs = tuple(Operand(s, qparams, None, dtype) for s in op.infer_shapes(case.attrs, *shapes_of(case)))
    runtime = [(o, x) for o, x in zip((o for o in operands if o.data is None), inputs, strict=True)]
    integers = tuple(_mixed_integers(f"{case.id}/{i}", o, x) for i, (o, x) in enumerate(runtime))
    return Lowered(op.lower(case.attrs, tuple(operands), outputs), tuple(operands), outputs, integers)


def _input_qparams(op: Op, case: Case, inputs: tuple[Array, ...]) -> dict[int | str, QParams]:
    waiting = iter(inputs)
    arrays = {i: next(waiting) if isinstance(o, tuple) else o for i, o in enumerate(case.operands)}
    shared = observe(*arrays.values(), dtype=case.dtype) if op.quantization == SAME else None
    return {i: case.qparams.get(i, shared or observe(a, dtype=case.dtype)) for i, a in arrays.items()}


def _operand(
    op: Op, case: Case, index: int, operand: Shape | Array, observed: Mapping[int | str, QParams], before: list[Operand]
) -> Operand:
    if isinstance(operand, tuple):
        return Operand(operand, observed[index])
    if op.round_constants is not None:
        return rounded_constant(op, case, index, observed)
    if op.weight_axis is None:
        ends = np.iinfo(case.dtype)
        data = quantize(operand, observed[index], ends.min, ends.max, ends.dtype.type)
        return Operand(operand.shape, observed[index], data, data.dtype)
    if index == 1:
        return quantize_weights(operand, None if case.per_tensor_weights else op.weight_axis)
    image, weight = before[0].qparams, before[1].qparams
    scale = (image.scale.astype(np.float64) * weight.scale).astype(np.float32)
    qparams = QParams(scale, np.zeros(len(scale), np.int32), None if weight.axis is None else 0)
    ends = np.iinfo(case.bias or ("int64" if case.dtype == "int16" else "int32"))
    low, high = max(ends.min, -(2**40)), min(ends.max, 2**40)
    return Operand(operand.shape, qparams, quantize(operand, qparams, low, high, ends.dtype.type))


def rounded_constant(op: Op, case: Case, index: int, observed: Mapping[int | str, QParams]) -> Operand:
    """One of the constants that op rounds by its own rule, all of them behind the only run-time input."""
    floats = tuple(operand for operand in case.operands[1:] if not isinstance(operand, tuple))
    assert op.round_constants is not None
    values, qparams = op.round_constants(case.attrs, observed[0], observed["output"], floats)[index - 1]
    if case.dtype == "int16" and values.dtype == np.int32:  # a bias
        values = values.astype(np.int64)
    return Operand(values.shape, qparams, values)


def _mixed_integers(seed: str, operand: Operand, x: Array) -> Array:
    """Quantized floats, then full-range random integers, then all lowest, then all highest."""
    ends = np.iinfo(operand.dtype)
    q = quantize(x, operand.qparams, ends.min, ends.max, ends.dtype.type)
    half = len(q) // 2
    q[half:] = np.random.default_rng(zlib.crc32(seed.encode())).integers(ends.min, ends.max + 1, q[half:].shape)
    if len(q) >= 4:
        q[-2], q[-1] = ends.min, ends.max
    return q


# The laws.


def float_law(op: Op, case: Case, tolerance: float = 1e-5) -> None:
    """run_float = LiteRT, relative to the largest output."""
    from ai_edge_litert.interpreter import Interpreter

    params = lower_case(op, case).params
    codes = op.write_tflite(params)
    f32 = np.dtype(np.float32)
    ins = tuple(
        Tensor(f"in{i}", o, f32) if isinstance(o, tuple) else Tensor(f"in{i}", o.shape, f32, o)
        for i, o in enumerate(case.operands)
    )
    shapes = op.infer_shapes(case.attrs, *shapes_of(case))
    outs = tuple(Tensor(f"out{i}", shape, op.output_dtype or f32) for i, shape in enumerate(shapes))
    interpreter = Interpreter(model_content=tiny_tflite.write_layer(codes, ins, outs, op.operand_order))
    interpreter.allocate_tensors()
    inputs = float_inputs(case)
    expected = []
    for sample in range(case.count):
        for detail, x in zip(interpreter.get_input_details(), inputs, strict=True):
            interpreter.set_tensor(detail["index"], x[sample : sample + 1])
        if not op.state(params):
            interpreter.reset_all_variables()
        interpreter.invoke()
        found = [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
        assert [y.shape for y in found] == list(shapes), f"infer_shapes says {shapes}"
        expected.append(found[0] if len(found) == 1 else joined(tuple(found)))
    actual = run_case_float(op, case, inputs)
    want = np.concatenate([e.reshape(1, *actual.shape[1:]) for e in expected])
    assert actual.dtype == np.float32
    assert np.abs(actual - want).max() <= tolerance * max(1.0, float(np.abs(want).max())), case.why


def int_law(op: Op, case: Case) -> None:
    """run_int = tflite-micro's int8 kernel, every byte."""
    lowered = lower_case(op, case)
    assert_same_bytes(run_tflm(int8_model(op, lowered), lowered), run_lowered(op, lowered, lowered.inputs), case)


def run_lowered(op: Op, lowered: Lowered, inputs: tuple[Array, ...]) -> Array:
    """run_int as the simulator calls it: constant operands in their places, weights in the params."""
    waiting = iter(inputs)
    kept = lowered.operands[:1] if folds_constants(op) else lowered.operands
    return joined(op.run_int(lowered.params, *(next(waiting) if o.data is None else o.data for o in kept)))


def int8_model(op: Op, lowered: Lowered) -> bytes:
    ins = tuple(
        Tensor(f"in{i}", o.shape, o.dtype if o.data is None else o.data.dtype, o.data, o.qparams)
        for i, o in enumerate(lowered.operands)
    )
    outs = tuple(Tensor(f"out{i}", o.shape, o.dtype, None, o.qparams) for i, o in enumerate(lowered.outputs))
    return tiny_tflite.write_layer(op.write_tflite(lowered.params), ins, outs, op.operand_order)


def run_tflm(model: bytes, lowered: Lowered) -> Array:
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(
        model, arena_size=1 << 22, intrepreter_config=runtime.InterpreterConfig.kPreserveAllTensors
    )
    results = []
    for sample in range(len(lowered.inputs[0])):
        for index, x in enumerate(lowered.inputs):
            interpreter.set_input(np.ascontiguousarray(x[sample : sample + 1]), index)
        interpreter.invoke()
        found = tuple(interpreter.get_output(i).reshape(o.shape).copy() for i, o in enumerate(lowered.outputs))
        results.append(found[0] if len(found) == 1 else joined(found))
    return np.concatenate(results)


def assert_same_bytes(expected: Array, actual: Array, case: Case) -> None:
    assert actual.shape == expected.shape and actual.dtype == expected.dtype, (case.id, actual.shape, actual.dtype)
    wrong = np.argwhere(actual != expected)
    assert not len(wrong), (
        f"{case.id} ({case.why}): {len(wrong)} of {expected.size} bytes differ, first at {tuple(wrong[0])}: "
        f"expected {expected[tuple(wrong[0])]}, got {actual[tuple(wrong[0])]}"
    )


def step_law(op: Op, case: Case, steps: float = 1.0) -> None:
    """|dequantize(run_int(q)) - run_float(dequantize(q))| <= steps of the output scale: half a step for each
    of the two roundings. Constants are dequantized too, so that only the kernel is on trial.
    """
    lowered = lower_case(op, case)
    half = case.count // 2
    waiting = iter(tuple(x[:half] for x in lowered.inputs))
    integers = [next(waiting) if o.data is None else o.data for o in lowered.operands]
    expected = op.run_float(
        case.attrs, *(dequantize(q, o.qparams) for q, o in zip(integers, lowered.operands, strict=True))
    )
    limits = np.iinfo(lowered.output.dtype)
    ends = dequantize(np.array([limits.min, limits.max]), lowered.output.qparams)
    runtime = tuple(q for q, o in zip(integers, lowered.operands, strict=True) if o.data is None)
    actual = dequantize(run_lowered(op, lowered, runtime), lowered.output.qparams)
    assert np.abs(actual - np.clip(expected, *ends)).max() <= steps * float(lowered.output.qparams.scale[0]), case.why


def file_law(op: Op, case: Case) -> None:
    """The attributes survive a .tflite file. One operator per layer: cases that export a PAD first do not fit."""
    lowered = lower_case(op, case)
    operator = tiny_tflite.read_layer(int8_model(op, lowered))
    assert operator.builtin in op.builtins
    assert op.read_tflite(operator) == case.attrs, case.why


def c_law(op: Op, cases: Sequence[Case], folder: Path, template: str | None = None) -> None:
    """The C template = run_int for all cases in one compilation, under ASan and UBSan, whole and by row blocks."""
    lowered = [lower_case(op, case) for case in cases]
    functions = [c_function(op, low) for low in lowered]
    outputs = run_c(template or f"kernels/{op.name}/portable.c.j2", functions, folder)
    for case, low, ways in zip(cases, lowered, outputs, strict=True):
        expected = run_lowered(op, low, low.inputs)
        for way in ways:
            assert_same_bytes(expected, np.frombuffer(way, expected.dtype).reshape(expected.shape), case)


def c_function(op: Op, low: Lowered) -> CFunction:
    waiting = iter(low.inputs)
    buffers: list[Array] = []
    for operand in low.operands:
        if operand.data is None:
            buffers.append(next(waiting))
        elif not folds_constants(op):
            buffers.append(np.broadcast_to(operand.data, (len(low.inputs[0]), *operand.shape)))
    rows = op.rows(low.params)
    output_bytes = tuple(int(np.prod(o.shape)) * o.dtype.itemsize for o in low.outputs)
    constants = dict(op.constants(low.params))
    return CFunction(
        low.params,
        tuple(buffers),
        output_bytes,
        constants,
        op.scratch(low.params),
        rows.count if rows else None,
        {name: state.initial for name, state in op.state(low.params).items()},
        op.output_dtype,
    )
