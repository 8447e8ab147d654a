"""The verbs as functions: what a script would write, with text for paths."""

from __future__ import annotations

from pathlib import Path

import pytest

import tinyptq
from tinyptq import demo, resources


def test_paths_may_be_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = demo.example()
    monkeypatch.chdir(tmp_path)
    built = tinyptq.build(str(files.model), board="host", calibration=str(files.calibration), output="out")
    assert built.directory == Path("out") and (tmp_path / "out" / "report.json").exists()
    assert all(result.comparison.equal for result in tinyptq.verify("out", count=4))
    assert tinyptq.simulate("out", str(files.evaluation), "result.npz")["layer7_softmax"].shape == (200, 10)
    assert tinyptq.inspect(str(files.model)).name == tinyptq.inspect(files.model).name
    with pytest.raises(tinyptq.TinyptqError, match="no exact instruction counter"):
        tinyptq.profile("out")


def test_board_may_be_a_path(tmp_path: Path) -> None:
    files = demo.example()
    board = tmp_path / "mine.toml"
    board.write_text((resources.boards() / "host.toml").read_text())
    built = tinyptq.build(files.model, board=board, calibration="random", output=tmp_path / "out")
    assert built.report["board"] == "mine"
