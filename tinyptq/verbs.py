"""What can be done with a finished build folder: verify, simulate, profile."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinyptq import samples, store, tflm
from tinyptq.board import Board, load_board
from tinyptq.emit.tflite import write_tflite_model
from tinyptq.errors import EXIT_USAGE, TinyptqError
from tinyptq.graph import Array
from tinyptq.kernels import kernel_named
from tinyptq.kernels.base import Kernel
from tinyptq.ops import BY_NAME
from tinyptq.output import MARKER, earlier_build, is_earlier_build
from tinyptq.pipeline import Progress, silent
from tinyptq.program import Program
from tinyptq.prove import Firmware, Verification, output_bytes, pack, runner_name, verify_firmware
from tinyptq.run import profile_firmware
from tinyptq.simulate import simulate as simulate_program
from tinyptq.simulate import simulate_outputs
from tinyptq.verify import checkpoints, compare


@dataclass(frozen=True, eq=False)
class Folder:
    """A build folder, read back."""

    path: Path
    program: Program
    board: Board
    kernels: tuple[Kernel, ...]

    @property
    def firmware(self) -> Firmware:
        return Firmware(self.board, self.kernels, self.elf, self.trace_elf)

    @property
    def elf(self) -> Path:
        return require_part(self.path / "bin" / f"{self.program.name}.elf")

    @property
    def trace_elf(self) -> Path:
        return require_part(self.path / "bin" / f"{self.program.name}_trace.elf")


def require_part(path: Path) -> Path:
    """path itself, when the build folder still has it."""
    if not path.is_file():
        raise TinyptqError("bad-build", "is missing from the build folder", where=str(path), hint="build again")
    return path


def open_folder(directory: Path | str) -> Folder:
    directory = Path(directory)
    if not is_earlier_build(directory):
        raise TinyptqError(
            "no-build", f"no {MARKER} of a tinyptq build here", where=str(directory), hint="run tinyptq build first"
        )
    report = earlier_build(directory)
    board = replace(load_board(str(directory / "board.toml")), name=str(report.get("board")))
    program = store.load_program(directory / "program.npz")
    return Folder(directory, program, board, kernels_of(program, report, directory))


def kernels_of(program: Program, report: Mapping[str, Any], directory: Path) -> tuple[Kernel, ...]:
    """The kernels that report.json names for the program's layers."""
    try:
        named = [str(layer["kernel"]) for layer in report["layers"]]
        found = [kernel_named(layer.op, name) for layer, name in zip(program.layers, named, strict=True)]
    except (KeyError, TypeError, ValueError):
        found = [None]
    if None in found:
        message, where = "names no kernel of this version for a layer", str(directory / MARKER)
        raise TinyptqError("bad-build", message, where=where, hint="build again")
    return tuple(kernel for kernel in found if kernel is not None)


def verify(
    directory: Path | str,
    *,
    inputs: Path | str | None = None,
    count: int | None = None,
    against: str | None = None,
    progress: Progress = silent,
) -> list[Verification]:
    """Compare every layer of the simulator with golden.npz, with the firmware, and with TFLM when against="tflm".

    inputs: a file of float32 or int8 samples instead of the golden ones; count: that many of them, random ones
    added when there are fewer. Differences are in the result, not raised.
    """
    folder = open_folder(directory)
    if against not in (None, "tflm"):
        message = f"cannot verify against '{against}'"
        raise TinyptqError("unknown-authority", message, hint="known: tflm", exit_code=EXIT_USAGE)
    golden = read_golden(folder)
    stored = {name: golden[name] for name in folder.program.inputs}
    given = samples.read_inputs(folder.program, Path(inputs)) if inputs else stored
    chosen = resized(folder.program, given, count)
    results = [] if inputs else [verify_golden(folder.program, golden)]
    if runner_name(folder.board) != "nothing":
        results.append(verify_firmware(folder.program, folder.firmware, chosen, progress))
    if against == "tflm":
        results.append(verify_tflm(folder, chosen))
    return results


def verify_golden(program: Program, golden: Mapping[str, Array]) -> Verification:
    """Does today's simulator compute what was stored when the model was built?"""
    tensors = simulate_program(program, {name: golden[name] for name in program.inputs})
    return Verification("golden.npz", compare(golden, tensors, checkpoints(program)))


def verify_tflm(folder: Folder, inputs: Mapping[str, Array]) -> Verification:
    """tflite-micro's interpreter on the exported file in the folder, which must be ours: it trusts what it reads."""
    path = folder.path / f"{folder.program.name}_int8.tflite"
    model = require_part(path).read_bytes()
    if model != write_tflite_model(folder.program):
        raise TinyptqError("bad-build", "is not what tinyptq exported", where=str(path), hint="build again")
    expected = simulate_program(folder.program, inputs)
    actual = tflm.run_exported(folder.program, model, inputs)
    return Verification("tflite-micro", compare(expected, actual, checkpoints(folder.program)))


def read_golden(folder: Folder) -> dict[str, Array]:
    """{value name: [n, ...]} of golden.npz; a file that does not fit the program is an error."""
    path = folder.path / "golden.npz"
    try:
        with zipfile.ZipFile(path) as archive:
            tensors = {name: read_member(archive, key) for name, key in samples.array_keys(folder.program).items()}
    except (OSError, ValueError, KeyError, EOFError, SyntaxError, zipfile.BadZipFile, zlib.error) as error:
        raise TinyptqError("bad-golden", f"cannot be read: {error}", where=str(path)) from error
    count = len(next(iter(tensors.values())))
    for name, tensor in tensors.items():
        value = folder.program.values[name]
        if tensor.dtype != value.dtype or tensor.shape != (count, *value.shape[1:]) or not count:
            raise TinyptqError("bad-golden", f"'{name}' is {tensor.dtype} {tensor.shape}", where=str(path))
    return tensors


def read_member(archive: zipfile.ZipFile, key: str) -> Array:
    with archive.open(f"{key}.npy") as stream:
        array: Array = np.lib.format.read_array(stream, allow_pickle=False)
    return array if array.ndim else array.reshape(1)


def resized(program: Program, inputs: dict[str, Array], count: int | None) -> dict[str, Array]:
    """The first `count` samples, random ones added when there are fewer."""
    found = len(next(iter(inputs.values())))
    if count is None or count == found:
        return inputs
    if count < found:
        return {name: values[:count] for name, values in inputs.items()}
    more = samples.random_inputs(program, count - found)
    return {name: np.concatenate([values, more[name]]) for name, values in inputs.items()}


def simulate(
    directory: Path | str, inputs: Path | str, output: Path | str, *, all_layers: bool = False
) -> dict[str, Array]:
    """Run the simulator on a file of samples; write an .npz of int8 outputs (or of every layer) and return it."""
    folder = open_folder(directory)
    chosen = samples.read_inputs(folder.program, Path(inputs))
    keys = samples.array_keys(folder.program)
    if all_layers:
        tensors = simulate_program(folder.program, chosen)
        arrays = {key: tensors[name] for name, key in keys.items()}
    else:
        tensors = simulate_outputs(folder.program, chosen)
        arrays = {keys[name]: tensors[name] for name in folder.program.outputs}
    try:
        with Path(output).open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)
    except OSError as error:
        raise TinyptqError("bad-output", f"cannot write: {error.strerror}", where=str(output)) from error
    return arrays


def profile(directory: Path | str) -> dict[str, Any]:
    """Retired instructions per layer on the emulator (not cycles), MACs, and their ratio; for one inference."""
    folder = open_folder(directory)
    program = folder.program
    sample = pack(program, program.inputs, {n: v[:1] for n, v in read_golden(folder).items() if n in program.inputs})
    counts = profile_firmware(
        folder.board, folder.elf, folder.trace_elf, sample, output_bytes(program), len(program.layers)
    )
    macs = [BY_NAME[layer.op].work(layer.params).macs for layer in program.layers]
    layers = [
        {"name": layer.name, "op": layer.op, "instructions": n, "macs": m, "instructions_per_mac": ratio(n, m)}
        for layer, n, m in zip(program.layers, counts.layers, macs, strict=True)
    ]
    return {
        "model": program.name,
        "board": folder.board.name,
        "instructions": counts.total,
        "macs": sum(macs),
        "instructions_per_mac": ratio(counts.total, sum(macs)),
        "layers": layers,
    }


def ratio(instructions: int | None, macs: int) -> float | None:
    return round(instructions / macs, 3) if instructions is not None and macs else None
