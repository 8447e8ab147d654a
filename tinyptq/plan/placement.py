"""Where requests for memory lie: no two that live at one time share a byte, except where one may run over another.

A layer that reads its input row by row can write its output over the rows it has read. Such a pair has a lead: the
bytes by which the output (`over`) must begin before the input (`under`). Each of the two then forbids the other not
a whole interval of offsets, but the part of it in which the writer would overtake the reader.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tinyptq.plan.types import Slot

ALIGNMENT = 4
MAX_MOVES = 1000  # orders tried behind the greedy ones
BLAMED = 0.8  # of the moves are of requests near the highest one
MOST_EFFORT = 200_000  # conflicts looked at, so that large graphs take no longer than small ones

Leads = Mapping[tuple[str, str], int]  # (over, under) -> bytes


@dataclass(frozen=True)
class Request:
    """size bytes wanted from first_step to last_step (both included) under a key."""

    key: str
    size: int
    first_step: int
    last_step: int


@dataclass(frozen=True)
class Conflict:
    """Another request that lives at the same time, and how far apart the two must be.

    before: this one may begin `before` bytes or more ahead of the other; behind: or `behind` bytes or more after it.
    """

    other: str
    before: int
    behind: int


Conflicts = Mapping[str, Sequence[Conflict]]


def place(requests: Iterable[Request], leads: Leads | None = None) -> dict[str, Slot]:
    """The lowest of several greedy first-fit placements, improved by moving requests to other places in the order."""
    wanted = tuple(requests)
    conflicts = conflicts_of(wanted, leads or {})
    orders = [
        sorted(wanted, key=lambda r: (-r.size, r.first_step, r.key)),
        sorted(wanted, key=lambda r: (-(r.last_step - r.first_step + 1) * r.size, r.key)),
        sorted(wanted, key=lambda r: (r.first_step, -r.size, r.key)),
        sorted(wanted, key=lambda r: (-r.last_step, -r.size, r.key)),
    ]
    best = min(orders, key=lambda order: peak(order, conflicts))
    best = improved(best, conflicts, lower_bound(wanted, leads or {}))
    offsets = first_fit(best, conflicts)
    return {r.key: Slot(r.key, offsets[r.key], r.size, r.first_step, r.last_step) for r in best}


def conflicts_of(requests: Sequence[Request], leads: Leads) -> dict[str, list[Conflict]]:
    """For every request the others that live at one time with it."""
    found: dict[str, list[Conflict]] = {request.key: [] for request in requests}
    for a in requests:
        for b in requests:
            if a.key != b.key and a.first_step <= b.last_step and b.first_step <= a.last_step:
                before = min(a.size, leads.get((a.key, b.key), a.size))
                behind = min(b.size, leads.get((b.key, a.key), b.size))
                found[a.key].append(Conflict(b.key, before, behind))
    return found


def first_fit(order: Sequence[Request], conflicts: Conflicts) -> dict[str, int]:
    """Each request at the lowest aligned offset that nothing placed before it forbids."""
    offsets: dict[str, int] = {}
    for request in order:
        placed = (c for c in conflicts[request.key] if c.other in offsets)
        offset = 0
        for low, high in sorted((offsets[c.other] - c.before, offsets[c.other] + c.behind) for c in placed):
            if low < offset < high:
                offset = align(high)
        offsets[request.key] = offset
    return offsets


def peak(order: Sequence[Request], conflicts: Conflicts) -> int:
    offsets = first_fit(order, conflicts)
    return max((offsets[request.key] + request.size for request in order), default=0)


def improved(order: list[Request], conflicts: Conflicts, floor: int) -> list[Request]:
    """order with requests moved, one or two at a time, as long as that lowers the peak or leaves it as it is.

    The moves are drawn, always the same ones for the same requests.
    """
    drawn = random.Random(len(order)).random
    effort = len(order) + sum(len(found) for found in conflicts.values())
    best, height, blame = order, peak(order, conflicts), blamed_for(order, conflicts) if order else []
    for _ in range(min(MAX_MOVES, MOST_EFFORT // max(effort, 1)) if len(order) > 1 else 0):
        if height <= floor:
            break
        moved = list(best)
        for _ in range(1 + int(2 * drawn())):
            blamed = blame if drawn() < BLAMED else range(len(moved))
            request = moved.pop(blamed[int(drawn() * len(blamed))])
            moved.insert(int(drawn() * (len(moved) + 1)), request)
        reached = peak(moved, conflicts)
        if reached <= height:
            best, height = moved, reached
            blame = blamed_for(best, conflicts)
    return best


def blamed_for(order: Sequence[Request], conflicts: Conflicts) -> list[int]:
    """Places in the order of the highest request and of all that live at one time with it or with one of those."""
    offsets = first_fit(order, conflicts)
    top = max(order, key=lambda request: offsets[request.key] + request.size).key
    near = {top, *(c.other for c in conflicts[top])}
    near |= {c.other for key in near for c in conflicts[key]}
    return [place for place, request in enumerate(order) if request.key in near]


def lower_bound(requests: Sequence[Request], leads: Leads) -> int:
    """Bytes that no placement can do without: in some step all of these are alive, at most pairs of them overlaid."""
    steps = range(1 + max((r.last_step for r in requests), default=-1))
    return max((alive_at([r for r in requests if r.first_step <= t <= r.last_step], leads) for t in steps), default=0)


def alive_at(alive: Sequence[Request], leads: Leads) -> int:
    """Least bytes for requests of one step: all beside each other, less what the largest of all overlays saves."""
    size = {request.key: request.size for request in alive}
    saved = [
        size[over] + size[under] - max(size[over], size[under] + max(lead, 0), size[under])
        for (over, under), lead in leads.items()
        if over in size and under in size
    ]
    return sum(size.values()) - max(0, sum(saved))


def align(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
