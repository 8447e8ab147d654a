"""Images that must stay within a budget: what is given up for it, and what is said when nothing helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.firmware_fixture import require_tools
from tinyptq import demo, pipeline, verbs
from tinyptq.board import load_board
from tinyptq.cli import run
from tinyptq.errors import TinyptqError
from tinyptq.fit import Goal, for_size
from tinyptq.summary import Report

BOARD = "cortex-m4"


def built(folder: Path, goal: Goal) -> Report:
    require_tools(load_board(BOARD))
    files = demo.example()
    done = pipeline.build(
        files.model, board=BOARD, calibration=files.calibration, output=folder / "out", count=4, goal=goal
    )
    assert done.report["verification"]["differing_bytes"] == 0
    return done.report


def test_less_flash_costs_instructions_and_is_verified(tmp_path: Path) -> None:
    fast = built(tmp_path, Goal())
    fast_count = verbs.profile(tmp_path / "out")["instructions"]
    budget = fast["flash_bytes"] - 1000
    tight = built(tmp_path, Goal(flash_bytes=budget))
    assert tight["flash_bytes"] <= budget
    assert tight["goal"] == {"optimize": "speed", "flash_bytes": budget, "ram_bytes": None, "plain_c": False}
    tight_count = verbs.profile(tmp_path / "out")["instructions"]
    small = built(tmp_path, Goal("size"))
    assert small["flash_bytes"] < tight["flash_bytes"]
    assert fast_count < tight_count < verbs.profile(tmp_path / "out")["instructions"]


def test_less_ram_takes_kernels_with_less_scratch(tmp_path: Path) -> None:
    fast = built(tmp_path, Goal())
    tight = built(tmp_path, Goal(ram_bytes=fast["ram_bytes"] - 64))
    assert tight["arena_bytes"] < fast["arena_bytes"]
    assert tight["ram_bytes"] <= fast["ram_bytes"] - 64


@pytest.mark.parametrize(("goal", "what"), [(Goal(flash_bytes=4096), "flash"), (Goal(ram_bytes=4096), "RAM")])
def test_a_budget_nothing_meets(goal: Goal, what: str, tmp_path: Path) -> None:
    with pytest.raises(TinyptqError, match=rf"needs [\d,]+ bytes of {what}, the budget is 4,096"):
        built(tmp_path, goal)
    assert not list(tmp_path.iterdir())


def test_the_report_tells_what_each_choice_was_made_from(tmp_path: Path) -> None:
    for layer in built(tmp_path, Goal())["layers"]:
        predicted = [candidate["predicted_instructions"] for candidate in layer["candidates"]]
        assert predicted == sorted(predicted)
        assert layer["kernel"] == layer["candidates"][0]["kernel"]
        assert layer["candidates"][-1]["predicted_flash_bytes"] > 0


def test_plain_c_uses_no_assembly(tmp_path: Path) -> None:
    report = built(tmp_path, Goal(plain_c=True))
    assert {layer["kernel"].split("_")[0] for layer in report["layers"]} <= {"scalar", "portable"}
    sources = "".join(path.read_text() for path in (tmp_path / "out" / "src").glob("digits_cnn*.c"))
    assert "__asm__" not in sources


def test_size_replaces_the_level_of_optimization() -> None:
    board = for_size(load_board(BOARD))
    assert [flag for flag in board.cflags if flag.startswith("-O")] == ["-Os"]
    assert [flag for flag in board.zig_flags if flag.startswith("-O")] == ["-Os"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--optimize", "fast"], "cannot optimize for 'fast' (known: balanced, size, speed) [bad-goal]"),
        (["--flash", "lots"], "'lots' is no size; give 65536B, 64KiB or 1MiB"),
        (["--ram", "64KB"], "'64KB' is no size"),
        (["--ram", "-1"], "'-1' is no size"),
    ],
)
def test_goals_that_are_none(options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["build", "model.tflite", "--board", BOARD, *options]) == 2
    printed = capsys.readouterr().err
    assert complaint in printed and printed.count("\n") == 1
