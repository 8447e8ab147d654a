"""Models and commands that must be refused, for the tests of bad input and of hostile names."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_tflite import write_layer
from tinyptq import demo
from tinyptq.cli import run
from tinyptq.graph import Tensor
from tinyptq.ops.base import TfliteCode

FLOAT = np.dtype(np.float32)
HOSTILE = (
    'a"; rm -rf / #',
    "*/ int main(void) {",
    "two\nlines\r",
    "../../etc/passwd",
    "größe \u202e 名前 \x1b[31m",
    "??/ %s {{ x }}",
)


@dataclass(frozen=True)
class Case:
    """arguments: from a scratch folder, of `tinyptq build` without -o. words: what the complaint must hold."""

    id: str
    arguments: Callable[[Path], list[str]]
    words: tuple[str, ...]
    code: int = 1


def arguments(model: Path, calibration: str | Path | None = "random", board: str = "host") -> list[str]:
    chosen = [] if calibration is None else ["--calib", str(calibration)]
    return [str(model), "--board", board, *chosen]


def file(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def good_model() -> Path:
    return demo.example().model


def tflite_model(builtins: tuple[str, ...] = ("RELU",), name: str = "x", size: int = 8) -> bytes:
    """A chain of operators without options on a float vector."""
    shape = (1, size)
    codes = tuple(TfliteCode(b, shape=None if i == len(builtins) - 1 else shape) for i, b in enumerate(builtins))
    return write_layer(codes, (Tensor(name, shape, FLOAT),), (Tensor(f"{name}_out", shape, FLOAT),))


def dense_model(names: tuple[str, str, str, str], size: int = 8) -> bytes:
    """One fully connected layer, size -> size; names of input, weights, bias, output."""
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((size, size)).astype(np.float32)
    operands = (
        Tensor(names[0], (1, size), FLOAT),
        Tensor(names[1], (size, size), FLOAT, weights),
        Tensor(names[2], (size,), FLOAT, np.zeros(size, np.float32)),
    )
    code = TfliteCode("FULLY_CONNECTED", "FullyConnectedOptions")
    return write_layer((code,), operands, (Tensor(names[3], (1, size), FLOAT),))


def zip_file(folder: Path, name: str, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(folder / name, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return folder / name


def keras_with_config(folder: Path, config: bytes) -> Path:
    """The example with another config.json."""
    with zipfile.ZipFile(good_model()) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return zip_file(folder, "other.keras", {**members, "config.json": config})


def example_config() -> bytes:
    with zipfile.ZipFile(good_model()) as archive:
        return archive.read("config.json")


def refused(command: list[str], case: Case, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must be refused as the case says; its complaint."""
    code = run(command)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("tinyptq: ") and printed.err.endswith("\n")
    line = printed.err[:-1]
    assert line.isprintable(), line
    for word in case.words:
        assert word in line
    assert "internal error" not in line
    assert code == case.code, line
    return line
