"""The generated C of one small model, a complete set for each ISA flavour, reviewed like source.

`pytest tests/test_golden.py --update-golden` is the only way to change the files under tests/golden.
"""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from tests.golden_model import golden_program
from tinyptq.board import load_board
from tinyptq.emit.c import RUNTIME_HEADERS, emit_c
from tinyptq.output import write_files
from tinyptq.plan.planner import plan

GOLDEN = Path(__file__).parent / "golden"
FLAVOURS = {
    "portable": "host",
    "thumb1": "cortex-m0",
    "riscv32": "riscv32",
    "arm_dsp": "cortex-m4",
    "arm_mve": "cortex-m55",
}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_generated_c_is_the_golden_one(flavour: str, request: pytest.FixtureRequest) -> None:
    board = load_board(FLAVOURS[flavour])
    program = golden_program()
    memory = plan(program, board)
    assert flavour in {kernel.isa for kernel in memory.kernels}, "the golden model does not use this flavour"
    files = {p: t for p, t in emit_c(program, memory, board).items() if p not in RUNTIME_HEADERS}
    if request.config.getoption("--update-golden"):
        write_files(GOLDEN / flavour, files)
    assert sorted(files) == sorted(p.name for p in (GOLDEN / flavour).iterdir())
    for path, text in files.items():
        stored = (GOLDEN / flavour / path).read_text()
        difference = "".join(difflib.unified_diff(stored.splitlines(True), text.splitlines(True), "golden", "now"))
        assert not difference, difference
