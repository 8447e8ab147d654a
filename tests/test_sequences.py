"""Recurrent operators of .tflite files in unusual forms: time first, both directions, hybrid; and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from tests import tiny_tflite
from tests.laws import draw, lower_case, run_lowered
from tests.ops.test_unidirectional_sequence_lstm import CASES, OP
from tinyptq.float_run import run_float
from tinyptq.frontend.tflite import load_tflite
from tinyptq.graph import Array, QParams, Shape, Tensor
from tinyptq.lower import lower
from tinyptq.obstacles import obstacles
from tinyptq.ops.base import TfliteCode
from tinyptq.passes import normalize, simplify
from tinyptq.ptq.imported import imported_recipe
from tinyptq.simulate import simulate

FLOAT32 = np.dtype(np.float32)
STEPS, DEPTH, UNITS = 5, 3, 4
TANH = 4  # tflite.ActivationFunctionType
ABSENT = None
OptionalTensor = Tensor | None


def constant(name: str, *shape: int) -> Tensor:
    return Tensor(name, shape, FLOAT32, draw(name, *shape) * np.float32(0.7))


def weights(name: str) -> list[OptionalTensor]:
    """Input and recurrent weights, no peepholes, biases, no projection."""
    inputs: list[OptionalTensor] = [constant(f"{name}/w{i}", UNITS, DEPTH) for i in range(4)]
    recurrent: list[OptionalTensor] = [constant(f"{name}/r{i}", UNITS, UNITS) for i in range(4)]
    biases: list[OptionalTensor] = [constant(f"{name}/b{i}", UNITS) for i in range(4)]
    return [*inputs, *recurrent, *[ABSENT] * 3, *biases, ABSENT, ABSENT]


def states(name: str, count: int) -> list[OptionalTensor]:
    return [Tensor(f"state/{name}{i}", (1, UNITS), FLOAT32) for i in range(count)]


def model(
    builtin: str, options: str, fields: dict[str, object], inputs: list[OptionalTensor], *outputs: Shape
) -> bytes:
    x = Tensor("x", fields.pop("shape"), FLOAT32)  # type: ignore[arg-type]
    operands: list[OptionalTensor] = [x, *inputs]
    results = [Tensor(f"y{i}", shape, FLOAT32) for i, shape in enumerate(outputs)]
    tensors = [tensor for tensor in (*operands, *results) if tensor is not None]
    place = {tensor.name: i for i, tensor in enumerate(tensors)}
    wired = [-1 if tensor is None else place[tensor.name] for tensor in operands]
    code = TfliteCode(builtin, options, {"FusedActivationFunction": TANH, **fields})  # type: ignore[dict-item]
    found = [place[tensor.name] for tensor in results]
    return tiny_tflite.model_bytes(tensors, [(code, wired, found)], [0], found)


def assert_equals_litert(data: bytes, x: Array) -> None:
    """One run of zeros as state: the first of a fresh interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    expected = [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
    graph = normalize(load_tflite(data))
    found = run_float(graph, {graph.inputs[0]: x.reshape(graph.tensors[graph.inputs[0]].shape)})
    for name, wanted in zip(graph.outputs, expected, strict=True):
        assert np.abs(found[name].reshape(wanted.shape) - wanted).max() < 1e-5


@pytest.mark.parametrize("merged", [True, False])
@pytest.mark.parametrize("time_first", [True, False])
def test_both_directions(merged: bool, time_first: bool) -> None:
    shape = (STEPS, 1) if time_first else (1, STEPS)
    fields: dict[str, object] = {"shape": (*shape, DEPTH), "TimeMajor": time_first, "MergeOutputs": merged}
    operands = [*weights("forward"), *weights("backward"), *states("s", 4), *[ABSENT] * 9]
    outputs = [(*shape, 2 * UNITS)] if merged else [(*shape, UNITS)] * 2
    data = model("BIDIRECTIONAL_SEQUENCE_LSTM", "BidirectionalSequenceLSTMOptions", fields, operands, *outputs)
    assert_equals_litert(data, draw("x", *shape, DEPTH))


@pytest.mark.parametrize("builtin", ["LSTM", "RNN"])
def test_time_first(builtin: str) -> None:
    fields: dict[str, object] = {"shape": (STEPS, 1, DEPTH), "TimeMajor": True}
    simple: list[OptionalTensor] = [constant("w", UNITS, DEPTH), constant("r", UNITS, UNITS), constant("b", UNITS)]
    operands = [*weights("only"), *states("s", 2)] if builtin == "LSTM" else [*simple, *states("s", 1)]
    options = "UnidirectionalSequenceLSTMOptions" if builtin == "LSTM" else "SequenceRNNOptions"
    data = model(f"UNIDIRECTIONAL_SEQUENCE_{builtin}", options, fields, operands, (STEPS, 1, UNITS))
    assert_equals_litert(data, draw("x", STEPS, 1, DEPTH))


def test_time_first_in_integers_equals_tflm() -> None:
    runtime = pytest.importorskip("tflite_micro").runtime
    lowered = lower_case(OP, CASES[0])
    (code,) = OP.write_tflite(lowered.params)
    (x,) = lowered.inputs
    first = {0: (x.shape[1], 1, x.shape[2])}
    ins = tuple(
        Tensor(f"in{i}", first.get(i, o.shape), o.dtype if o.data is None else o.data.dtype, o.data, o.qparams)
        for i, o in enumerate(lowered.operands)
    )
    out = lowered.output
    outs = (Tensor("out", (out.shape[1], 1, out.shape[2]), out.dtype, None, out.qparams),)
    fields = {**code.fields, "TimeMajor": True}
    codes = (TfliteCode(code.builtin, code.options, fields, code.operands),)
    data = tiny_tflite.write_layer(codes, ins, outs, OP.operand_order)
    graph = normalize(load_tflite(data))
    program = lower(graph, imported_recipe(graph), "")
    found = simulate(program, {program.inputs[0]: x.reshape(len(x), *program.values[program.inputs[0]].shape[1:])})
    ours = found[program.outputs[0]].reshape(len(x), -1)
    assert np.array_equal(ours, run_lowered(OP, lowered, (x,)).reshape(len(x), -1))
    interpreter = runtime.Interpreter.from_bytes(data, arena_size=1 << 20)
    for sample, wanted in zip(x, ours, strict=True):
        interpreter.set_input(sample[:, None], 0)
        interpreter.invoke()
        assert np.array_equal(interpreter.get_output(0).reshape(-1), wanted)


def test_hybrid_weights_are_dequantized() -> None:
    """int8 weights beside float activations: a float model whose weights happen to lie on a grid."""
    fields: dict[str, object] = {"shape": (1, STEPS, DEPTH), "TimeMajor": False}
    scale = QParams.per_tensor(0.02)
    rough: list[OptionalTensor] = []
    plain: list[OptionalTensor] = []
    for tensor in weights("hybrid"):
        if tensor is None or tensor.data is None or tensor.data.ndim == 1:
            rough.append(tensor)
            plain.append(tensor)
            continue
        values = np.clip(np.rint(tensor.data / 0.02), -127, 127).astype(np.int8)
        rough.append(Tensor(tensor.name, tensor.shape, np.dtype(np.int8), values, scale))
        plain.append(Tensor(tensor.name, tensor.shape, FLOAT32, values * np.float32(scale.scale[0])))
    x = draw("x", 2, STEPS, DEPTH)
    found = []
    for inputs in (rough, plain):
        options = "UnidirectionalSequenceLSTMOptions"
        data = model(
            "UNIDIRECTIONAL_SEQUENCE_LSTM", options, dict(fields), [*inputs, *states("s", 2)], (1, STEPS, UNITS)
        )
        graph = normalize(load_tflite(data))
        found.append(run_float(graph, {graph.inputs[0]: x})[graph.outputs[0]])
    assert np.array_equal(*found)


@pytest.mark.parametrize(
    ("place", "reason"),
    [(9, "peepholes"), (16, "a projection"), (20, "layer normalization"), (1, "without its input gate")],
)
def test_other_kinds_of_lstm_are_refused(place: int, reason: str) -> None:
    fields: dict[str, object] = {"shape": (1, STEPS, DEPTH), "TimeMajor": False}
    operands = [*weights("odd"), *states("s", 2), *[ABSENT] * 4]
    operands[place - 1] = ABSENT if place == 1 else constant("more", UNITS)
    data = model(
        "UNIDIRECTIONAL_SEQUENCE_LSTM", "UnidirectionalSequenceLSTMOptions", fields, operands, (1, STEPS, UNITS)
    )
    (obstacle,) = obstacles(simplify(load_tflite(data)))
    assert reason in obstacle and "operator 0 'y0'" in obstacle
