"""Board: one TOML file as a frozen value; every complaint names the file and the key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyptq import resources
from tinyptq.errors import EXIT_USAGE, TinyptqError, close_match

ISAS = ("arm_mve", "arm_dsp", "thumb2", "thumb1", "riscv32", "scalar", "portable")
COUNTERS = ("mmio", "instret", "none")
PLACES = ("vectors", "text", "weights", "arena", "data", "stack")
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,30}\Z")
_SIZE = re.compile(r"(\d{1,9}) ?(B|KiB|MiB)\Z", re.ASCII)
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20}
_MAX_TOML_BYTES = 1 << 20


@dataclass(frozen=True)
class Memory:
    """A region of the address map, bytes."""

    origin: int
    size: int


@dataclass(frozen=True)
class Counter:
    """The instruction counter `profile` reads.

    kind            "mmio": free-running 32-bit counter at `address`; "instret": the RISC-V CSR; "none": see `reason`.
    hz              clock of an mmio counter.
    instruction_ns  how far the emulator moves its clock per instruction.
    args            what the emulator needs for that.
    """

    kind: str
    address: int = 0
    hz: int = 0
    instruction_ns: int = 1
    args: tuple[str, ...] = ()
    reason: str = ""

    @property
    def ticks_per_instruction(self) -> float:
        """Above 2 a difference of two readings gives back the number of instructions exactly."""
        return self.hz * self.instruction_ns / 1e9 if self.kind == "mmio" else 1.0


@dataclass(frozen=True)
class Board:
    """name: stem of the file. memory: region -> addresses. place: what lies in which region (empty on the host).

    prefix: of a GNU toolchain ("" is the machine's own compiler); zig_flags: target of `zig cc`, () when it cannot.
    run: command with {elf} that runs an image, () when there is none. text: the TOML, for the copy in a build folder.
    """

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
    text: str

    @property
    def is_host(self) -> bool:
        """Does the image run as a process of this machine?"""
        return not self.memory


def limits(board: Board) -> dict[str, int | None]:
    """Bytes of flash, RAM and stack the board has; None on the host, where nobody counts."""
    if board.is_host:
        return {"flash_bytes": None, "ram_bytes": None, "stack_bytes": None}
    flash = {board.place[place] for place in ("vectors", "text", "weights")}
    ram = {board.place[place] for place in ("arena", "data", "stack")}
    total = {key: sum(board.memory[name].size for name in names) for key, names in (("flash", flash), ("ram", ram))}
    return {"flash_bytes": total["flash"], "ram_bytes": total["ram"], "stack_bytes": board.stack_bytes}


def parse_size(text: str) -> int | None:
    """Bytes of "512 B", "64 KiB", "64KiB" or "1 MiB"; None for anything else."""
    match = _SIZE.match(text)
    return int(match[1]) * _UNITS[match[2]] if match else None


@dataclass(frozen=True)
class _Table:
    """A TOML table that remembers its file and path, so that complaints can name them."""

    file: str
    path: str
    values: Mapping[str, Any]

    def error(self, key: str, message: str, hint: str | None = None) -> TinyptqError:
        where = f"{self.file}: {self.path}{key}" if key else self.file
        return TinyptqError("bad-board", message, where=where, hint=hint, exit_code=EXIT_USAGE)

    def only(self, *accepted: str) -> None:
        for key in self.values:
            if key not in accepted:
                raise self.error(key, f"unknown key '{key}'", f"accepted: {', '.join(accepted)}")

    def get(self, key: str, kind: type, default: Any = None) -> Any:
        if key not in self.values:
            if default is None:
                raise self.error(key, f"key '{key}' is missing")
            return default
        value = self.values[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.error(key, f"expected {_KINDS[kind]}, got {value!r}")
        return value

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        values = self.get(key, list, None if default is None else list(default))
        for value in values:
            if not isinstance(value, str) or not value.isprintable():
                raise self.error(key, f"expected a list of strings, got {value!r}")
        return tuple(values)

    def table(self, key: str, default: Mapping[str, Any] | None = None) -> _Table:
        return _Table(self.file, f"{self.path}{key}.", self.get(key, dict, default))

    def choice(self, key: str, choices: tuple[str, ...], default: str | None = None) -> str:
        value: str = self.get(key, str, default)
        if value not in choices:
            raise self.error(key, f"unknown value '{value}'", close_match(value, choices))
        return value

    def size(self, key: str, default: str | None = None) -> int:
        """Bytes, from an integer or a string such as "512 KiB"."""
        value = self.values.get(key, default)
        if isinstance(value, str) and (size := parse_size(value)) is not None:
            return size
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 32:
            return value
        raise self.error(key, f"expected a size such as \"512 KiB\", got {value!r}")


_KINDS: Mapping[type, str] = {str: "a string", int: "an integer", list: "a list", dict: "a table"}


def board_names() -> tuple[str, ...]:
    """The boards that come with tinyptq, sorted."""
    return tuple(sorted(path.stem for path in resources.boards().glob("*.toml")))


def load_board(name_or_path: str) -> Board:
    """A board by its name ("cortex-m55"), or by the path of a TOML file ("./my-board.toml")."""
    if name_or_path.endswith(".toml") or "/" in name_or_path or "\\" in name_or_path:
        path = Path(name_or_path)
        return parse_board(path.stem, _read(path), str(path))
    if name_or_path not in board_names():
        hint = close_match(name_or_path, board_names())
        raise TinyptqError("unknown-board", f"unknown board '{name_or_path}'", hint=hint, exit_code=EXIT_USAGE)
    path = resources.boards() / f"{name_or_path}.toml"
    return parse_board(name_or_path, _read(path), path.name)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_TOML_BYTES + 1)
        if len(data) > _MAX_TOML_BYTES:
            raise TinyptqError("bad-board", "too large for a board file", where=str(path), exit_code=EXIT_USAGE)
        return data.decode()
    except OSError as error:
        message = f"cannot read the board file: {error.strerror}"
        raise TinyptqError("unknown-board", message, where=str(path), exit_code=EXIT_USAGE) from None
    except UnicodeDecodeError:
        raise TinyptqError("bad-board", "not a UTF-8 text file", where=str(path), exit_code=EXIT_USAGE) from None


def parse_board(name: str, text: str, file: str) -> Board:
    """A board from the text of its TOML; `file` is named in complaints."""
    try:
        table = _Table(file, "", tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise TinyptqError("bad-board", f"not TOML: {error}", where=file, exit_code=EXIT_USAGE) from None
    table.only("title", "isa", "toolchain", "firmware", "memory", "place", "stack", "run", "counter")
    toolchain = table.table("toolchain")
    toolchain.only("prefix", "cflags", "zig")
    firmware = table.table("firmware")
    firmware.only("startup", "linker", "hal")
    memory = _memory(table.table("memory", {}))
    return Board(
        name=name,
        title=table.get("title", str),
        isa=_isa(table),
        prefix=toolchain.get("prefix", str),
        cflags=toolchain.texts("cflags"),
        zig_flags=toolchain.texts("zig", ()),
        startup=_identifier(firmware, "startup"),
        linker=_identifier(firmware, "linker") if memory else "",
        hal=_identifier(firmware, "hal"),
        memory=memory,
        place=_place(table.table("place", {}), memory),
        stack_bytes=table.size("stack", "4 KiB") if memory else 0,
        run=_run(table),
        counter=_counter(table.table("counter", {"kind": "none", "reason": "the board names no counter"})),
        text=text,
    )


def _identifier(table: _Table, key: str) -> str:
    value: str = table.get(key, str)
    if not _IDENTIFIER.match(value):
        raise table.error(key, f"'{value}' is no name", "lower-case letters, digits and _")
    return value


def _isa(table: _Table) -> tuple[str, ...]:
    isa = table.texts("isa")
    for flavour in isa:
        if flavour not in ISAS:
            raise table.error("isa", f"unknown flavour '{flavour}'", close_match(flavour, ISAS))
    if not isa or isa[-1] != "portable":
        raise table.error("isa", "must end in \"portable\"", "kernel flavours, best first")
    return isa


def _memory(table: _Table) -> dict[str, Memory]:
    regions = {}
    for name in table.values:
        if not _IDENTIFIER.match(name):
            raise table.error(name, f"'{name}' is no name of a region", "lower-case letters, digits and _")
        region = table.table(name)
        region.only("origin", "size")
        regions[name] = Memory(region.size("origin"), region.size("size"))
    return regions


def _place(table: _Table, memory: Mapping[str, Memory]) -> dict[str, str]:
    """data and stack lie where the arena lies, and the vectors where the code lies, unless said otherwise."""
    table.only(*PLACES)
    if not memory:
        return {}
    regions = tuple(memory)
    text, arena = table.choice("text", regions), table.choice("arena", regions)
    usual = {"vectors": text, "weights": text, "data": arena, "stack": arena}
    return {"text": text, "arena": arena} | {key: table.choice(key, regions, usual[key]) for key in usual}


def _run(table: _Table) -> tuple[str, ...]:
    command = table.texts("run", ())
    if command and not any("{elf}" in word for word in command):
        raise table.error("run", "the command must hold {elf}, the path of the image")
    return command


def _counter(table: _Table) -> Counter:
    table.only("kind", "address", "hz", "instruction_ns", "args", "reason")
    counter = Counter(
        kind=table.choice("kind", COUNTERS),
        address=table.get("address", int, 0),
        hz=table.get("hz", int, 0),
        instruction_ns=table.get("instruction_ns", int, 1),
        args=table.texts("args", ()),
        reason=table.get("reason", str, ""),
    )
    if counter.kind == "mmio" and (counter.ticks_per_instruction <= 2 or not 0 < counter.address < 1 << 32):
        raise table.error("kind", "an mmio counter needs an address, and more than 2 ticks per instruction")
    return counter
