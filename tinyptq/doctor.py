"""What is installed of all that tinyptq can use, what is missing, and the line that installs it."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from tinyptq.board import Board, board_names, load_board
from tinyptq.toolchain import DEBIAN_PACKAGES, HOST_COMPILERS

VERSION_TIMEOUT_S = 10
OPTIONAL_PACKAGES = (
    ("ai-edge-litert", "compare the float import with LiteRT", "pip install 'tinyptq[litert]'"),
    ("tflite-micro", "verify --against tflm", "pip install 'tinyptq[verify]'"),
    ("ziglang", "C compiler from PyPI", "pip install 'tinyptq[toolchain]'"),
)
Which = Callable[[str], str | None]


@dataclass(frozen=True)
class Check:
    """One thing looked for. version: None when it is missing. package: its Debian packages, "" when from PyPI."""

    name: str
    version: str | None
    purpose: str
    install: str
    package: str = ""


def examine(which: Which = shutil.which) -> tuple[Check, ...]:
    """Python and its packages, then a compiler and an emulator per board."""
    python = Check("python", platform.python_version(), "runs tinyptq", "")
    packages = [package_check(*entry) for entry in OPTIONAL_PACKAGES]
    return (python, *packages, *program_checks(which))


def package_check(name: str, purpose: str, install: str) -> Check:
    try:
        version: str | None = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        version = None
    return Check(name, version, purpose, install)


def program_checks(which: Which) -> list[Check]:
    """Compilers and emulators as the board files name them, each with the boards that need it."""
    users: dict[str, list[str]] = {}
    for name in board_names():
        for program in programs(load_board(name)):
            users.setdefault(program, []).append(name)
    return [program_check(program, ", ".join(boards), which) for program, boards in users.items()]


def programs(board: Board) -> list[str]:
    if board.is_host:
        return ["cc"]
    return [f"{board.prefix}gcc", *board.run[:1]]


def program_check(program: str, boards: str, which: Which) -> Check:
    names = HOST_COMPILERS if program == "cc" else (program,)
    path = next((found for name in names if (found := which(name))), None)
    package = DEBIAN_PACKAGES.get(program, program)
    version = program_version(path) if path else None
    return Check(program, version, f"boards {boards}", f"sudo apt-get install {package}", package)


def program_version(path: str) -> str:
    """The first version number the program prints about itself."""
    command = (path, "--version")
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=VERSION_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "does not start"
    found = re.search(r"\b\d+\.\d+(\.\d+)?\b", re.sub(r"\([^)]*\)", "", done.stdout))
    return found[0] if found else "unknown version"


def missing_packages(checks: tuple[Check, ...]) -> list[str]:
    """Debian packages that would complete this machine, sorted."""
    return sorted({word for c in checks if c.version is None for word in c.package.split()})


def advice(checks: tuple[Check, ...]) -> list[str]:
    """The lines that install what is missing: one for the system, one per optional Python package."""
    packages = missing_packages(checks)
    system = [f"sudo apt-get install -y {' '.join(packages)}"] if packages else []
    return system + [check.install for check in checks if check.version is None and not check.package]
