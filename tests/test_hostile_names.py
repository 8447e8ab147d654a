"""Names in models and of models are data: they reach no C, no shell, no path and no terminal as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.refusals import HOSTILE, arguments, dense_model, example_config, file, keras_with_config
from tinyptq import demo
from tinyptq.cli import run


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tensor_names_are_harmless(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are data, not a reason to refuse: the model is built and proved, and no file lands outside its folder."""
    model = file(tmp_path, "m.tflite", dense_model((name, f"{name}w", f"{name}b", f"{name}y")))
    assert run(["build", *arguments(model), "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert all(line.isprintable() for line in (printed.out + printed.err).split("\n"))
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["verification"]["bytes"] > 0 and report["verification"]["differing_bytes"] == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.tflite", "out"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_layer_names_are_harmless(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = example_config().replace(b'"stem"', json.dumps(name).encode())
    assert config != example_config()
    model = keras_with_config(tmp_path, config)
    command = ["build", *arguments(model, demo.example().calibration), "-o", str(tmp_path / "out")]
    assert run(command) == 0, capsys.readouterr().err
    printed = capsys.readouterr()
    assert all(line.isprintable() for line in printed.out.split("\n"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other.keras", "out"]


def test_hostile_file_name(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = file(tmp_path, 'a "b" *\n$(x) ü.tflite', dense_model(("x", "w", "b", "y")))
    assert run(["build", *arguments(model)]) == 0, capsys.readouterr().err
    assert all(line.isprintable() for line in capsys.readouterr().out.split("\n"))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([model.name, "build"])
