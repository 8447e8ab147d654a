"""The conformance suite with many cases: `python scripts/conformance.py > docs/conformance.md`.

operators: each in each type it claims is drawn CASES times and held to its authority and to the C of the host.
boards: two cases of each run on every emulated board. models: the int8 models of the folder `shared`, beside the
repository, run on 32 inputs. Needs LiteRT and tflite-micro. Progress goes to stderr.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.c_harness import SANITIZERS
from tests.conformance import CLAIMS, each_drawn, fixed
from tests.conformance.authority import LIMITS, REFUSED, authority
from tests.conformance.together import on_board, on_host
from tests.conformance.trial import SAMPLES, Trial
from tests.models import INT8_MODELS
from tests.shared import ROOT
from tinyptq import pipeline
from tinyptq.board import load_board
from tinyptq.errors import TinyptqError

CASES = 500
COMPILED_TOGETHER = 50  # cases in one C file; the first of each operator and type is compiled with sanitizers
FAST = ("-O1",)
PER_BOARD = 2
BOARDS = ("cortex-m55", "cortex-m4", "cortex-m0", "riscv32")
INPUTS = 32


@dataclass
class Tally:
    """Cases and bytes that differ, of one operator in one type."""

    cases: int = 0
    differing: int = 0
    in_c: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=CASES, help="of each operator and type (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="operators at a time (default: %(default)s)")
    parser.add_argument("parts", nargs="*", default=list(PARTS), help="of the report")
    options = parser.parse_args()
    results = [PARTS[part](options) for part in options.parts]
    if not all(results):
        raise SystemExit(3)


HEAD = """# Conformance

Written by `python scripts/conformance.py`. Every operator that `tinyptq ops` lists, in every integer type it takes,
is drawn by hypothesis: shapes with sides of one and odd ones, axes, paddings, strides, dilations, fused activations,
scales from 1e-6 to 1e3, zero points up to both ends of the type, weights at their limits; {samples} inputs each, all
lowest and all highest among them. The same integers are computed by the authority, by the simulator and by the
generated C on the host, compiled under every warning, {sanitized} cases with the address and undefined-behaviour
sanitizers. A test fails when an operator or a type has no entry here; `tests/conformance` holds the strategies.

## Operators
"""


def tally(name: str, dtype: str, cases: int) -> Tally:
    """Draw, judge, compile. Trials are kept until enough of them are there to compile."""
    print(f"{name} {dtype}", file=sys.stderr, flush=True)
    found, waiting = Tally(), list[Trial]()

    def judge(trial: Trial) -> None:
        differing = authority(name, dtype).judge(trial)
        found.cases += 1
        found.differing += differing
        if differing:
            print(f"  differs: {trial}", file=sys.stderr)
        waiting.append(trial)
        if len(waiting) == COMPILED_TOGETHER:
            found.in_c += in_c(waiting, SANITIZERS if found.cases == COMPILED_TOGETHER else FAST)
            waiting.clear()

    each_drawn(name, dtype, cases, judge)
    found.in_c += in_c(waiting, FAST) if waiting else 0
    return found


def in_c(trials: list[Trial], flags: Sequence[str]) -> int:
    """Bytes that differ between the C of the host and the simulator."""
    with tempfile.TemporaryDirectory() as folder:
        return on_host(trials, Path(folder), flags).differing_bytes


def print_operators(options: argparse.Namespace) -> bool:
    with ProcessPoolExecutor(options.jobs) as pool:
        found = pool.map(tally, *zip(*CLAIMS, strict=True), [options.cases] * len(CLAIMS))
        tallies = dict(zip(CLAIMS, found, strict=True))
    print(HEAD.format(samples=SAMPLES, sanitized=COMPILED_TOGETHER))
    head = ("operator", "type", "authority", "cases", "bytes that differ", "in C")
    print_table(head, ((*claim, authority(*claim).title, t.cases, t.differing, t.in_c) for claim, t in tallies.items()))
    whole = [sum(column) for column in zip(*((t.cases, t.differing, t.in_c) for t in tallies.values()), strict=True)]
    print(f"\n{len(tallies)} pairs of operator and type, {whole[0]:,} cases, {whole[1]} and {whole[2]} bytes differ.")
    print_limits()
    return not any(whole[1:])


def print_limits() -> None:
    print("\n## What tflite-micro does not run\n")
    print("Another authority is named above, or the draws stay clear of it.\n")
    for (name, dtype), why in sorted(REFUSED.items()):
        print(f"- {name} {dtype}: {why}")
    for limit in LIMITS:
        print(f"- {limit}")


def print_boards(_: argparse.Namespace) -> bool:
    """The largest trials of each claim, all in one firmware, traced layer by layer in the emulator."""
    chosen = [trial for claim in CLAIMS for trial in fixed(*claim, PER_BOARD)]
    print("\n## On every ISA\n")
    print(f"{PER_BOARD} cases of each pair in one firmware, every layer's bytes read back from QEMU.\n")
    return print_table(("board", "computed", "layers", "bytes compared", "differing"), board_rows(chosen))


def board_rows(chosen: list[Trial]) -> Iterable[tuple[Any, ...]]:
    for board in BOARDS:
        for blocks in (False, True):
            print(f"{board}", file=sys.stderr)
            with tempfile.TemporaryDirectory() as folder:
                result = on_board(chosen, load_board(board), Path(folder), blocks)
            way = "rows in blocks" if blocks else "whole"
            yield board, way, result.layers, result.compared_bytes, result.differing_bytes


def print_models(_: argparse.Namespace) -> bool:
    print(f"\n## Models that others quantized\n\nFirmware beside simulator, every layer, {INPUTS} inputs.\n")
    return print_table(("model", "board", "layers", "inputs", "bytes compared", "differing"), model_rows())


def model_rows() -> Iterable[tuple[Any, ...]]:
    for model in INT8_MODELS:
        for board in BOARDS:
            print(f"{model} on {board}", file=sys.stderr)
            path = ROOT.parent / "shared" / "models" / model
            with tempfile.TemporaryDirectory() as folder:
                output = Path(folder) / "out"
                checked = pipeline.build(path, board=board, output=output, count=INPUTS).report["verification"]
            yield (
                *(model, board, checked["layers"], checked["inputs"]),
                *(checked["bytes"], checked["differing_bytes"]),
            )


def print_table(head: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> bool:
    """Is the last column, of what differs, zero in every row?"""
    equal = True
    for cells in chain((head, ("---",) * len(head)), rows):
        print("| " + " | ".join(f"{c:,}" if isinstance(c, int) else str(c) for c in cells) + " |", flush=True)
        equal &= cells[-1] == 0 or isinstance(cells[-1], str)
    return equal


PARTS = {"operators": print_operators, "boards": print_boards, "models": print_models}

if __name__ == "__main__":
    try:
        main()
    except TinyptqError as error:
        raise SystemExit(str(error)) from None
