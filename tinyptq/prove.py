"""The firmware, run for real, against the simulator: every byte of every layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyptq.board import Board
from tinyptq.emit.c import program_constants
from tinyptq.emit.ports import io_layout
from tinyptq.errors import EXIT_MISMATCH, TinyptqError
from tinyptq.graph import Array
from tinyptq.image import symbol_bytes
from tinyptq.kernels.base import Kernel
from tinyptq.program import Program
from tinyptq.run import run_firmware
from tinyptq.simulate import initial_memory, run_batch
from tinyptq.verify import Comparison, checkpoints, compare

BATCH = 16
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Firmware:
    """A linked model. kernels: one per layer. trace_elf: the image whose layers tell what they computed."""

    board: Board
    kernels: Sequence[Kernel]
    elf: Path
    trace_elf: Path


@dataclass(frozen=True)
class Verification:
    """One comparison of the simulator with something else. stack_bytes: high water of one run, None if unknown."""

    runner: str
    comparison: Comparison
    stack_bytes: int | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "runner": self.runner,
            "inputs": self.comparison.samples,
            "layers": self.comparison.layers,
            "bytes": self.comparison.compared_bytes,
            "differing_bytes": self.comparison.differing_bytes,
            "first_difference": str(self.comparison.mismatches[0]) if self.comparison.mismatches else None,
        }


def runner_name(board: Board) -> str:
    """What runs the image: "host", "qemu-system-arm", or "nothing"."""
    if board.is_host:
        return "host"
    return Path(board.run[0]).name if board.run else "nothing"


def verify_firmware(
    program: Program, firmware: Firmware, inputs: Mapping[str, Array], progress: Progress
) -> Verification:
    """Every layer of the traced image, and the outputs of the image that ships, against the simulator.

    inputs: int8 [n, ...] by name; for a model that remembers consecutive ones, with a reset after two thirds of them.
    Differences are reported, not raised.
    """
    total = len(next(iter(inputs.values())))
    remembers = not initial_memory(program).is_empty
    step, reset_every = (total, -(-2 * total // 3)) if remembers else (BATCH, 0)
    parts: list[Comparison] = []
    stack = 0
    progress("verify", 0, total)
    for start in range(0, total, step):
        batch = {name: inputs[name][start : start + step] for name in program.inputs}
        part, used = verify_batch(program, firmware, batch, reset_every)
        parts.append(part)
        stack = max(stack, used)
        progress("verify", min(start + step, total), total)
    return Verification(runner_name(firmware.board), merged(parts), stack or None)


def verify_batch(
    program: Program, firmware: Firmware, batch: Mapping[str, Array], reset_every: int
) -> tuple[Comparison, int]:
    """(both images against the simulator, bytes of stack the shipped one took); every reset_every samples one reset."""
    expected = run_with_resets(program, batch, reset_every)
    packed = pack(program, program.inputs, batch)
    size, layers, board = output_bytes(program), len(program.layers), firmware.board
    trace = traced_outputs(program)
    traced = run_firmware(board, firmware.trace_elf, packed, size, layers, trace, reset_every=reset_every)
    shipped = run_firmware(board, firmware.elf, packed, size, layers, reset_every=reset_every)
    found = compare(expected, layer_tensors(program, traced.layers), checkpoints(program))
    if found.equal:  # else the layer that differs is the better answer
        require_own_constants(program, firmware.kernels, firmware.elf)
        require_same_outputs(expected, unpack(program, program.outputs, shipped.outputs))
    return found, shipped.stack_bytes or 0


def run_with_resets(program: Program, inputs: Mapping[str, Array], reset_every: int) -> dict[str, Array]:
    """The simulator's tensors, every reset_every samples from a fresh memory; 0: all of them consecutive."""
    total = len(next(iter(inputs.values())))
    step = reset_every or max(total, 1)
    starts = range(0, max(total, 1), step)
    parts = [run_batch(program, {name: x[start : start + step] for name, x in inputs.items()}) for start in starts]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def require_own_constants(program: Program, kernels: Sequence[Kernel], elf: Path) -> None:
    """Every constant in the image is the program's: a byte that differs may change no output of these inputs."""
    constants = program_constants(program, kernels).values()
    stored = symbol_bytes(elf, [constant.symbol for constant in constants])
    for constant in constants:
        wanted = constant.data.astype(constant.data.dtype.newbyteorder("<")).tobytes()
        found = stored.get(constant.symbol, wanted)
        if found != wanted:
            pairs = enumerate(zip(wanted, found, strict=False))
            first = next((i for i, (ours, theirs) in pairs if ours != theirs), min(len(wanted), len(found)))
            message = f"{constant.owner}: byte {first} of {constant.symbol} is not the program's"
            raise TinyptqError("mismatch", message, where=elf.name, exit_code=EXIT_MISMATCH)


def require_same_outputs(expected: Mapping[str, Array], actual: Mapping[str, Array]) -> None:
    for name, values in actual.items():
        if not np.array_equal(expected[name].reshape(values.shape), values):
            raise TinyptqError(
                "mismatch", "the image without trace differs from the simulator", where=name, exit_code=EXIT_MISMATCH
            )


def merged(parts: list[Comparison]) -> Comparison:
    """Comparisons of consecutive samples as one."""
    return Comparison(
        layers=parts[0].layers,
        samples=sum(p.samples for p in parts),
        compared_bytes=sum(p.compared_bytes for p in parts),
        mismatches=tuple(m for p in parts for m in p.mismatches),
    )


def pack(program: Program, names: tuple[str, ...], tensors: Mapping[str, Array]) -> Array:
    """int8 [n, bytes]: the tensors in one buffer each sample, laid out as tq_model.h says."""
    offsets, size = io_layout([program.values[name].size_bytes for name in names])
    count = len(tensors[names[0]])
    packed = np.zeros((count, size), np.int8)
    for name, offset in zip(names, offsets, strict=True):
        flat = np.ascontiguousarray(tensors[name]).reshape(count, -1).view(np.int8)
        packed[:, offset : offset + flat.shape[1]] = flat
    return packed


def unpack(program: Program, names: tuple[str, ...], packed: Array) -> dict[str, Array]:
    """The reverse of pack: {name: [n, elements]}."""
    offsets, _ = io_layout([program.values[name].size_bytes for name in names])
    tensors = {}
    for name, offset in zip(names, offsets, strict=True):
        value = program.values[name]
        part = np.ascontiguousarray(packed[:, offset : offset + value.size_bytes])
        tensors[name] = part.view(value.dtype)
    return tensors


def output_bytes(program: Program) -> int:
    return io_layout([program.values[name].size_bytes for name in program.outputs])[1]


def traced_outputs(program: Program) -> list[tuple[int, int]]:
    """(layer, bytes) of every layer output, in the order in which the trace hooks fire."""
    return [(i, program.values[name].size_bytes) for i, layer in enumerate(program.layers) for name in layer.outputs]


def layer_tensors(program: Program, traced: Sequence[Array]) -> dict[str, Array]:
    """{value name: [n, elements]} from the traced bytes of each layer output."""
    names = [name for layer in program.layers for name in layer.outputs]
    pairs = zip(names, traced, strict=True)
    return {name: np.ascontiguousarray(data).view(program.values[name].dtype) for name, data in pairs}
