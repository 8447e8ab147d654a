"""The wheel and the sdist by themselves: an empty venv, another folder, a model built."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NEEDED = (
    "templates/runtime/tq_math.h",
    "firmware/app/main.c",
    "boards/cortex-m55.toml",
    "examples/digits/calibration.npz",
)


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel (built from the sdist, as pip would) and the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return folder


def test_both_hold_everything(distributions: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {f"tinyptq/_share/{name}" for name in NEEDED} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests")]
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as tar:
        members = {name.split("/", 1)[1] for name in tar.getnames() if "/" in name}
    assert {*NEEDED, "tests/test_packaging.py", "README.md", "LICENSE", "Makefile", "scripts/environment.sh"} <= members
    assert wheel.stat().st_size < 2_000_000


def test_wheel_builds_a_model_in_an_empty_venv(distributions: Path, tmp_path: Path) -> None:
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        pytest.skip("no C compiler on this machine")
    (wheel,) = distributions.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    command = tmp_path / "venv" / "bin" / "tinyptq"
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def run(*words: str | Path) -> str:
        done = subprocess.run(
            [str(word) for word in words], cwd=tmp_path, env=clean, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(tmp_path / "venv" / "bin" / "python", "-m", "pip", "install", "--quiet", wheel)
    assert "cortex-m55" in run(command, "boards")
    where = run(tmp_path / "venv" / "bin" / "python", "-c", "import tinyptq; print(tinyptq.__file__)").strip()
    assert Path(where).is_relative_to(tmp_path)
    example = Path(where).parent / "_share" / "examples" / "digits"
    run(command, "build", example / "digits_cnn.keras", "--board", "host", "--calib", example / "calibration.npz")
    report = json.loads((tmp_path / "build" / "digits_cnn-host" / "report.json").read_text())
    assert report["verification"]["bytes"] > 0 and report["verification"]["differing_bytes"] == 0
    assert "verified" in run(command, "demo", "--board", "host")
