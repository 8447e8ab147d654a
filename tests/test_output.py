"""Output folders: whole or not there, links kept, two builds at once, the current folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tinyptq.errors import TinyptqError
from tinyptq.output import MARKER, new_folder, require_replaceable


def fill(folder: Path, text: str) -> None:
    """A folder that counts as an earlier build."""
    (folder / MARKER).write_text(json.dumps({"tinyptq": "0", "files": [MARKER, "a.txt"]}))
    (folder / "a.txt").write_text(text)


def build(directory: Path, text: str) -> None:
    with new_folder(directory) as folder:
        fill(folder, text)


def test_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for text in ("first", "second"):
        build(tmp_path / "link", text)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "real" / "a.txt").read_text() == text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "real"]


def test_link_to_nothing_makes_its_folder(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real")
    build(tmp_path / "link", "x")
    assert (tmp_path / "real" / "a.txt").read_text() == "x"


@pytest.mark.parametrize("directory", [".", "", "..", "../work"])
def test_current_folder_is_refused(directory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    with pytest.raises(TinyptqError, match="current folder"):
        require_replaceable(Path(directory))


def test_last_of_two_builds_at_once_stays(tmp_path: Path) -> None:
    """Both begin before either ends; each finds the folder differently than it left it."""
    for earlier in (False, True):
        directory = tmp_path / f"out{earlier}"
        if earlier:
            build(directory, "zero")
        with new_folder(directory) as one:
            with new_folder(directory) as two:
                fill(one, "one")
                fill(two, "two")
            assert (directory / "a.txt").read_text() == "two"
        assert (directory / "a.txt").read_text() == "one"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["outFalse", "outTrue"]


def test_failed_last_step_brings_the_earlier_build_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path / "out", "earlier")
    rename = Path.rename

    def full(self: Path, target: Path) -> Path:
        if not target.name.endswith(".old") and not self.name.endswith(".old") and not target.exists():
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(TinyptqError, match="out: cannot finish the build: No space"):
        build(tmp_path / "out", "later")
    assert (tmp_path / "out" / "a.txt").read_text() == "earlier"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_interrupt_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with new_folder(tmp_path / "deep" / "out") as folder:
            fill(folder, "x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list((tmp_path / "deep").iterdir())
