"""On graphs nobody thought of, three computations agree in every byte of every layer: NumPy, tflite-micro, C."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from tests.c_model import run_c_model
from tests.conformance.together import on_board
from tests.conformance.trial import Trial
from tests.graphs import graphs
from tests.programs import random_inputs, tflm_tensors
from tinyptq.board import load_board
from tinyptq.emit.tflite import write_tflite_model
from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, Graph
from tinyptq.lower import lower
from tinyptq.program import Program
from tinyptq.ptq.calibration import open_calibration
from tinyptq.ptq.quantize import quantize
from tinyptq.ptq.separate_scales import separate_scales
from tinyptq.simulate import simulate
from tinyptq.store import load_program, save_program
from tinyptq.verify import Comparison, checkpoints, compare

SAMPLES = 5
# Random weights may leave a layer without any range to speak of; such a model is refused, rightly.
REFUSALS = ("accumulator-overflow", "scale-out-of-range")
SLOW = {"deadline": None, "derandomize": True, "suppress_health_check": [HealthCheck.too_slow]}


def quantized(graph: Graph) -> Program:
    ready = separate_scales(graph)
    try:
        recipe = quantize(ready, open_calibration("random", ready), "min-max", lambda *_: None)
        return lower(ready, recipe, "0" * 64)
    except TinyptqError as error:
        assume(error.reference not in REFUSALS)
        raise


def simulated(program: Program) -> dict[str, Array]:
    return simulate(program, random_inputs(np.random.default_rng(0), program, SAMPLES))


def require_same(comparison: Comparison, program: Program) -> None:
    assert comparison.equal, "\n".join(map(str, comparison.mismatches))
    assert comparison.layers == len(program.layers)
    assert comparison.samples == SAMPLES


@given(graph=graphs())
@settings(max_examples=120, **SLOW)
def test_simulator_equals_tflm(graph: Graph) -> None:
    program = quantized(graph)
    expected = simulated(program)
    require_same(compare(expected, tflm_tensors(program, expected), checkpoints(program)), program)


@given(graph=graphs(max_nodes=10))
@settings(max_examples=25, **SLOW)
def test_simulator_equals_c(graph: Graph) -> None:
    program = quantized(graph)
    expected = simulated(program)
    with tempfile.TemporaryDirectory() as folder:
        actual = run_c_model(program, expected, Path(folder))
    require_same(compare(expected, actual, checkpoints(program)), program)


@given(graph=graphs())
@settings(max_examples=40, **SLOW)
def test_litert_runs_every_exported_file(graph: Graph) -> None:
    """No oracle for integers, but the file must be one it accepts, with the shapes it infers itself."""
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")
    program = quantized(graph)
    interpreter = litert.Interpreter(model_content=write_tflite_model(program))
    interpreter.allocate_tensors()
    for name, detail in zip(program.inputs, interpreter.get_input_details(), strict=True):
        interpreter.set_tensor(detail["index"], np.zeros(program.values[name].shape, np.int8))
    interpreter.invoke()
    for name, detail in zip(program.outputs, interpreter.get_output_details(), strict=True):
        assert tuple(interpreter.get_tensor(detail["index"]).shape) == program.values[name].shape


@given(graph=graphs())
@settings(max_examples=40, **SLOW)
def test_a_stored_program_computes_the_same(graph: Graph) -> None:
    program = quantized(graph)
    expected = simulated(program)
    with tempfile.TemporaryDirectory() as folder:
        save_program(program, Path(folder) / "program.npz")
        loaded = load_program(Path(folder) / "program.npz")
    require_same(compare(expected, simulated(loaded), checkpoints(program)), program)


@given(several=st.lists(graphs(max_nodes=10), min_size=6, max_size=6))
@settings(max_examples=2, phases=(Phase.generate,), **SLOW)
@pytest.mark.parametrize("name", ["cortex-m55", "cortex-m4", "riscv32"])
def test_simulator_equals_firmware(name: str, several: list[Graph]) -> None:
    """Plans in which outputs lie over inputs, on cores with kernels of their own."""
    programs = [quantized(graph) for graph in several]
    rng = np.random.default_rng(0)
    trials = [Trial(program, b"", random_inputs(rng, program, SAMPLES), ()) for program in programs]
    with tempfile.TemporaryDirectory() as folder:
        comparison = on_board(trials, load_board(name), Path(folder))
    assert comparison.equal, "\n".join(map(str, comparison.mismatches))
    assert comparison.layers == sum(len(program.layers) for program in programs)
