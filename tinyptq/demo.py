"""The example that comes with tinyptq: a small CNN on handwritten digits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyptq import resources
from tinyptq.samples import read_inputs
from tinyptq.simulate import simulate_outputs
from tinyptq.verbs import open_folder

BOARD = "cortex-m55"


@dataclass(frozen=True)
class Example:
    model: Path
    calibration: Path
    evaluation: Path


def example() -> Example:
    folder = resources.examples() / "digits"
    return Example(folder / "digits_cnn.keras", folder / "calibration.npz", folder / "evaluation.npz")


def accuracy(directory: Path, files: Example) -> str:
    """How many test pictures the integers get right: the simulator speaks for the firmware, they are byte-equal."""
    program = open_folder(directory).program
    outputs = simulate_outputs(program, read_inputs(program, files.evaluation))[program.outputs[0]]
    with np.load(files.evaluation, allow_pickle=False) as archive:
        labels = archive["labels"]
    right = int((outputs.reshape(len(labels), -1).argmax(axis=1) == labels).sum())
    return f"int8 accuracy: {right} of {len(labels)} test pictures right"
