"""Many trials as the unconnected layers of one program: one compilation, one run of an emulator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.arm_layers import build, in_row_blocks
from tests.c_harness import SANITIZERS
from tests.c_model import run_c_model
from tests.conformance.trial import Trial
from tinyptq.board import Board
from tinyptq.graph import Array
from tinyptq.plan.planner import plan
from tinyptq.program import Layer, Program, Value
from tinyptq.prove import Firmware, verify_firmware
from tinyptq.simulate import simulate
from tinyptq.verify import Comparison, checkpoints, compare

STACK_BYTES = 16 << 10  # every input and output is an argument of the run function


def together(trials: Sequence[Trial]) -> tuple[Program, dict[str, Array]]:
    """(the program of them all, its inputs): names get the trial's number in front."""
    values: dict[str, Value] = {}
    layers: list[Layer] = []
    inputs: dict[str, Array] = {}
    outputs: list[str] = []
    for number, trial in enumerate(trials):
        names = {name: f"{number}/{name}" for name in trial.program.values}
        values |= {names[name]: replace(value, name=names[name]) for name, value in trial.program.values.items()}
        layers += [renamed(layer, names) for layer in trial.program.layers]
        inputs |= {names[name]: array for name, array in trial.inputs.items()}
        outputs += [names[name] for name in trial.program.outputs]
    return Program("many", "0" * 64, values, tuple(layers), tuple(inputs), tuple(outputs)), inputs


def renamed(layer: Layer, names: dict[str, str]) -> Layer:
    groups = (tuple(names[name] for name in group) for group in (layer.inputs, layer.outputs, layer.folded))
    ins, outs, folded = groups
    return replace(layer, inputs=ins, outputs=outs, folded=folded)


def on_host(trials: Sequence[Trial], folder: Path, flags: Sequence[str] = SANITIZERS) -> Comparison:
    """The C of the host, under every warning, ASan and UBSan, against the simulator."""
    program, inputs = together(trials)
    expected = simulate(program, inputs)
    return compare(expected, run_c_model(program, inputs, folder, flags), checkpoints(program))


def on_board(trials: Sequence[Trial], board: Board, folder: Path, blocks: bool = False) -> Comparison:
    """The firmware of a board in its emulator. blocks: layers that can compute a few rows at a time."""
    board = replace(board, stack_bytes=STACK_BYTES)
    program, inputs = together(trials)
    memory = plan(program, board)
    memory = in_row_blocks(program, memory) if blocks else memory
    images = build(program, memory, board, folder)
    firmware = Firmware(board, memory.kernels, images.elf, images.trace_elf)
    return verify_firmware(program, firmware, inputs, lambda *_: None).comparison
