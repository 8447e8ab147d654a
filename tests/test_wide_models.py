"""16x8 models, imported: equal to tflite-micro in every layer, the firmware equal to the simulator on every core."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.c_model import run_c_model
from tests.wide_models import wide_network
from tinyptq import pipeline, tflm, verbs
from tinyptq.frontend.tflite import load_tflite
from tinyptq.lower import lower
from tinyptq.passes import normalize
from tinyptq.program import Program
from tinyptq.ptq.imported import imported_recipe
from tinyptq.samples import random_inputs
from tinyptq.simulate import simulate
from tinyptq.verify import checkpoints, compare

BOARDS = ("cortex-m55", "cortex-m4", "cortex-m0", "riscv32")


@pytest.fixture(scope="module")
def program() -> Program:
    graph = normalize(load_tflite(wide_network(), "wide"))
    return lower(graph, imported_recipe(graph), "0" * 64)


def test_simulator_equals_tflm_on_the_file_and_on_the_exported_one(program: Program) -> None:
    pytest.importorskip("tflite_micro")
    inputs = random_inputs(program, 32)
    simulated = simulate(program, inputs)
    for actual in (tflm.run_tflm(wide_network(), inputs), tflm.run_program(program, inputs)):
        comparison = compare(simulated, actual, checkpoints(program))
        assert comparison.layers == len(program.layers) == 8
        assert comparison.equal, [str(m) for m in comparison.mismatches]


def test_the_network_says_something(program: Program) -> None:
    """Every layer's outputs are spread over their range, and sums of both widths are there."""
    tensors = simulate(program, random_inputs(program, 32))
    spread = {layer.name: len(set(tensors[layer.outputs[0]].ravel().tolist())) for layer in program.layers}
    assert min(spread.values()) > 200, spread
    widths = [layer.params.accumulator for layer in program.layers if hasattr(layer.params, "accumulator")]
    assert sorted(widths) == ["int32"] * 5 + ["int64"]


def test_c_equals_simulator(program: Program, tmp_path: Path) -> None:
    """On the host, under ASan and UBSan."""
    inputs = random_inputs(program, 6)
    assert compare(simulate(program, inputs), run_c_model(program, inputs, tmp_path), checkpoints(program)).equal


@pytest.mark.parametrize("board", BOARDS)
def test_firmware_equals_simulator(board: str, tmp_path: Path) -> None:
    path = tmp_path / "wide.tflite"
    path.write_bytes(wide_network())
    built = pipeline.build(path, board=board, output=tmp_path / "out", count=8)
    assert built.report["verification"]["differing_bytes"] == 0
    assert built.report["verification"]["layers"] == len(built.report["layers"]) == 8
    pytest.importorskip("tflite_micro")
    *_, against = verbs.verify(built.directory, against="tflm")
    assert against.comparison.samples == 8 and against.comparison.equal, against.as_json()
