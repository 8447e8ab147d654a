"""A whole generated model on the host: compiled under every warning, ASan and UBSan, every layer's bytes read back."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest

from tests.c_harness import SANITIZERS, WARNINGS
from tinyptq.board import load_board
from tinyptq.emit.c import emit_c
from tinyptq.emit.ports import io_layout
from tinyptq.graph import Array
from tinyptq.output import write_files
from tinyptq.plan.check import require_sound
from tinyptq.plan.planner import plan
from tinyptq.program import Program

MAIN = """
#include "tq_model.h"
#include "tq_trace.h"
#include <stdio.h>

void tq_trace_begin(uint32_t layer)
{
    (void)layer;
}

void tq_trace_output(uint32_t layer, const void *output, size_t bytes)
{
    uint32_t header[2];
    header[0] = layer;
    header[1] = (uint32_t)bytes;
    fwrite(header, sizeof header, 1, stdout);
    fwrite(output, 1, bytes, stdout);
}

void tq_trace_end(uint32_t layer, const void *output, size_t bytes)
{
    tq_trace_output(layer, output, bytes);
}

int main(void)
{
    static int8_t inputs[TQ_MODEL_INPUT_BYTES] __attribute__((aligned(16)));
    static int8_t outputs[TQ_MODEL_OUTPUT_BYTES] __attribute__((aligned(16)));
    tq_model_reset();
    while (fread(inputs, 1, sizeof inputs, stdin) == sizeof inputs) {
        tq_model_run(inputs, outputs);
    }
    return 0;
}
"""


def run_c_model(
    program: Program,
    inputs: Mapping[str, Array],
    folder: Path,
    flags: Sequence[str] = SANITIZERS,
    isa: tuple[str, ...] = ("portable",),
) -> dict[str, Array]:
    """{value name: int8 [n, ...]} of every layer's output, computed by the C of the host board; isa: others' C."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler on this machine")
    board = replace(load_board("host"), isa=isa)
    memory = plan(program, board)
    require_sound(program, memory)
    write_files(folder, {**emit_c(program, memory, board), "main.c": MAIN})
    sources = [f"{program.name}.c", f"{program.name}_weights.c", "main.c"]
    command = [compiler, *WARNINGS, *flags, "-DTQ_TRACE", *sources, "-o", "model"]
    compiled = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert compiled.returncode == 0, compiled.stderr
    environ = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    ran = subprocess.run(["./model"], cwd=folder, input=packed(program, inputs), capture_output=True, env=environ)
    assert ran.returncode == 0, ran.stderr[-4000:].decode()
    return traced(program, ran.stdout)


def packed(program: Program, inputs: Mapping[str, Array]) -> bytes:
    """Sample after sample, the inputs of one sample at the offsets of the generated glue."""
    sizes = [program.values[name].size_bytes for name in program.inputs]
    offsets, total = io_layout(sizes)
    count = len(inputs[program.inputs[0]])
    buffer = np.zeros((count, total), np.uint8)
    for name, offset, size in zip(program.inputs, offsets, sizes, strict=True):
        buffer[:, offset : offset + size] = inputs[name].reshape(count, -1).view(np.uint8)
    return buffer.tobytes()


def traced(program: Program, stream: bytes) -> dict[str, Array]:
    """The trace of all samples as arrays; every layer speaks once per sample."""
    parts: dict[str, list[Array]] = {}
    expected = cycle((index, name) for index, layer in enumerate(program.layers) for name in layer.outputs)
    position = 0
    while position < len(stream):
        layer, size = struct.unpack_from("=II", stream, position)
        index, name = next(expected)
        value = program.values[name]
        assert (layer, size) == (index, value.size_bytes)
        body = stream[position + 8 : position + 8 + size]
        parts.setdefault(value.name, []).append(np.frombuffer(body, value.dtype).reshape(value.shape))
        position += 8 + size
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}
