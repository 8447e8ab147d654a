"""The command line on the example: what it prints, writes and returns."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinyptq
from tinyptq import demo, doctor, report
from tinyptq.board import board_names
from tinyptq.cli import run
from tinyptq.ops import OPS

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ["stem", "depthwise", "pointwise", "residual", "head", "average", "digit/linear", "digit"]
KEYS = (
    "model digest board arena_bytes weights_bytes code_bytes flash_bytes ram_bytes stack_bytes layers verification"
).split()

PARTS = (
    "report.json",
    "program.npz",
    "golden.npz",
    "bin/digits_cnn.elf",
    "bin/digits_cnn_trace.elf",
    "digits_cnn_int8.tflite",
)


def built(tmp_path_factory: pytest.TempPathFactory, board: str) -> Path:
    files = demo.example()
    folder = tmp_path_factory.mktemp("built") / "out"
    command = ["build", str(files.model), "--board", board, "--calib", str(files.calibration), "-o", str(folder)]
    assert run(command) == 0
    return folder


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory, "host")


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """On the embedded default, in QEMU."""
    if shutil.which("arm-none-eabi-gcc") is None or shutil.which("qemu-system-arm") is None:
        pytest.skip("needs arm-none-eabi-gcc and qemu-system-arm (make toolchain)")
    return built(tmp_path_factory, "cortex-m55")


def test_report_holds_what_was_promised(embedded: Path) -> None:
    facts = json.loads((embedded / "report.json").read_text())
    assert set(KEYS) <= facts.keys()
    assert [layer["name"] for layer in facts["layers"]] == LAYERS
    # 8·8 pixels · 16 channels · 3·3 taps · 1 input channel, on paper
    assert facts["layers"][0]["macs"] == 8 * 8 * 16 * 9
    assert facts["layers"][0]["shapes"] == {"inputs": [[1, 8, 8, 1]], "outputs": [[1, 8, 8, 16]]}
    assert all(layer["sqnr_db"] > 25 for layer in facts["layers"])
    proof = facts["verification"]
    outputs = [np.prod(layer["shapes"]["outputs"][0]) for layer in facts["layers"]]
    assert proof["inputs"] >= 16 and proof["layers"] == len(LAYERS)
    assert proof["bytes"] == proof["inputs"] * sum(outputs) and proof["differing_bytes"] == 0
    assert 0 < facts["stack_bytes"] < facts["ram_bytes"] < 512 * 1024
    assert facts["weights_bytes"] + facts["code_bytes"] <= facts["flash_bytes"] < 512 * 1024


def test_build_writes_everything_it_lists(embedded: Path) -> None:
    files = sorted(p.relative_to(embedded).as_posix() for p in embedded.rglob("*") if p.is_file())
    assert files == json.loads((embedded / "report.json").read_text())["files"]
    expected = {f"bin/digits_cnn.{kind}" for kind in ("elf", "bin", "hex")} | {"golden.npz", "digits_cnn_int8.tflite"}
    assert expected | {"src/digits_cnn.h", "src/digits_cnn.c", "Makefile", "CMakeLists.txt"} <= set(files)


def test_build_prints_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = demo.example()
    command = ["build", str(files.model), "--board", "host", "--calib", str(files.calibration)]
    assert run([*command, "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert re.search(r"^stem +conv_2d +portable +1x8x8x16 +9,216 +\d\d\.\d$", printed.out, re.MULTILINE)
    verdict = r"^verified: the generated C, .* equals the simulator in all \d\d,\d{3} bytes"
    assert re.search(verdict, printed.out, re.MULTILINE)
    assert "device" not in printed.out
    assert printed.err == ""


def test_random_calibration_is_loud_wherever_it_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    command = ["build", str(demo.example().model), "--board", "host", "--calib", "random", "-o", str(out)]
    assert run(command) == 0
    printed = capsys.readouterr()
    assert "WARNING" in printed.out and "random" in printed.out
    assert "WARNING" in printed.err and "random" in printed.err
    assert any("random" in warning for warning in json.loads((out / "report.json").read_text())["warnings"])
    assert "random" in (out / "src" / "digits_cnn.h").read_text()
    assert run(["verify", str(out)]) == 0
    assert "WARNING" in capsys.readouterr().err


def test_same_input_same_bytes(host: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    again = built(tmp_path_factory, "host")
    names = [p.relative_to(host) for p in sorted(host.rglob("*")) if p.is_file()]
    assert [name for name in names if (host / name).read_bytes() != (again / name).read_bytes()] == []


@pytest.mark.parametrize("options", [[], ["--count", "3"], ["--count", "40"]])
def test_verify_host(host: Path, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(host), *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["verified", "verified"]
    assert f"{options[1] if options else 16} inputs" in lines[-1]


def test_verify_inputs_of_the_user(embedded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(embedded), "--inputs", str(demo.example().evaluation), "--count", "24"]) == 0
    out = capsys.readouterr().out
    assert "simulated in QEMU (qemu-system-arm)" in out and "24 inputs" in out


def test_verify_against_tflm(host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tflite_micro", reason="tflite-micro is not installed")
    assert run(["verify", str(host), "--against", "tflm"]) == 0
    assert "tflite-micro" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["missing", "cut", "noise"])
@pytest.mark.parametrize("part", PARTS)
def test_a_damaged_folder_is_told(
    part: str, damage: str, host: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if part.endswith(".tflite"):
        pytest.importorskip("tflite_micro", reason="tflite-micro is not installed")
    broken = tmp_path / "broken"
    shutil.copytree(host, broken)
    data = (host / part).read_bytes()
    if damage == "missing":
        (broken / part).unlink()
    else:
        (broken / part).write_bytes(data[: len(data) // 3] if damage == "cut" else np.random.default_rng(3).bytes(3000))
    assert run(["verify", str(broken), "--against", "tflm"]) == 1
    line = capsys.readouterr().err
    assert (str(broken) in line or Path(part).name in line) and line.count("\n") == 1
    assert "internal error" not in line


def test_simulate_equals_golden(host: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with np.load(host / "golden.npz") as archive:
        golden = dict(archive)
    np.save(tmp_path / "in.npy", golden["input"])
    command = ["simulate", str(host), "--inputs", str(tmp_path / "in.npy"), "--output", str(tmp_path / "out.npz")]
    assert run(command) == 0
    with np.load(tmp_path / "out.npz") as result:
        assert list(result) == ["layer7_softmax"]
        assert np.array_equal(result["layer7_softmax"], golden["layer7_softmax"])
    assert run([*command, "--all-layers"]) == 0
    with np.load(tmp_path / "out.npz") as result:
        assert all(np.array_equal(result[key], golden[key]) for key in golden)
    assert "layer3_add" in capsys.readouterr().out


def test_simulated_accuracy(host: Path) -> None:
    """The float model gets 195 of 200 right (examples/digits/README.md)."""
    right = int(re.search(r"(\d+) of 200", demo.accuracy(host, demo.example()))[1])  # type: ignore[index]
    assert right >= 193


def test_profile(embedded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", str(embedded), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [layer["name"] for layer in facts["layers"]] == LAYERS
    assert facts["macs"] == sum(layer["macs"] for layer in facts["layers"])
    layers = sum(layer["instructions"] for layer in facts["layers"])
    assert abs(facts["instructions"] / layers - 1) < 0.05  # layers come from the image with trace hooks
    assert run(["profile", str(embedded)]) == 0
    assert "not cycles" in capsys.readouterr().out


def test_profile_of_the_host_says_why_not(host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", str(host)]) == 1
    assert "no exact instruction counter" in capsys.readouterr().err


def test_inspect(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(demo.example().model)]) == 0
    out = capsys.readouterr().out
    assert "every operator is supported" in out
    assert re.search(r"^stem +conv_2d +1x8x8x16 +160$", out, re.MULTILINE)  # 3·3·1·16 weights, 16 biases


def test_boards(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["boards", "--json"]) == 0
    boards = {board["name"]: board for board in json.loads(capsys.readouterr().out)}
    assert tuple(boards) == board_names()
    assert boards["cortex-m55"]["flash_bytes"] == 512 * 1024
    assert run(["boards"]) == 0
    assert "qemu-system-arm" in capsys.readouterr().out


def test_ops(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ops"]) == 0
    out = capsys.readouterr().out
    assert all(re.search(rf"^{op.name} ", out, re.MULTILINE) for op in OPS)


def test_doctor_finds_and_misses(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = doctor.examine(which=lambda name: None)
    assert "gcc-arm-none-eabi" in doctor.missing_packages(nothing)
    assert doctor.advice(nothing)[0].startswith("sudo apt-get install -y ")
    everything = doctor.examine(which=lambda name: sys.executable)
    assert doctor.missing_packages(everything) == []
    assert run(["doctor"]) == 0
    assert "qemu-system-arm" in capsys.readouterr().out


def test_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--board", "host", "-o", str(tmp_path / "demo")]) == 0
    out = capsys.readouterr().out
    assert "verified" in out and "of 200 test pictures right" in out


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"tinyptq {tinyptq.__version__}\n"
    assert run(["--help"]) == 0
    commands = set(re.findall(r"^  ([a-z]+) ", capsys.readouterr().out, re.MULTILINE))
    assert commands == set("build verify simulate profile inspect boards ops doctor demo".split())
    assert run([]) == 2


def test_debug_shows_where(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["--debug", "inspect", "nowhere.tflite"], ["inspect", "nowhere.tflite", "--debug"]):
        assert run(command) == 1
        assert "Traceback" in capsys.readouterr().err
    assert run(["inspect", "nowhere.tflite"]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_a_closed_pipe_is_no_error() -> None:
    script = f"{sys.executable} -c 'from tinyptq.cli import main; main()' ops | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_tables_line_up() -> None:
    table = report.text_table(("name", "n"), [("名前", 1234), ("a\nb", None)])
    assert table.splitlines() == ["name      n", "----  -----", "名前  1,234", "a\\nb      –"]
    assert report.markdown_table(("a", "b"), [("x|y", None)]) == "| a | b |\n| --- | --- |\n| x\\|y | – |"


@pytest.mark.parametrize("table", ["ops", "boards"])
def test_readme_tables_are_what_the_program_says(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([table, "--markdown"]) == 0
    text = (ROOT / "README.md").read_text()
    assert text.split(f"<!-- {table} -->\n")[1].split(f"<!-- /{table} -->")[0] == capsys.readouterr().out


def test_python_api_has_the_verbs() -> None:
    for verb in ("build", "verify", "simulate", "profile", "inspect"):
        assert callable(getattr(tinyptq, verb)), verb


def snippet(language: str) -> str:
    """The README's first block in that language."""
    block, *_ = re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return str(block)


def test_readme_c_compiles_and_classifies(host: Path, tmp_path: Path) -> None:
    """The snippet on 20 test pictures: as many right as the accuracy of the model lets expect."""
    with np.load(demo.example().evaluation) as archive:
        pixels, labels = archive["pixels"][:20].reshape(20, -1), archive["labels"][:20]
    rows = ",\n".join("{" + ", ".join(f"{value:.6f}f" for value in row) + "}" for row in pixels.tolist())
    main = f"""#include <stdio.h>
static const float pixels[20][64] = {{ {rows} }};
int main(void)
{{
    for (int i = 0; i < 20; i++) {{
        printf("%d ", classify(pixels[i]));
    }}
    return 0;
}}
"""
    (tmp_path / "main.c").write_text(snippet("c") + main)
    sources = sorted(map(str, (host / "src").glob("*.c")))
    command = ["cc", "-std=c99", "-I", str(host / "src"), "main.c", *sources, "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True)
    printed = subprocess.run(["./main"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert sum(int(word) == label for word, label in zip(printed.split(), labels, strict=True)) >= 18


def test_readme_python_runs(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", snippet("python")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1] == "True"
