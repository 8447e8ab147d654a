"""Models that others quantized: imported as they are, equal to tflite-micro on the original file in every layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.models import INT8_MODELS
from tests.shared import shared_path
from tinyptq import pipeline, tflm
from tinyptq.frontend import load_model
from tinyptq.lower import lower
from tinyptq.passes import normalize
from tinyptq.program import Program
from tinyptq.ptq.imported import imported_recipe
from tinyptq.samples import random_inputs
from tinyptq.simulate import simulate
from tinyptq.verify import checkpoints, compare

INPUTS = 32
BOARDS = ("cortex-m55", "cortex-m4", "cortex-m0", "riscv32")


def imported(path: Path) -> Program:
    graph = normalize(load_model(path))
    return lower(graph, imported_recipe(graph), "0" * 64)


@pytest.mark.parametrize("model", INT8_MODELS)
def test_simulator_equals_tflm_on_the_original_file(model: str) -> None:
    pytest.importorskip("tflite_micro")
    path = shared_path("models", *model.split("/"))
    program = imported(path)
    inputs = random_inputs(program, INPUTS)
    actual = tflm.run_tflm(path.read_bytes(), inputs)
    comparison = compare(simulate(program, inputs), actual, checkpoints(program))
    assert comparison.samples == INPUTS
    assert comparison.layers == len(program.layers)
    assert comparison.equal, [str(m) for m in comparison.mismatches]


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("model", INT8_MODELS)
def test_firmware_equals_simulator(model: str, board: str, tmp_path: Path) -> None:
    """No calibration set is asked for: the file's scales are the recipe."""
    path = shared_path("models", *model.split("/"))
    report = pipeline.build(path, board=board, output=tmp_path / "out", count=8).report
    assert report["verification"]["differing_bytes"] == 0
    assert report["verification"]["layers"] == len(report["layers"])


def test_scales_of_the_file_are_kept() -> None:
    """hello_world: input scale 0.024480116 with zero point -128, as its table of contents says."""
    program = imported(shared_path("models", "tflm", "hello_world_int8.tflite"))
    qparams = program.values[program.inputs[0]].qparams
    assert qparams is not None
    assert qparams.scale[0] == np.float32(0.024480116)
    assert qparams.zero_point[0] == -128
