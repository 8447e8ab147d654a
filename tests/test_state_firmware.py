"""Models that remember, on every board: 100 consecutive runs equal the simulator; after a reset all begins again."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import tinyptq
from tests.firmware_fixture import require_tools
from tests.shared import shared_path
from tests.streaming_models import Draft, file_of, wake_word
from tests.test_boards import EMBEDDED
from tests.tiny_tflite import Part, parts_bytes
from tinyptq.board import load_board
from tinyptq.errors import TinyptqError
from tinyptq.fit import Goal, build_images
from tinyptq.frontend.tflite import load_tflite
from tinyptq.graph import Array, QParams, Tensor
from tinyptq.lower import lower
from tinyptq.obstacles import obstacles
from tinyptq.ops.base import TfliteCode
from tinyptq.passes import normalize
from tinyptq.program import Program
from tinyptq.prove import layer_tensors, output_bytes, pack, run_with_resets, traced_outputs, unpack
from tinyptq.ptq.imported import imported_recipe
from tinyptq.run import run_firmware
from tinyptq.samples import random_inputs
from tinyptq.simulate import simulate
from tinyptq.toolchain import find_compiler
from tinyptq.verify import checkpoints, compare

STEPS, RESET = 100, 60
MODELS = ("keyword_scrambled", "trained_lstm_int8", "wake_word")  # SVDF, LSTM, variables


def model_bytes(name: str) -> bytes:
    return wake_word() if name == "wake_word" else shared_path("models", "tflm", f"{name}.tflite").read_bytes()


def imported(model: bytes, name: str = "model") -> Program:
    graph = normalize(load_tflite(model, name))
    return lower(graph, imported_recipe(graph), "0" * 64)


@cache
def streamed(name: str) -> tuple[Program, dict[str, Array], dict[str, Array]]:
    """(program, inputs, every tensor with a reset after 60 of 100 steps); the last 40 inputs are the first 40 again."""
    program = imported(model_bytes(name), name)
    inputs = {key: np.concatenate([x, x[: STEPS - RESET]]) for key, x in random_inputs(program, RESET).items()}
    return program, inputs, run_with_resets(program, inputs, RESET)


@pytest.mark.parametrize("name", MODELS)
def test_the_simulator_starts_over(name: str) -> None:
    """With a reset the second pass over the same inputs is the first one; without, it is another one."""
    program, inputs, expected = streamed(name)
    first, last = slice(0, STEPS - RESET), slice(RESET, STEPS)
    assert all(np.array_equal(tensor[last], tensor[first]) for tensor in expected.values())
    unbroken = simulate(program, inputs)
    assert all(np.array_equal(unbroken[key][:RESET], tensor[:RESET]) for key, tensor in expected.items())
    assert any(not np.array_equal(tensor[last], tensor[first]) for tensor in unbroken.values())


@pytest.mark.parametrize("board", ["host", *EMBEDDED])
@pytest.mark.parametrize("name", MODELS)
def test_100_steps_on_the_board(name: str, board: str, tmp_path: Path) -> None:
    """Every layer of the traced image at every step, the outputs of the image that ships, and both after a reset."""
    program, inputs, expected = streamed(name)
    target = load_board(board)
    require_tools(target)
    images = build_images(program, target, Goal(), tmp_path).images
    packed, size, layers = pack(program, program.inputs, inputs), output_bytes(program), len(program.layers)
    trace = traced_outputs(program)
    traced = run_firmware(target, images.trace_elf, packed, size, layers, trace, reset_every=RESET)
    comparison = compare(expected, layer_tensors(program, traced.layers), checkpoints(program))
    assert comparison.samples == STEPS and comparison.equal, [str(m) for m in comparison.mismatches]
    shipped = run_firmware(target, images.elf, packed, size, layers, reset_every=RESET)
    for key, found in unpack(program, program.outputs, shipped.outputs).items():
        np.testing.assert_array_equal(found, expected[key].reshape(found.shape))
    np.testing.assert_array_equal(shipped.outputs[RESET:], shipped.outputs[: STEPS - RESET])


def test_report_counts_the_state(tmp_path: Path) -> None:
    """Bytes of the rings of the wake word: rows kept times channels, by hand."""
    path = tmp_path / "wake_word.tflite"
    path.write_bytes(wake_word())
    report = tinyptq.build(path, board="host", output=tmp_path / "out", count=3).report
    assert report["state_bytes"] == 2 * 40 + (4 + 10 + 14 + 22 + 5) * 16
    assert report["ram_bytes"] == report["arena_bytes"] + report["state_bytes"]
    assert "#define WAKE_WORD_STATE_BYTES 960" in (tmp_path / "out/src/wake_word.h").read_text()


def ring(rows: int) -> bytes:
    model = Draft()
    x = model.input("x", (1, 1, 1, 64))
    model.outputs = [model.ring(x, rows + 1, "frames")]
    return file_of(model)


def test_a_state_beyond_the_boards_ram_is_refused_before_anything_is_compiled(tmp_path: Path) -> None:
    """cortex-m55 has 512 KiB."""
    path = tmp_path / "ring.tflite"
    path.write_bytes(ring(8193))
    complaint = "the model remembers 524,352 bytes between runs, the board has 524,288 bytes of RAM"
    with pytest.raises(TinyptqError, match=complaint):
        tinyptq.build(path, board="cortex-m55", output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


# States of SVDF and LSTM are tensors of the file; two operators may name one.


def two_svdf(shared: bool) -> bytes:
    """Two SVDF one after the other, each with its own state or both with one."""
    rng = np.random.default_rng(0)
    scale = QParams.per_tensor
    feature = Tensor("feature", (4, 4), np.dtype(np.int8), rng.integers(-127, 128, (4, 4)).astype(np.int8), scale(0.01))
    time = Tensor("time", (4, 3), np.dtype(np.int16), rng.integers(-999, 999, (4, 3)).astype(np.int16), scale(0.0001))
    bias = Tensor("bias", (4,), np.dtype(np.int32), np.zeros(4, np.int32), scale(0.00001))
    frames = [Tensor(name, (1, 4), np.dtype(np.int8), None, scale(0.1)) for name in "xyz"]
    states = [Tensor(f"state{i}", (1, 12), np.dtype(np.int16), None, scale(0.1)) for i in range(2)]
    codes = [TfliteCode("SVDF", "SVDFOptions", {"Rank": 1}, version=3) for _ in range(2)]
    wiring = [(codes[0], [0, 3, 4, 5, 6], [1]), (codes[1], [1, 3, 4, 5, 6 if shared else 7], [2])]
    return parts_bytes([Part([*frames, feature, time, bias, *states], wiring, [0], [2])])


def test_one_state_of_two_operators_is_refused() -> None:
    assert obstacles(load_tflite(two_svdf(shared=False))) == []
    (refused,) = obstacles(load_tflite(two_svdf(shared=True)))
    assert refused.startswith("SVDF: tensor 'state0' has state kept between runs, shared by 2 operands")
    assert "operator 0" in refused and "operator 1" in refused


# What README.md says.


def test_the_c_example_of_the_readme_compiles(tmp_path: Path) -> None:
    """Against the header of a wake word, under the warnings of generated code but for its missing prototypes."""
    readme = (Path(__file__).resolve().parent.parent / "README.md").read_text()
    (example,) = re.findall(r'```c\n(#include "wake_word.h"\n.*?)```', readme, re.S)
    path = tmp_path / "wake_word.tflite"
    path.write_bytes(wake_word())
    tinyptq.build(path, board="host", output=tmp_path / "out", count=2)
    compiler = find_compiler(load_board("host"))
    (tmp_path / "example.c").write_text(example)
    command = [
        *compiler.argv,
        *compiler.flags,
        "-Wno-missing-prototypes",
        "-I",
        "out/src",
        "-c",
        "example.c",
        "-o",
        "example.o",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
