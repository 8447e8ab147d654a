"""Whatever cannot be used is refused: exit code 1 or 2, one line that names file and cause, nothing left behind."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.refusals import (
    HOSTILE,
    Case,
    arguments,
    dense_model,
    example_config,
    file,
    good_model,
    keras_with_config,
    refused,
    tflite_model,
    zip_file,
)
from tinyptq import demo, resources
from tinyptq.cli import run


def cut(folder: Path, source: Path, part: float) -> Path:
    data = source.read_bytes()
    return file(folder, source.name, data[: int(len(data) * part)])


def noise(count: int) -> bytes:
    return np.random.default_rng(7).bytes(count)


MODELS = (
    Case("missing", lambda f: arguments(f / "nowhere.tflite"), ("nowhere.tflite", "no such file")),
    Case("folder", lambda f: arguments(f), ("folder", "not a model file")),
    Case("empty", lambda f: arguments(file(f, "empty.tflite", b"")), ("empty.tflite",)),
    Case("frozen graph", lambda f: arguments(file(f, "net.pb", noise(99))), ("net.pb", "GraphDef")),
    *(
        Case(f"noise{suffix}", lambda f, s=suffix: arguments(file(f, f"noise{s}", noise(4096))), (f"noise{suffix}",))
        for suffix in (".tflite", ".keras", ".h5", ".bin")
    ),
    *(
        Case(f"noise behind {name}", lambda f, m=magic, n=name: arguments(file(f, n, m + noise(4096))), (name,))
        for name, magic in (("n.tflite", b"\x1c\0\0\0TFL3"), ("n.keras", b"PK\x03\x04"), ("n.h5", b"\x89HDF\r\n\x1a\n"))
    ),
    *(
        Case(f"{part:.0%} of .tflite", lambda f, p=part: arguments(cut(f, file(f, "whole.tflite", dense_model(tuple("abcd"))), p)), ("whole.tflite",))  # type: ignore[arg-type]  # noqa: E501
        for part in (0.1, 0.5, 0.9)
    ),
    *(
        Case(f"{part:.0%} of .keras", lambda f, p=part: arguments(cut(f, good_model(), p)), ("digits_cnn.keras",))
        for part in (0.1, 0.5, 0.99)
    ),
    Case("zip of nothing", lambda f: arguments(zip_file(f, "a.keras", {"readme.txt": b"hello"})), ("a.keras",)),
    Case("config no JSON", lambda f: arguments(keras_with_config(f, b"{")), ("other.keras", "config.json")),
    Case("config no model", lambda f: arguments(keras_with_config(f, b"[1, 2]")), ("other.keras",)),
    Case(
        "every unsupported operator at once",
        lambda f: arguments(file(f, "odd.tflite", tflite_model(("UNIQUE", "WHERE", "CUMSUM")))),
        ("odd", "UNIQUE", "WHERE", "CUMSUM", "tinyptq ops"),
    ),
    Case(
        "unsupported Keras layer",
        lambda f: arguments(keras_with_config(f, example_config().replace(b'"Conv2D"', b'"Conv7D"'))),
        ("Conv7D",),
    ),
    *(
        Case(
            f"hostile name {i} of an unsupported operator",
            lambda f, n=name: arguments(file(f, "odd.tflite", tflite_model(("UNIQUE", "WHERE"), n))),
            ("UNIQUE", "WHERE"),
        )
        for i, name in enumerate(HOSTILE)
    ),
)


def calibration(name: str, save: Callable[[Path], None]) -> Callable[[Path], list[str]]:
    """Arguments with a calibration file written by `save`."""

    def make(folder: Path) -> list[str]:
        save(folder / name)
        return arguments(good_model(), folder / name)

    return make


def array(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.zeros(shape, dtype)


def not_a_number(path: Path) -> None:
    values = array(4, 8, 8, 1)
    values[2, 3, 4, 0] = np.nan
    np.save(path, values)


def evil(path: Path) -> None:
    """An array of objects: reading it would run a pickle."""
    np.save(path, np.array([{"a": 1}, None], object), allow_pickle=True)


CALIBRATIONS = (
    Case("none", lambda f: arguments(good_model(), None), ("--calib", "random")),
    Case("absent", lambda f: arguments(good_model(), f / "c.npy"), ("c.npy", "does not exist")),
    Case("shape", calibration("c.npy", lambda p: np.save(p, array(4, 8, 8))), ("c.npy", "[4, 8, 8]", "[n, 8, 8, 1]")),
    Case("dtype", calibration("c.npy", lambda p: np.save(p, array(4, 8, 8, 1, dtype="int32"))), ("c.npy", "int32")),
    Case("complex", calibration("c.npy", lambda p: np.save(p, array(4, 8, 8, 1, dtype="complex64"))), ("complex64",)),
    Case("text", calibration("c.npy", lambda p: np.save(p, array(4, 8, 8, 1, dtype="U3"))), ("c.npy", "dtype")),
    Case("key", calibration("c.npz", lambda p: np.savez(p, a=array(1), b=array(1))), ("c.npz", "'a', 'b'", "calib")),
    Case("no samples", calibration("c.npy", lambda p: np.save(p, array(0, 8, 8, 1))), ("c.npy", "no samples")),
    Case("empty file", calibration("c.npy", lambda p: p.write_bytes(b"") and None), ("c.npy",)),
    Case("empty folder", calibration("c", lambda p: p.mkdir()), ("holds no .npy",)),
    Case("NaN", calibration("c.npy", not_a_number), ("c.npy", "sample 2", "NaN")),
    Case("pickled", calibration("c.npy", evil), ("c.npy", "pickle")),
    Case("noise", calibration("c.npz", lambda p: p.write_bytes(noise(500)) and None), ("c.npz",)),
    Case("cut", calibration("c.npy", lambda p: p.write_bytes(npy(array(9, 8, 8, 1))[:900]) and None), ("c.npy", "end")),
)


def npy(values: np.ndarray) -> bytes:
    from io import BytesIO

    stream = BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def board_file(folder: Path, old: str, new: str) -> str:
    """Cortex-M55 with one thing changed."""
    text = (resources.boards() / "cortex-m55.toml").read_text()
    assert old in text
    (folder / "mine.toml").write_text(text.replace(old, new))
    return str(folder / "mine.toml")


BOARDS = (
    Case("unknown", lambda f: arguments(good_model(), board="cortex-m5"), ("'cortex-m5'", "'cortex-m55'"), 2),
    Case("no such file", lambda f: arguments(good_model(), board=str(f / "no.toml")), ("no.toml",), 2),
    Case(
        "bad key",
        lambda f: arguments(good_model(), board=board_file(f, "stack =", "stick =")),
        ("mine.toml", "'stick'", "stack"),
        2,
    ),
    Case("no TOML", lambda f: arguments(good_model(), board=str(file(f, "b.toml", b"= ="))), ("b.toml", "not TOML"), 2),
    Case(
        "flash too small",
        lambda f: arguments(good_model(), board=board_file(f, 'itcm = { origin = 0x0000_0000, size = "512 KiB"', 'itcm = { origin = 0x0000_0000, size = "8 KiB"')),  # noqa: E501
        ("mine", "'itcm'", "8192"),
    ),
    Case(
        "RAM too small",
        lambda f: arguments(good_model(), board=board_file(f, 'dtcm = { origin = 0x2000_0000, size = "512 KiB"', 'dtcm = { origin = 0x2000_0000, size = "6 KiB"')),  # noqa: E501
        ("mine", "'dtcm'", "6144"),
    ),
)

USAGE = (
    Case("no board", lambda f: [str(good_model())], ("--board",), 2),
    Case("no model", lambda f: ["--board", "host"], ("MODEL",), 2),
    Case("unknown option", lambda f: [*arguments(good_model()), "--bord", "x"], ("--bord", "--board"), 2),
    Case("observer", lambda f: [*arguments(good_model()), "--observer", "min-maxx"], ("min-maxx", "min-max"), 2),
)


@pytest.mark.parametrize("case", MODELS + CALIBRATIONS + BOARDS + USAGE, ids=lambda case: case.id)
def test_bad_input(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given, result = tmp_path / "given", tmp_path / "result"
    given.mkdir()
    refused(["build", *case.arguments(given), "-o", str(result / "deep" / "out")], case, capsys)
    assert not (result / "deep").exists() or not list((result / "deep").iterdir()), "something was left behind"


def test_folder_with_other_files_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not even a file that joined an earlier build is lost; an untouched earlier build is replaced."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("three years")
    case = Case("", lambda f: [], (str(out), "'thesis.tex'"))
    command = ["build", *arguments(good_model(), demo.example().calibration), "-o", str(out)]
    refused(command, case, capsys)
    (out / "thesis.tex").rename(tmp_path / "thesis.tex")
    assert run(command) == 0
    assert run(command) == 0
    capsys.readouterr()
    shutil.copy(tmp_path / "thesis.tex", out / "src")
    refused(command, Case("", lambda f: [], ("'src/thesis.tex'",)), capsys)
    assert (out / "src" / "thesis.tex").read_text() == "three years"
    assert (out / "report.json").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "thesis.tex"]


def test_output_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = file(tmp_path, "out", b"mine")
    command = ["build", *arguments(good_model()), "-o", str(target)]
    refused(command, Case("", lambda f: [], (str(target), "is a file")), capsys)
    assert target.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("board", "compiler"), [("host", "cc"), ("cortex-m55", "arm-none-eabi-gcc"), ("riscv32", "riscv64")]
)
def test_no_compiler(
    board: str, compiler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    command = ["build", *arguments(good_model(), board=board), "-o", str(tmp_path / "out")]
    refused(command, Case("", lambda f: [], (compiler, "sudo apt-get install")), capsys)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["verify", "{}/nothing"], ("nothing", "tinyptq build")),
        (["profile", "{}/nothing"], ("nothing", "tinyptq build")),
        (["simulate", "{}/nothing", "--inputs", "a.npy", "--output", "b.npz"], ("nothing", "tinyptq build")),
        (["inspect", "{}/nothing.tflite"], ("nothing.tflite", "no such file")),
    ],
)
def test_other_commands(
    command: list[str], words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused([word.format(tmp_path) for word in command], Case("", lambda f: [], words), capsys)
