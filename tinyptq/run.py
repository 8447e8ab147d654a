"""Run an image where its board says: inputs in, outputs and every layer's bytes out; exact instruction counts.

The protocol (a job file in, result files out, all in a fresh working directory) is told in firmware/app/main.c.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyptq.board import Board
from tinyptq.errors import TinyptqError
from tinyptq.graph import Array
from tinyptq.toolchain import install_line

MAGIC = 0x324A5154  # "TQJ2"
RUN, TRACE, PROFILE = range(3)
SPIN_SHORT, SPIN_LONG, EMPTY_MODEL, EMPTY_LAYER, EMPTY_STEP, WHOLE_MODEL = range(0x2000_0000, 0x2000_0006)
STEP = 0x1000_0000
SPIN_INSTRUCTIONS = 2 * 100_000  # what SPIN_LONG has more than SPIN_SHORT
TIMEOUT_S = 120.0
FAULT = 32
EXITS = {
    10: "the job is not for this image",
    11: "layers were asked of an image without trace hooks",
    12: "the job file is too short",
    13: "a result file cannot be written",
    14: "stack overflow: the board's stack is too small",
}


@dataclass(frozen=True)
class RunResult:
    """outputs: int8 [n, output_bytes]. layers: int8 [n, bytes] per traced output, () when not traced.

    stack_bytes: high water of one run, None where unknown.
    """

    outputs: Array
    layers: tuple[Array, ...]
    stack_bytes: int | None


@dataclass(frozen=True)
class Counts:
    """Instructions of one inference: per layer, and of the whole untraced run (calls between the layers included)."""

    layers: tuple[int, ...]
    total: int


def run_firmware(
    board: Board,
    elf: Path,
    inputs: Array,
    output_bytes: int,
    layer_count: int,
    trace: Sequence[tuple[int, int]] | None = None,
    timeout_s: float = TIMEOUT_S,
    reset_every: int = 0,
) -> RunResult:
    """Every row of inputs, int8 [n, input_bytes], through the image.

    trace: (layer, bytes) of every layer output; the image then needs hooks, and its stack figure is not the model's.
    reset_every: so many samples belong together, then the model's reset is called; 0: all of them.
    All results are held in memory: give long sets in batches. Raises no-runner, no-emulator, run-failed.
    """
    mode = RUN if trace is None else TRACE
    with tempfile.TemporaryDirectory(prefix="tinyptq-") as folder:
        work = Path(folder)
        _run_job(board, elf, mode, inputs, output_bytes, layer_count, work, timeout_s, reset_every)
        outputs = _read_rows(work / "outputs.bin", len(inputs), output_bytes)
        layers = () if trace is None else _read_layers(work / "trace.bin", len(inputs), trace)
        (stack,) = struct.unpack("<I", (work / "status.bin").read_bytes())
    return RunResult(outputs, layers, None if board.is_host or mode == TRACE else stack)


def profile_firmware(
    board: Board, elf: Path, trace_elf: Path, inputs: Array, output_bytes: int, layer_count: int
) -> Counts:
    """Instructions of one inference; inputs: int8 [1, input_bytes]. Layers come from trace_elf, the total from elf.

    Raises no-counter where the board has none, inexact-counter where the emulator does not count as expected.
    """
    if board.counter.kind == "none":
        raise TinyptqError("no-counter", f"board '{board.name}': {board.counter.reason}")
    whole = _intervals(board, elf, inputs[:1], output_bytes, layer_count)
    single = _intervals(board, trace_elf, inputs[:1], output_bytes, layer_count)
    empty = {kind: _sum(single, kind) for kind in (EMPTY_LAYER, EMPTY_STEP)}
    layers = [0] * layer_count
    for what, instructions in single:
        if what < layer_count:
            layers[what] += instructions - empty[EMPTY_LAYER]
        elif STEP <= what < STEP + layer_count:
            layers[what - STEP] += instructions - empty[EMPTY_STEP]
    return Counts(tuple(layers), _sum(whole, WHOLE_MODEL) - _sum(whole, EMPTY_MODEL))


def _sum(intervals: list[tuple[int, int]], what: int) -> int:
    return sum(instructions for kind, instructions in intervals if kind == what)


def _intervals(
    board: Board, elf: Path, inputs: Array, output_bytes: int, layer_count: int
) -> list[tuple[int, int]]:
    """(what, instructions) of every interval the image measured, after a check of the counter."""
    with tempfile.TemporaryDirectory(prefix="tinyptq-") as folder:
        work = Path(folder)
        _run_job(board, elf, PROFILE, inputs, output_bytes, layer_count, work, TIMEOUT_S)
        readings = np.fromfile(work / "profile.bin", "<u4").reshape(-1, 3).astype(np.int64)
    ticks = (readings[:, 2] - readings[:, 1]) % (1 << 32)
    instructions = np.rint(ticks / board.counter.ticks_per_instruction).astype(np.int64)
    intervals = list(zip(readings[:, 0].tolist(), instructions.tolist(), strict=True))
    counted = _sum(intervals, SPIN_LONG) - _sum(intervals, SPIN_SHORT)
    if counted != SPIN_INSTRUCTIONS:
        message = f"a loop of {SPIN_INSTRUCTIONS} instructions was counted as {counted}"
        raise TinyptqError("inexact-counter", message, where=f"board '{board.name}'", hint="check [counter]")
    return intervals


def command_line(board: Board, elf: Path, profile: bool = False) -> list[str]:
    """The command that runs an image of this board."""
    if not board.run:
        message = f"images for board '{board.name}' do not run on this machine"
        raise TinyptqError("no-runner", message, hint="the board file has no 'run' command")
    program, *rest = (word.replace("{elf}", str(elf.resolve())) for word in board.run)
    if shutil.which(program) is None:
        message = f"board '{board.name}' runs in {program}, which is not on PATH"
        raise TinyptqError("no-emulator", message, hint=install_line(program))
    return [program, *(board.counter.args if profile else ()), *rest]


def _run_job(
    board: Board,
    elf: Path,
    mode: int,
    inputs: Array,
    output_bytes: int,
    layers: int,
    work: Path,
    timeout_s: float,
    reset_every: int = 0,
) -> None:
    """One process, in the folder that receives the result files."""
    count, input_bytes = inputs.shape
    header = struct.pack("<7I", MAGIC, mode, count, input_bytes, output_bytes, layers, reset_every)
    (work / "inputs.bin").write_bytes(header + np.ascontiguousarray(inputs).tobytes())
    command = command_line(board, elf, mode == PROFILE)
    try:
        done = subprocess.run(
            command, cwd=work, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise TinyptqError("run-failed", f"{command[0]} did not end within {timeout_s:g} s", where=elf.name) from None
    except OSError as error:
        raise TinyptqError("run-failed", f"cannot start: {error.strerror}", where=command[0]) from None
    if done.returncode:
        raise TinyptqError("run-failed", _explain(done.returncode, done.stderr), where=elf.name)


def _explain(code: int, stderr: bytes) -> str:
    if code in EXITS:
        return EXITS[code]
    if FAULT < code < 2 * FAULT:
        return f"the firmware stopped with fault {code - FAULT}"
    lines = stderr.decode(errors="replace").strip().splitlines()
    if any("Lockup" in line for line in lines):
        return "the core locked up: a fault within a fault, most often a stack overflow"
    return f"exit code {code}" + (f": {lines[-1]}" if lines else "")


def _read_rows(path: Path, count: int, row_bytes: int) -> Array:
    data = np.fromfile(path, np.int8)
    if data.size != count * row_bytes:
        raise TinyptqError("run-failed", f"{data.size} bytes instead of {count * row_bytes}", where=path.name)
    return data.reshape(count, row_bytes)


def _read_layers(path: Path, count: int, trace: Sequence[tuple[int, int]]) -> tuple[Array, ...]:
    """Split the trace, {layer, bytes, data} per sample and layer output, into one array per layer output."""
    rows = _read_rows(path, count, sum(size for _, size in trace) + 8 * len(trace))
    layers, start = [], 0
    for layer, size in trace:
        header = np.frombuffer(struct.pack("<2I", layer, size), np.int8)
        if not (rows[:, start : start + 8] == header).all():
            message = f"layer {layer} is missing, out of order or not {size} bytes"
            raise TinyptqError("run-failed", message, where=path.name)
        layers.append(rows[:, start + 8 : start + 8 + size])
        start += 8 + size
    return tuple(layers)
