"""What every kernel must show, over a program of many unconnected layers; for the DSP extension unless told."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.arm_layers import build, in_row_blocks, inputs_and_expected, joined, planned
from tests.test_kernels_arm import EDGES, edge_glue
from tinyptq.board import load_board
from tinyptq.emit.c import emit_c
from tinyptq.emit.firmware import WARNINGS
from tinyptq.program import Program
from tinyptq.run import profile_firmware, run_firmware

BOARD, EDGE_BOARD = "cortex-m4", "cortex-m33"


def check_every_byte(
    program: Program,
    way: str,
    folder: Path,
    name: str = BOARD,
    prefix: str | None = None,
    kernel: str | None = None,
    isa: str = "arm_dsp",
    least: int | None = None,
) -> None:
    """Every layer's output in the emulator equals run_int, computed whole or in growing blocks of rows.

    isa: of all kernels, or of at least so many.
    """
    board = load_board(name)
    board = board if prefix is None else replace(board, prefix=prefix)
    memory = planned(program, board, kernel)
    memory = memory if way == "whole" else in_row_blocks(program, memory)
    assert sum(kernel.isa == isa for kernel in memory.kernels) >= (len(memory.kernels) if least is None else least)
    images = build(program, memory, board, folder)
    inputs, expected = inputs_and_expected(program, 5)
    bytes_out = joined(program, program.outputs, expected).shape[1]
    sizes = [(i, e.shape[1]) for i, e in enumerate(expected)]
    result = run_firmware(board, images.trace_elf, inputs, bytes_out, len(expected), sizes)
    for layer, want, got in zip(program.layers, expected, result.layers, strict=True):
        assert len(np.unique(want)) > 3 or least is not None, layer.name
        np.testing.assert_array_equal(got, want, layer.name)


def check_nothing_outside(program: Program, folder: Path, kernel: str | None = None, isa: str = "arm_dsp") -> None:
    """Each layer's input and output lie at the edges of memory in turn: a touch beyond is a fault. One input each."""
    board = replace(load_board(EDGE_BOARD), isa=(isa, "portable"))
    glue = edge_glue(len(program.layers), *EDGES[EDGE_BOARD])
    images = build(program, planned(program, board, kernel), board, folder, glue=glue)
    inputs, expected = inputs_and_expected(program, 3)
    want = joined(program, program.outputs, expected)
    result = run_firmware(board, images.elf, inputs, want.shape[1], len(expected))
    np.testing.assert_array_equal(result.outputs, want)


def check_instructions(
    program: Program,
    limit: int,
    folder: Path,
    name: str = BOARD,
    tolerance: float = 0.05,
    kernel: str | None = None,
) -> None:
    """The only layer needs no more instructions than this, and its kernel's cost is near the count."""
    board, memory = load_board(name), planned(program, load_board(name), kernel)
    images = build(program, memory, board, folder)
    inputs, expected = inputs_and_expected(program, 1)
    counts = profile_firmware(board, images.elf, images.trace_elf, inputs, expected[0].shape[1], 1)
    predicted = memory.kernels[0].cost(program.layers[0].params).instructions
    assert counts.layers[0] <= limit, counts.layers[0]
    assert abs(predicted - counts.layers[0]) <= tolerance * counts.layers[0], (predicted, counts.layers[0])


def check_no_warning(program: Program, compiler: str, level: str, folder: Path, name: str = BOARD) -> None:
    """The project's warnings are errors."""
    found = shutil.which(compiler) or (shutil.which("clang-19") if compiler == "clang" else None)
    if found is None:
        pytest.skip(f"{compiler} is not installed")
    board = load_board(name)
    for path, text in emit_c(program, planned(program, board), board).items():
        (folder / path).write_text(text)
    (folder / "string.h").write_text(
        "#include <stddef.h>\nvoid *memcpy(void *, const void *, size_t);\nvoid *memset(void *, int, size_t);\n"
    )
    flags = [flag for flag in board.cflags if not flag.startswith("-O")]
    triple = "arm-none-eabi" if board.prefix.startswith("arm") else "riscv32-unknown-elf"
    target = [f"--target={triple}"] if "clang" in compiler else []
    command = [found, *target, *flags, level, "-std=c99", "-ffreestanding", "-I.", *WARNINGS, "-c", f"{program.name}.c"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:2000]
