"""Board: one TOML file as a frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Memory:
    """A region of the address map, bytes."""

    origin: int
    size: int


@dataclass(frozen=True)
class Counter:
    """The instruction counter `profile` reads: kind 'systick', 'instret' or 'none'; hz of its clock."""

    kind: str
    hz: int = 0


@dataclass(frozen=True)
class Board:
    name: str
    title: str
    isa: tuple[str, ...]
    prefix: str
    cflags: tuple[str, ...]
    zig_flags: tuple[str, ...]
    startup: str
    linker: str
    hal: str
    memory: Mapping[str, Memory]
    place: Mapping[str, str]
    stack_bytes: int
    run: tuple[str, ...]
    counter: Counter
