"""Builds that were tampered with: exit code 3, and the layer is named."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from tinyptq import demo, pipeline
from tinyptq.board import load_board
from tinyptq.cli import run
from tinyptq.toolchain import compile_firmware


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files, folder = demo.example(), tmp_path_factory.mktemp("built") / "out"
    return pipeline.build(files.model, board="host", calibration=files.calibration, output=folder).directory


def flip(image: Path, symbol: str, byte: int) -> None:
    """One bit of a constant in a linked image."""
    data = bytearray(image.read_bytes())
    with image.open("rb") as file:
        elf = ELFFile(file)
        (found,) = elf.get_section_by_name(".symtab").get_symbol_by_name(symbol)
        (section,) = [s for s in elf.iter_sections() if 0 <= found["st_value"] - s["sh_addr"] < s["sh_size"]]
        data[section["sh_offset"] + found["st_value"] - section["sh_addr"] + byte] ^= 1
    image.write_bytes(data)


def test_a_flipped_bit_in_the_image_that_ships(host: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The lowest bit of one weight: it may change no output at all, and is found all the same."""
    broken = tmp_path / "broken"
    shutil.copytree(host, broken)
    flip(broken / "bin" / "digits_cnn.elf", "digits_cnn_layer4_weights", 5)
    assert run(["verify", str(broken)]) == 3
    printed = capsys.readouterr().err
    assert "layer 4 'head': byte 5 of digits_cnn_layer4_weights" in printed and printed.count("\n") == 1


def test_a_changed_golden_tensor_is_named(host: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(host, broken)
    with np.load(broken / "golden.npz") as archive:
        arrays = dict(archive)
    arrays["layer3_add"][5, 2, 1, 7] ^= 1
    np.savez_compressed(broken / "golden.npz", **arrays)
    assert run(["verify", str(broken)]) == 3
    printed = capsys.readouterr()
    assert "MISMATCH" in printed.out
    assert "layer 3 'residual', sample 5, index (2, 1, 7)" in printed.err and printed.err.count("\n") == 1


def test_a_changed_weight_in_the_firmware_is_found(
    host: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One changed constant in the C: the first layer it reaches is named, exit code 3."""
    broken = tmp_path / "broken"
    shutil.copytree(host, broken)
    weights = broken / "src" / "digits_cnn_weights.c"
    text = weights.read_text()
    start = text.index("{", text.index("layer4_")) + 1
    changed = re.sub(r"-?\d+", "99", text[start:], count=1)
    weights.write_text(text[:start] + changed)
    compile_firmware(load_board("host"), broken)
    assert run(["verify", str(broken)]) == 3
    assert "layer 4 'head'" in capsys.readouterr().err


@pytest.mark.parametrize("kernel", [None, "arm_sve", 7, ["portable"]])
def test_a_report_that_names_no_kernel(
    kernel: object, host: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(host, broken)
    report = json.loads((broken / "report.json").read_text())
    report["layers"][2]["kernel"] = kernel
    (broken / "report.json").write_text(json.dumps(report))
    assert run(["verify", str(broken)]) == 1
    assert "names no kernel of this version for a layer (build again) [bad-build]" in capsys.readouterr().err
