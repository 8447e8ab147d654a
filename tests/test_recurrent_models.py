"""Recurrent int8 models of TFLM's own examples: every SVDF and LSTM layer, output and state, frame by frame."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.shared import shared_path
from tinyptq import pipeline, tflm, verbs
from tinyptq.frontend.tflite import load_tflite
from tinyptq.graph import Array, Node, Tensor
from tinyptq.ops import BY_NAME
from tinyptq.ops.base import Operand

STEPS = 40
STATE_PLACES = {"svdf": (4,), "unidirectional_sequence_lstm": (18, 19)}


def operand(tensor: Tensor) -> Operand:
    assert tensor.qparams is not None
    return Operand(tensor.shape, tensor.qparams, tensor.data, tensor.dtype)


def stream(model: bytes, inputs: Array) -> tuple[Any, list[list[Array]]]:
    """The file's subgraph, and every tensor with a buffer after each run of TFLM: [step][tensor index]."""
    import tflite

    graph = tflite.Model.GetRootAs(model, 0).Subgraphs(0)
    runtime = pytest.importorskip("tflite_micro").runtime
    keep_all = runtime.InterpreterConfig.kPreserveAllTensors
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=1 << 21, intrepreter_config=keep_all)
    wanted = sorted({int(i) for k in range(graph.OperatorsLength()) for i in indices(graph.Operators(k))})
    steps = []
    for sample in inputs:
        interpreter.set_input(sample[None], 0)
        interpreter.invoke()
        tensors = {i: np.array(interpreter.GetTensor(i, 0)["tensor_data"]) for i in wanted}
        steps.append([tensors.get(i, np.zeros(0)) for i in range(graph.TensorsLength())])
    return graph, steps


def indices(operator: Any) -> list[int]:
    """Tensors of an operator that TFLM can show: inputs that are there, and outputs."""
    return [i for i in (*operator.InputsAsNumpy(), *operator.OutputsAsNumpy()) if i >= 0]


def follow(node: Node, tensors: Mapping[str, Tensor], operator: Any, steps: list[list[Array]]) -> int:
    """One layer on TFLM's own inputs, step by step: how many elements were compared."""
    op = BY_NAME[node.op]
    params = op.lower(
        node.attrs, tuple(operand(tensors[n]) for n in node.inputs), tuple(operand(tensors[n]) for n in node.outputs)
    )
    assert op.run_state is not None
    state: Mapping[str, Array] = {name: s.initial for name, s in op.state(params).items()}
    places = [operator.Inputs(i) for i in STATE_PLACES[node.op]]
    count = 0
    for step in steps:
        y, state = op.run_state(params, state, step[operator.Inputs(0)])
        for actual, expected in zip((y, *state.values()), (operator.Outputs(0), *places), strict=True):
            assert actual.dtype == step[expected].dtype
            assert np.array_equal(actual.reshape(-1), step[expected].reshape(-1)), node.source
            count += actual.size
    return count


@pytest.mark.parametrize(
    ("file", "dtype", "layers"),
    [("trained_lstm_int8", "int8", 1), ("keyword_scrambled", "int16", 7), ("keyword_scrambled_8bit", "int16", 7)],
)
def test_every_layer_and_state_equals_tflm(file: str, dtype: str, layers: int) -> None:
    model = shared_path("models", "tflm", f"{file}.tflite").read_bytes()
    graph = load_tflite(model)
    generator = np.random.default_rng(3)
    shape = graph.tensors[graph.inputs[0]].shape[1:]
    loud = generator.integers(1, 9000, STEPS) if dtype == "int16" else np.full(STEPS, 60)  # quiet and loud frames
    ends = np.iinfo(dtype)
    frames = np.stack([generator.normal(0, volume, shape) for volume in loud])
    raw, steps = stream(model, np.clip(np.rint(frames), ends.min, ends.max).astype(dtype))
    found = [(node, raw.Operators(k)) for k, node in enumerate(graph.nodes) if node.op in STATE_PLACES]
    assert len(found) == layers
    compared = sum(follow(node, graph.tensors, operator, steps) for node, operator in found)
    assert compared > 20_000


@pytest.mark.parametrize("board", ["host", "cortex-m0"])
@pytest.mark.parametrize("file", ["trained_lstm_int8", "keyword_scrambled", "keyword_scrambled_8bit"])
def test_firmware_equals_simulator_and_tflm(file: str, board: str, tmp_path: Path) -> None:
    """Consecutive runs of the firmware: each begins with the state that the last one left."""
    model = shared_path("models", "tflm", f"{file}.tflite")
    built = pipeline.build(model, board=board, output=tmp_path / "out", count=32)
    assert built.report["verification"]["differing_bytes"] == 0
    if board == "host":
        pytest.importorskip("tflite_micro")
        *_, against = verbs.verify(built.directory, against="tflm")
        assert against.comparison.samples == 32 and against.comparison.equal, against.as_json()


def test_reset_begins_again() -> None:
    """What TFLM keeps from run to run it forgets on reset; states begin with their zero points."""
    model = shared_path("models", "tflm", "trained_lstm_int8.tflite").read_bytes()
    x = np.random.default_rng(4).integers(-128, 128, (1, 28, 28)).astype(np.int8)
    twice = np.repeat(x, 2, axis=0)
    kept, fresh = (tflm.run_tensors(model, [twice], [23], fresh=fresh)[0] for fresh in (False, True))
    assert not np.array_equal(kept[0], kept[1]) and np.array_equal(fresh[0], fresh[1])
