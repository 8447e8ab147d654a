"""List scheduling of an assembly tile: loads and multiply-accumulates alternate, registers are reused when dead.

A core with one load and one multiply pipe overlaps the two when they alternate; compilers tend to batch the loads
instead and then spill. The order of the multiplies is the caller's; a value is loaded shortly before its first use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Multiply:
    """accumulator += a · b; a and b name loaded values."""

    accumulator: str
    a: str
    b: str


def interleave(
    multiplies: Sequence[Multiply],
    loads: Mapping[str, Sequence[str]],
    registers: Sequence[str],
    first: str,
    following: str,
) -> tuple[str, ...]:
    """Instructions of a straight-line tile.

    loads: value -> instructions with {register} where it goes, first use first.
    first, following: mnemonic of an accumulator's first multiply (which overwrites it) and of the others.
    """
    values = list(dict.fromkeys(name for m in multiplies for name in (m.a, m.b)))
    last_use = {name: i for i, m in enumerate(multiplies) for name in (m.a, m.b)}
    free, place, text, started = list(registers), dict[str, str](), list[str](), set[str]()
    waiting = iter(values)

    def load_next() -> None:
        name = next(waiting, None) if free else None
        if name is not None:
            place[name] = free.pop(0)
            text.extend(line.format(register=place[name]) for line in loads[name])

    for index, m in enumerate(multiplies):
        while m.a not in place or m.b not in place:
            assert free, "more values alive than registers"
            load_next()
        if index == 0:
            load_next()
        text.append(f"{following if m.accumulator in started else first} {m.accumulator}, {place[m.a]}, {place[m.b]}")
        started.add(m.accumulator)
        free.extend(place[name] for name in dict.fromkeys((m.a, m.b)) if last_use[name] == index)
        load_next()
    return tuple(text)
