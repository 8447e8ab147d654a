"""One-layer programs for operator tests: program -> TFLM must equal Op.run_int.

x = activation((1, 8, 8, 3), 0.02, -3)
w = weights(rng, (4, 3, 3, 3), axis=0)
program = single_layer_program("conv_2d", Conv2D(window), [x, w, bias(rng, x, w)], qparams(0.05, 7))
assert_equals_tflm(program, random_inputs(rng, program, 4))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tinyptq import tflm
from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, QParams, Shape
from tinyptq.ops import BY_NAME
from tinyptq.ops.base import FREE, SAME, Operand, folds_constants
from tinyptq.ops.conv_2d import Conv2D
from tinyptq.ops.window import Window, make_window
from tinyptq.program import Layer, Program, Value

INT8 = np.dtype(np.int8)
SAME_WINDOW = make_window("same", (9, 8), (3, 3))
EXPLICIT = Window((3, 3), (2, 2), (1, 1), 1, 1, 0, 2)  # neither SAME nor VALID: exported as PAD + CONV_2D


def qparams(scale: float, zero_point: int = 0) -> QParams:
    return QParams.per_tensor(scale, zero_point)


def activation(shape: Shape, scale: float, zero_point: int) -> Operand:
    """A run-time int8 operand."""
    return Operand(shape, qparams(scale, zero_point))


def constant(rng: np.random.Generator, shape: Shape, scale: float, zero_point: int) -> Operand:
    """A constant int8 operand of an element-wise operator, full range."""
    return Operand(shape, qparams(scale, zero_point), rng.integers(-128, 128, shape).astype(np.int8))


def weights(rng: np.random.Generator, shape: Shape, axis: int, scale: float = 0.01, spread: float = 4.0) -> Operand:
    """int8 weights in [-127, 127], a scale per slice along axis between scale/spread and scale·spread."""
    scales = (scale * spread ** rng.uniform(-1, 1, shape[axis])).astype(np.float32)
    return Operand(
        shape,
        QParams(scales, np.zeros(shape[axis], np.int32), axis),
        rng.integers(-127, 128, shape).astype(np.int8),
    )


def bias(rng: np.random.Generator, x: Operand, weight: Operand, reach: int = 1 << 14) -> Operand:
    """int32 bias with scale s_in · s_w[c], values within ±reach."""
    scales = (x.qparams.scale[0] * weight.qparams.scale).astype(np.float32)
    data = rng.integers(-reach, reach + 1, len(scales)).astype(np.int32)
    return Operand(data.shape, QParams(scales, np.zeros(len(scales), np.int32), 0), data)


def single_layer_program(
    op_name: str,
    attrs: Any,
    inputs: Sequence[Operand],
    output: QParams | None = None,
    input_dtype: np.dtype[Any] = INT8,
    output_dtype: np.dtype[Any] = INT8,
) -> Program:
    """op lowered into a program of one layer. output: needed when the operator's output is FREE."""
    op = BY_NAME[op_name]
    if op.quantization == SAME:
        output = inputs[0].qparams
    elif op.quantization != FREE:
        assert isinstance(op.quantization, QParams)
        output = op.quantization
    assert output is not None, f"{op_name} needs output qparams"
    shape = op.infer_shapes(attrs, *(i.shape for i in inputs))[0]
    params = op.lower(attrs, tuple(inputs), (Operand(shape, output),))
    names = [f"operand{k}" for k in range(len(inputs))]
    values = {
        name: Value(name, i.shape, input_dtype if i.data is None else i.data.dtype, i.qparams, i.data)
        for name, i in zip(names, inputs, strict=True)
    }
    values["result"] = Value("result", shape, output_dtype, output)
    kept = 1 if folds_constants(op) else len(inputs)
    layer = Layer("layer", op_name, tuple(names[:kept]), ("result",), tuple(names[kept:]), params, "test")
    run_time = tuple(name for name in names if values[name].data is None)
    return Program("single", "0" * 64, values, (layer,), run_time, ("result",))


def random_inputs(rng: np.random.Generator, program: Program, count: int) -> dict[str, Array]:
    """Full-range integers [count, ...] per program input; sample 0 is all lowest, 1 all highest."""
    inputs = {}
    for name in program.inputs:
        value = program.values[name]
        info = np.iinfo(value.dtype)
        x = rng.integers(info.min, info.max + 1, (count, *value.shape[1:])).astype(value.dtype)
        x[:1], x[1:2] = info.min, info.max
        inputs[name] = x
    return inputs


def run_numpy(program: Program, inputs: Mapping[str, Array]) -> Array:
    """What Op.run_int says of a one-layer program."""
    (layer,) = program.layers
    constants = {name: value.data for name, value in program.values.items() if value.data is not None}
    return BY_NAME[layer.op].run_int(layer.params, *({**inputs, **constants}[name] for name in layer.inputs))


def tflm_tensors(program: Program, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Every tensor by TFLM on the exported file; the test is skipped where TFLM is not installed."""
    try:
        return tflm.run_program(program, inputs)
    except TinyptqError as error:
        if error.reference == "no-tflm":
            pytest.skip(str(error))
        raise


def assert_equals_tflm(program: Program, inputs: Mapping[str, Array]) -> None:
    """Op.run_int == TFLM on the exported file, every element."""
    np.testing.assert_array_equal(run_numpy(program, inputs), tflm_tensors(program, inputs)["result"])


def chain_program(layers: int = 4) -> Program:
    """conv_2d SAME over 9×8×3 several times, the last with EXPLICIT padding: t0 -> t1 -> ... -> t<layers>."""
    rng = np.random.default_rng(3)
    values, chain = {}, []
    x = activation((1, 9, 8, 3), 0.02, -3)
    for k in range(layers):
        w = weights(rng, (3, 3, 3, 3), axis=0)
        window = EXPLICIT if k == layers - 1 else SAME_WINDOW
        output = qparams(0.05 + 0.02 * k, 11 * k - 20)
        one = single_layer_program("conv_2d", Conv2D(window), [x, w, bias(rng, x, w)], output)
        names = {"operand0": f"t{k}", "result": f"t{k + 1}", "operand1": f"w{k}", "operand2": f"b{k}"}
        values.update({names[n]: replace(v, name=names[n]) for n, v in one.values.items()})
        (layer,) = one.layers
        chain.append(
            replace(
                layer,
                name=f"layer{k}",
                inputs=(names["operand0"],),
                folded=(names["operand1"], names["operand2"]),
                outputs=(names["result"],),
            )
        )
        result = one.values["result"]
        x = activation(result.shape, 1.0, 0)
        x = replace(x, qparams=output)
    return Program("chain", "0" * 64, values, tuple(chain), ("t0",), (f"t{layers}",))


def run_numpy_layers(program: Program, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """What Op.run_int says of every layer of a program without constant operands."""
    tensors = dict(inputs)
    for layer in program.layers:
        one = Program("one", program.digest, {}, (layer,), (), ())
        (output,) = layer.outputs
        tensors[output] = run_numpy(one, tensors)
    return tensors
