"""Instructions of the MLPerf Tiny models on every emulated board: `python scripts/bench.py [-o FILE]`, or `make bench`.

Needs the folder `shared` beside the repository: the official int8 models, and baselines.json for what TFLM with
CMSIS-NN takes. Writes a Markdown table; progress goes to stderr. Every figure is exact and the same on every machine
with the same compiler: retired instructions in QEMU, not cycles.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.shared import ROOT
from tinyptq import pipeline, report, verbs
from tinyptq.board import load_board
from tinyptq.fit import Goal
from tinyptq.toolchain import find_compiler

FOLDER = ROOT / "docs" / "benchmarks"
SHARED = ROOT.parent / "shared"
MODELS = {
    "ic": "ic/pretrainedResnet_quant.tflite",
    "kws": "kws/kws_ref_model.tflite",
    "vww": "vww/vww_96_int8.tflite",
    "ad": "ad/ad01_int8.tflite",
    "sww": "sww/str_ww_ref_model.tflite",
}
BOARDS = {"cortex-m55": "m55", "cortex-m4": "m4", "cortex-m0": "m0", "cortex-m3": None, "riscv32": None}
NOTE = "Retired instructions of one inference, counted in QEMU: exact, but not cycles, and not silicon."

Profiles = dict[tuple[str, str], dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=FOLDER / f"{date.today().isoformat()}.md")
    output = parser.parse_args().output
    text = document(measured())
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text)
    print(output)


def measured() -> Profiles:
    """(model, board) -> profile, with the sizes of the default build and of one for size."""
    profiles: Profiles = {}
    with tempfile.TemporaryDirectory() as folder:
        for model, path in MODELS.items():
            for board in BOARDS:
                print(f"{model} on {board}", file=sys.stderr)
                file, output = SHARED / "models" / "mlperf_tiny" / path, Path(folder) / f"{model}-{board}"
                facts = pipeline.build(file, board=board, output=output).report
                small = pipeline.build(file, board=board, output=Path(f"{output}-size"), goal=Goal("size")).report
                sizes = {"default": facts, "size": small, "model_bytes": file.stat().st_size}
                profiles[model, board] = verbs.profile(output) | sizes
    return profiles


def document(profiles: Profiles) -> str:
    compilers = sorted({find_compiler(load_board(board)).name for board in BOARDS})
    parts = [
        "# Benchmark: official MLPerf Tiny int8 models",
        f"{NOTE} Compiled by {' and '.join(compilers)}; all builds verified, 0 differing bytes.",
        "## Instructions",
        report.markdown_table(("model", *BOARDS), [instruction_row(model, profiles) for model in MODELS]),
        "In brackets: times fewer than TFLM with CMSIS-NN in the same emulator and compiler (`baselines.json`).",
        "## Flash and RAM in bytes",
        report.markdown_table(SIZES, [size_row(*key, profiles[key]) for key in profiles]),
        "Code is the image without the model's constants: kernels, layers, startup, emulator interface.",
        "## Layers",
        *[part for key in profiles for part in layer_table(*key, profiles[key])],
    ]
    return "\n\n".join(parts) + "\n"


def instruction_row(model: str, profiles: Profiles) -> list[str]:
    return [model, *(instruction_cell(model, board, profiles[model, board]["instructions"]) for board in BOARDS)]


def instruction_cell(model: str, board: str, count: int) -> str:
    peer = baseline(BOARDS[board], model)
    return f"{count:,}" if peer is None else f"{count:,} ({peer / count:.2f})"


def baseline(core: str | None, model: str) -> int | None:
    """Instructions of TFLM with CMSIS-NN, None where nobody measured it or the file is absent."""
    path = SHARED / "baselines.json"
    if core is None or not path.exists():
        return None
    count: int | None = json.loads(path.read_text())["tflm_cmsis_nn"].get(core, {}).get(model)
    return count


SIZES = ("model", "board", ".tflite", "flash", "code", "arena", "flash for size", "code for size", "arena for size")


def size_row(model: str, board: str, profile: dict[str, Any]) -> list[str]:
    row = [profile["model_bytes"]]
    for build in (profile["default"], profile["size"]):
        row += [build["flash_bytes"], build["flash_bytes"] - build["weights_bytes"], build["arena_bytes"]]
    return [model, board, *(f"{size:,}" for size in row)]


def layer_table(model: str, board: str, profile: dict[str, Any]) -> list[str]:
    """Instructions of every layer beside what the kernel's cost model predicted."""
    rows = []
    for layer, facts in zip(profile["layers"], profile["default"]["layers"], strict=True):
        predicted = next(c for c in facts["candidates"] if c["kernel"] == facts["kernel"])["predicted_instructions"]
        shape, count = report.shape_text(facts["shapes"]["outputs"][0]), layer["instructions"]
        ratio = str(layer["instructions_per_mac"] or "")
        rows.append([facts["op"], facts["kernel"], shape, f"{count:,}", f"{predicted:,}", ratio])
    headers = ("operator", "kernel", "output", "instructions", "predicted", "per MAC")
    return [f"### {model} on {board}", report.markdown_table(headers, rows)]


if __name__ == "__main__":
    main()
