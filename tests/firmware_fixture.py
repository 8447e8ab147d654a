"""The hand-written model of tests/fixtures/firmware, made into a build folder for a board."""

from __future__ import annotations

import atexit
import shutil
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest

from tinyptq import resources
from tinyptq.board import Board, load_board
from tinyptq.errors import TinyptqError
from tinyptq.graph import Array
from tinyptq.run import command_line
from tinyptq.toolchain import Images, build_files, compile_firmware, find_compiler

FIXTURE = Path(__file__).parent / "fixtures" / "firmware"
BYTES = 40  # of input, output and both layers
LAYERS = 2


@dataclass(frozen=True)
class Built:
    board: Board
    folder: Path
    images: Images


def write_folder(board: Board, folder: Path) -> Path:
    """Sources of model and firmware, as `build` lays them out."""
    shutil.copytree(FIXTURE, folder, dirs_exist_ok=True)
    for header in ("tq_trace.h", "tq_memory.h"):
        shutil.copy(resources.templates() / "runtime" / header, folder / "src")
    for path, text in build_files(board, "plus_one").items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def require_tools(board: Board) -> None:
    """Skip where this machine has no compiler or emulator for the board; `make test` installs both."""
    try:
        find_compiler(board)
        command_line(board, Path(sys.executable))
    except TinyptqError as error:
        pytest.skip(str(error))


@cache
def built(name: str) -> Built:
    """One build per board and test process."""
    board = load_board(name)
    require_tools(board)
    folder = write_folder(board, Path(mkdtemp(prefix="tinyptq-test-")))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Built(board, folder, compile_firmware(board, folder))


def samples(count: int) -> Array:
    """Full-range bytes, the extremes first."""
    data = np.random.default_rng(7).integers(-128, 128, (count, BYTES)).astype(np.int8)
    data[0], data[1] = -128, 127
    return data
