"""The planner never overlaps what is alive, and the independent checker sees it when a plan is spoiled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.programs import chain_program
from tinyptq.board import load_board
from tinyptq.plan import placement
from tinyptq.plan.check import check_plan
from tinyptq.plan.placement import ALIGNMENT, Conflicts, Request, lower_bound, place
from tinyptq.plan.planner import plan

requests = st.lists(
    st.tuples(st.integers(1, 5000), st.integers(0, 12), st.integers(0, 6)), min_size=1, max_size=14
).map(lambda rows: [Request(f"t{i}", size, start, start + life) for i, (size, start, life) in enumerate(rows)])


@given(requests)
@settings(max_examples=60, deadline=None)
def test_no_two_live_requests_share_a_byte(wanted: list[Request]) -> None:
    slots = list(place(wanted).values())
    assert len(slots) == len(wanted)
    for i, a in enumerate(slots):
        assert a.offset % ALIGNMENT == 0
        for b in slots[i + 1 :]:
            apart_in_time = a.last_step < b.first_step or b.last_step < a.first_step
            apart_in_space = a.offset + a.size <= b.offset or b.offset + b.size <= a.offset
            assert apart_in_time or apart_in_space, (a, b)


@given(requests)
@settings(max_examples=40, deadline=None)
def test_peak_is_between_the_bound_and_the_sum(wanted: list[Request]) -> None:
    peak = max(s.offset + s.size for s in place(wanted).values())
    assert lower_bound(wanted, {}) <= peak <= sum(r.size + ALIGNMENT for r in wanted)


def test_three_tensors_on_paper() -> None:
    """a (100 bytes, steps 0-1), b (60, 1-2), c (100, 2-3): c takes a's place, 160 bytes in all."""
    slots = place([Request("a", 100, 0, 1), Request("b", 60, 1, 2), Request("c", 100, 2, 3)])
    assert slots["a"].offset == slots["c"].offset
    assert max(s.offset + s.size for s in slots.values()) == 160


def test_a_sound_plan_has_no_errors() -> None:
    program = chain_program()
    assert check_plan(program, plan(program, load_board("host"))) == []


@pytest.mark.parametrize("spoil", ["overlap", "outside", "missing", "short", "rows", "scratch"])
def test_checker_sees_a_spoiled_plan(spoil: str) -> None:
    program = chain_program()
    sound = plan(program, load_board("host"))
    names = list(sound.slots)
    if spoil == "overlap":
        other = sound.slots[names[0]]
        late = other.offset + other.size // 2  # the writer would overtake the reader
        bad = replace(sound, slots={**sound.slots, names[1]: replace(sound.slots[names[1]], offset=late)})
    elif spoil == "outside":
        bad = replace(sound, arena_size=sound.arena_size - ALIGNMENT)
    elif spoil == "missing":
        bad = replace(sound, slots={n: s for n, s in sound.slots.items() if n != names[0]})
    elif spoil == "short":
        bad = replace(sound, slots={**sound.slots, names[0]: replace(sound.slots[names[0]], size=1)})
    elif spoil == "scratch":
        bad = replace(sound, scratch={})
    else:
        bad = replace(sound, schedule=sound.schedule[:-1])
    assert check_plan(program, bad)


def test_large_graphs_are_given_fewer_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work, in conflicts looked at, is bounded whatever the number of layers."""
    sizes = [4000 + 977 * i % 6000 for i in range(120)]
    tensors = [Request(f"t{i}", size, i, i + 1 + (i % 3 == 0)) for i, size in enumerate(sizes)]
    scratch = [Request(f"s{i}", 300 + 53 * i % 900, i, i) for i in range(120)]
    leads = {(f"t{i + 1}", f"t{i}"): 64 for i in range(119) if i % 3}
    looked_at = 0
    first_fit = placement.first_fit

    def counted(order: Sequence[Request], conflicts: Conflicts) -> dict[str, int]:
        nonlocal looked_at
        looked_at += len(order) + sum(len(found) for found in conflicts.values())
        return first_fit(order, conflicts)

    monkeypatch.setattr(placement, "first_fit", counted)
    place([*tensors, *scratch], leads)
    assert looked_at < 3 * placement.MOST_EFFORT
