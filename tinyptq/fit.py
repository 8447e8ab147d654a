"""Program + Board + Goal -> linked images: the fastest kernels whose image stays within what is asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from tinyptq.board import Board, limits
from tinyptq.emit.c import emit_c
from tinyptq.emit.firmware import build_files
from tinyptq.emit.state import state_bytes
from tinyptq.errors import EXIT_USAGE, TinyptqError, close_match
from tinyptq.kernels.selection import OPTIMIZE, SIZE, SPEED, Fits, Selection, select, selections
from tinyptq.output import write_files
from tinyptq.plan.check import require_sound
from tinyptq.plan.planner import alive_bytes, plan_kernels
from tinyptq.plan.types import Plan
from tinyptq.program import Program
from tinyptq.prove import Firmware
from tinyptq.toolchain import Images, compile_firmware

PLAIN_C = ("scalar", "portable")


@dataclass(frozen=True)
class Goal:
    """What the image is to be.

    optimize: "speed", "balanced" or "size". flash_bytes, ram_bytes: at most these, None: any. plain_c: no kernels with
    assembly, whatever the board has.
    """

    optimize: str = SPEED
    flash_bytes: int | None = None
    ram_bytes: int | None = None
    plain_c: bool = False

    def __post_init__(self) -> None:
        if self.optimize not in OPTIMIZE:
            message = f"cannot optimize for '{self.optimize}'"
            raise TinyptqError("bad-goal", message, hint=close_match(self.optimize, OPTIMIZE), exit_code=EXIT_USAGE)


@dataclass(frozen=True, eq=False)
class Fitted:
    """board: the one given, with the kernels and the compiler's optimization that the goal wants."""

    board: Board
    plan: Plan
    images: Images

    @property
    def firmware(self) -> Firmware:
        return Firmware(self.board, self.plan.kernels, self.images.elf, self.images.trace_elf)


def build_images(program: Program, board: Board, goal: Goal, folder: Path) -> Fitted:
    """Sources in folder/src and folder/firmware, images in folder/bin; a budget costs a few compilations more.

    Raises TinyptqError "over-budget" with the least that would do.
    """
    target = for_size(board) if goal.optimize == SIZE else board
    target = replace(target, isa=PLAIN_C) if goal.plain_c else target
    found = selections(program, target.isa)
    index = select(found, goal.optimize)
    made = build_one(program, target, found[index], folder)
    if goal.ram_bytes is not None and made.images.sizes.ram_bytes > goal.ram_bytes:
        room = goal.ram_bytes - (made.images.sizes.ram_bytes - made.plan.arena_size)
        found = selections(program, target.isa, scratch_fits(program, room))
        index = select(found, goal.optimize)
        made = build_one(program, target, found[index], folder)
        require_budget("RAM", made.images.sizes.ram_bytes, goal.ram_bytes)
    while goal.flash_bytes is not None and made.images.sizes.flash_bytes > goal.flash_bytes:
        if index == len(found) - 1:
            require_budget("flash", made.images.sizes.flash_bytes, goal.flash_bytes)
        index = next_smaller(found, index, made.images.sizes.flash_bytes - goal.flash_bytes)
        made = build_one(program, target, found[index], folder)
    return made


def require_room_for_state(program: Program, board: Board) -> None:
    """What a model remembers is of one size, whatever kernels run it: told before anything is compiled."""
    needed, room = state_bytes(program), limits(board)["ram_bytes"]
    if room is not None and needed > room:
        message = f"the model remembers {needed:,} bytes between runs, the board has {room:,} bytes of RAM"
        raise TinyptqError("does-not-fit", message, where=f"board '{board.name}'")


def build_one(program: Program, board: Board, chosen: Selection, folder: Path) -> Fitted:
    memory = require_sound(program, plan_kernels(program, chosen.kernels))
    write_files(folder / "src", emit_c(program, memory, board))
    write_files(folder, build_files(board, program.name))
    return Fitted(board, memory, compile_firmware(board, folder))


def for_size(board: Board) -> Board:
    """The board with its compilers told -Os instead of whatever level its file names."""

    def small(flags: tuple[str, ...]) -> tuple[str, ...]:
        return (*(flag for flag in flags if not flag.startswith("-O")), "-Os")

    return replace(board, cflags=small(board.cflags), zig_flags=small(board.zig_flags) if board.zig_flags else ())


def scratch_fits(program: Program, room: int) -> Fits:
    """Is there room in an arena of this many bytes for a layer's scratch beside the tensors alive with it?"""
    alive = alive_bytes(program)
    return lambda layer, size: alive[layer] + size <= room


def next_smaller(found: tuple[Selection, ...], index: int, excess: int) -> int:
    """The next selection predicted to save `excess` bytes of flash, the smallest one when none is."""
    wanted = found[index].flash_bytes - excess
    return next((i for i in range(index + 1, len(found)) if found[i].flash_bytes <= wanted), len(found) - 1)


def require_budget(what: str, needed: int, budget: int) -> None:
    if needed > budget:
        message = f"the smallest selection of kernels needs {needed:,} bytes of {what}, the budget is {budget:,}"
        raise TinyptqError("over-budget", message, hint="--optimize size compiles for size, too")
