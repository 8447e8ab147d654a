"""A trial: one operator on drawn integers, as a program of ours and as a .tflite file for everyone else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests import tiny_tflite
from tinyptq.emit.tflite import exported_tensor_indices, write_tflite_model
from tinyptq.graph import Array, QParams, Tensor
from tinyptq.ops.base import SAME, Op, Operand, folds_constants
from tinyptq.program import Layer, Program, Value

SAMPLES = 5


@dataclass(frozen=True, eq=False)
class Single:
    """What a strategy draws: one operator, its operands (run-time ones have no data) and its output's quantization.

    output: None where the operator decides (its inputs', or a fixed one).  output_dtype: None where it is the input's.
    ranges: run-time operand -> (lowest, highest) integer, where the authority does not define all of them.
    seed: of the run-time integers.
    """

    attrs: Any
    operands: tuple[Operand, ...]
    output: QParams | None = None
    output_dtype: str | None = None
    ranges: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Trial:
    """program computes what others make of `model`, whose inputs are the program's, in order.

    places: tensor indices in the file of the program's outputs.
    native: the file says the operator by its own name (and not, say, by a table).
    """

    program: Program
    model: bytes
    inputs: Mapping[str, Array]
    places: tuple[int, ...]
    native: bool = True
    single: Single | None = None

    def __repr__(self) -> str:
        """What hypothesis shows of a failing one."""
        return f"{self.single or [layer.params for layer in self.program.layers]}"


def make_trial(op: Op, single: Single) -> Trial:
    """Lower a drawn operator. Raises TinyptqError where its integers are refused."""
    outputs = drawn_outputs(op, single)
    params = op.lower(single.attrs, single.operands, outputs)
    names = tuple(f"in{i}" for i in range(len(single.operands)))
    results = tuple(f"out{i}" for i in range(len(outputs)))
    values = {
        name: Value(name, o.shape, o.dtype if o.data is None else o.data.dtype, o.qparams, o.data)
        for name, o in zip((*names, *results), (*single.operands, *outputs), strict=True)
    }
    kept = 1 if folds_constants(op) else len(names)
    layer = Layer(op.name, op.name, names[:kept], results, names[kept:], params, "drawn")
    run_time = tuple(name for name in names if values[name].data is None)
    program = Program("single", "0" * 64, values, (layer,), run_time, results)
    inputs = draw_inputs(program, single)
    if op.write_steps is not None:
        return exported(program, inputs, single)
    codes = op.write_tflite(params)
    model = tiny_tflite.write_layer(codes, tensors(values, names), tensors(values, results), op.operand_order)
    places = tuple(range(len(names), len(values)))
    return Trial(program, model, inputs, places, len(codes) == 1, single)


def exported(program: Program, inputs: Mapping[str, Array], single: Single) -> Trial:
    """An operator that TFLite has not, as the operators that the compiler writes instead."""
    index = exported_tensor_indices(program)
    places = tuple(index[name] for name in program.outputs)
    return Trial(program, write_tflite_model(program), inputs, places, False, single)


def drawn_outputs(op: Op, single: Single) -> tuple[Operand, ...]:
    shapes = op.infer_shapes(single.attrs, *(operand.shape for operand in single.operands))
    own = single.operands[0].qparams if op.quantization == SAME else op.quantization
    qparams = own if single.output is None else single.output
    assert isinstance(qparams, QParams), f"{op.name} needs the quantization of its output"
    dtype = np.dtype(single.output_dtype or op.output_dtype or single.operands[0].dtype)
    return tuple(Operand(shape, qparams, None, dtype) for shape in shapes)


def tensors(values: Mapping[str, Value], names: tuple[str, ...]) -> tuple[Tensor, ...]:
    return tuple(Tensor(n, values[n].shape, values[n].dtype, values[n].data, values[n].qparams) for n in names)


def draw_inputs(program: Program, single: Single) -> dict[str, Array]:
    """Integers [SAMPLES, ...]: all lowest, all highest, only these two, near the zero point, anything."""
    generator, inputs = np.random.default_rng(single.seed), {}
    for index, operand in enumerate(single.operands):
        if operand.data is None:
            low, high = single.ranges.get(index, limits(operand.dtype))
            inputs[f"in{index}"] = samples(generator, operand, low, high)
    assert tuple(inputs) == program.inputs
    return inputs


def limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    """Integers a tensor may hold; the lowest int32 has no counterpart and never occurs."""
    info = np.iinfo(dtype)
    return int(info.min) + (dtype == np.int32), int(info.max)


def samples(generator: np.random.Generator, operand: Operand, low: int, high: int) -> Array:
    shape, zero = operand.shape[1:], int(operand.qparams.zero_point[0])
    near = np.clip(zero + generator.integers(-3, 4, shape), low, high)
    ends = np.where(generator.integers(0, 2, shape) == 0, low, high)
    anything = generator.integers(low, high + 1, (SAMPLES - 4, *shape))
    rows = (np.full(shape, low), np.full(shape, high), ends, near)
    return np.concatenate([np.stack(rows), anything]).astype(operand.dtype)
