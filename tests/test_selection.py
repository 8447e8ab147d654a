"""Which kernels are taken: the fastest first, then less and less flash, shared code counted once."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from tests.golden_model import golden_program
from tests.programs import chain_program
from tinyptq.board import load_board
from tinyptq.kernels import candidates, choose
from tinyptq.kernels.base import Cost, Kernel
from tinyptq.kernels.selection import (
    BALANCED_INSTRUCTIONS,
    Group,
    Option,
    cheapest_saving,
    grouped,
    select,
    selections,
)
from tinyptq.program import Program

BOARDS = ("cortex-m55", "cortex-m4", "cortex-m0")


def roomy(layer: int, size: int) -> bool:
    return True


@pytest.mark.parametrize("board", BOARDS)
def test_the_first_is_the_fastest_and_each_next_one_is_smaller(board: str) -> None:
    isa = load_board(board).isa
    found = selections(golden_program(), isa)
    assert found[0].kernels == tuple(choose(layer, isa) for layer in golden_program().layers)
    for earlier, later in pairwise(found):
        assert later.flash_bytes < earlier.flash_bytes
        assert later.instructions >= earlier.instructions


def test_what_the_goals_take() -> None:
    found = selections(golden_program(), load_board("cortex-m4").isa)
    assert len(found) > 1, "the golden model leaves no choice on this board"
    assert select(found, "speed") == 0
    assert select(found, "size") == len(found) - 1
    balanced = select(found, "balanced")
    limit = BALANCED_INSTRUCTIONS * found[0].instructions
    assert found[balanced].instructions <= limit
    assert balanced == len(found) - 1 or found[balanced + 1].instructions > limit


def kernel(name: str) -> Kernel:
    return Kernel("add", name, f"add/{name}.c.j2", bool, dict, int, bool, lambda params: Cost(0, 0))


def test_the_cheapest_saving_on_paper() -> None:
    """First group: 100 bytes for 1000 instructions (10 each). Second: 50 for 400 (8 each), 90 for 900 (10 each)."""
    fast, small, least = (kernel(name) for name in ("fast", "small", "least"))
    first = Group((0,), (Option(fast, 100, 300, 0), Option(small, 1100, 200, 0)))
    second = Group((1,), (Option(fast, 50, 200, 0), Option(small, 450, 150, 0), Option(least, 950, 110, 0)))
    assert cheapest_saving([first, second], [first.fastest, second.fastest]) == (1, second.options[1])
    # then 40 bytes for 500 instructions would be 12.5 each: the first group's exchange is the better one
    assert cheapest_saving([first, second], [first.fastest, second.options[1]]) == (0, first.options[1])
    assert cheapest_saving([first, second], [first.options[1], second.options[2]]) is None


def test_layers_that_differ_in_weights_only_share_their_code() -> None:
    program = chain_program()
    twice = replace(program, layers=(*program.layers, *program.layers))
    once, both = (grouped(p, ("portable",), roomy) for p in (program, twice))
    assert len(once) == len(both)
    for alone, shared in zip(once, both, strict=True):
        assert len(shared.layers) == 2 * len(alone.layers)
        constants = shared.options[0].flash_bytes - alone.options[0].flash_bytes
        assert constants == alone.options[0].flash_bytes - code_bytes(program, alone)


def code_bytes(program: Program, group: Group) -> int:
    return max(group.options[0].kernel.cost(program.layers[i].params).code_bytes for i in group.layers)


def test_kernels_whose_scratch_does_not_fit_are_left_out() -> None:
    """Layer 0 may borrow nothing: of its kernels the one with the least scratch remains."""
    program, isa = golden_program(), load_board("cortex-m4").isa
    scratch = [kernel.scratch(program.layers[0].params) for kernel in candidates(program.layers[0], isa)]
    fastest = selections(program, isa)[0]
    tight = selections(program, isa, lambda layer, size: layer != 0 or size == 0)[0]
    assert tight.kernels[0].scratch(program.layers[0].params) == min(scratch)
    assert fastest.kernels[0].scratch(program.layers[0].params) > min(scratch)
    assert tight.kernels[1:] == fastest.kernels[1:]
