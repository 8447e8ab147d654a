"""Board -> the firmware of a build folder: sources, linker script, Makefile, CMakeLists.txt, board.toml."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePosixPath
from typing import Any

from tinyptq import resources
from tinyptq.board import PLACES, Board
from tinyptq.emit.render import environment, render
from tinyptq.errors import TinyptqError

LINKER_SCRIPT = "firmware/linker/link.ld"
STANDARD = ("-std=c99", "-ffunction-sections", "-fdata-sections")
FREESTANDING = ("-ffreestanding", "-fbuiltin", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables")
LINK = ("-nostdlib", "-static", "-Wl,--gc-sections", f"-Wl,-T,{LINKER_SCRIPT}")
WARNINGS = (
    "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-Wcast-qual", "-Wundef",
    "-Wmissing-prototypes", "-Werror",
)  # fmt: skip


def build_files(board: Board, model_name: str) -> dict[str, str]:
    """{path in the build folder: text} of all that is not the model itself; model_name is a C identifier."""
    files = firmware_sources(board)
    if board.memory:
        files[LINKER_SCRIPT] = _linker_script(board)
    context = _context(board, model_name, tuple(files))
    files["Makefile"] = render("Makefile.j2", **context)
    files["CMakeLists.txt"] = render("CMakeLists.txt.j2", **context)
    files["board.toml"] = board.text
    return files


def firmware_sources(board: Board) -> dict[str, str]:
    """The C files of the board's startup, HAL, counter and application."""
    counter = f"{board.counter.kind}.c"
    wanted = [("app", "*.[ch]"), ("hal", "hal.h"), ("hal", f"{board.hal}.c"), ("counter", counter)]
    files = {f"firmware/{folder}/{name}": text for folder, glob in wanted for name, text in _read(board, folder, glob)}
    files |= {f"firmware/startup/{name}": t for name, t in _read(board, f"startup/{board.startup}", "*.[ch]")}
    if board.is_host:
        del files["firmware/app/memory.c"]
    else:
        files |= {f"firmware/include/{name}": text for name, text in _read(board, "include", "*.h")}
    if board.counter.kind == "mmio":
        define = f"#define TQ_COUNTER_ADDRESS ((uintptr_t)0x{board.counter.address:08X}U)"
        files["firmware/counter/counter.h"] = f"/* {board.counter.kind} counter of this board. */\n{define}\n"
    return files


def _read(board: Board, folder: str, glob: str) -> list[tuple[str, str]]:
    found = [(path.name, path.read_text()) for path in sorted((resources.firmware() / folder).glob(glob))]
    if not found:
        listed = resources.firmware() / folder
        listed = listed if listed.is_dir() else listed.parent
        known = ", ".join(sorted({path.name.split(".")[0] for path in listed.iterdir()}))
        message = f"no firmware '{folder}/{glob}'"
        raise TinyptqError("bad-board", message, where=f"board '{board.name}'", hint=f"known: {known}")
    return found


def _linker_script(board: Board) -> str:
    ((_, template),) = _read(board, "linker", f"{board.linker}.ld.j2")
    regions = [{"name": n, "origin": f"0x{m.origin:08X}", "size": f"0x{m.size:X}"} for n, m in board.memory.items()]
    aliases = [{"name": place.upper(), "region": board.place[place]} for place in PLACES]
    name = re.sub(r"[^ -.0-~]", "_", board.name)
    script = environment().from_string(template)
    return script.render(board=name, regions=regions, aliases=aliases, stack_bytes=board.stack_bytes)


def compile_flags(board: Board) -> tuple[str, ...]:
    """Of every file, for a GNU compiler."""
    return (*board.cflags, *STANDARD, *(() if board.is_host else FREESTANDING), *WARNINGS)


def include_folders(paths: tuple[str, ...]) -> tuple[str, ...]:
    """src and every folder of the firmware that holds a header."""
    return ("src", *sorted({str(PurePosixPath(path).parent) for path in paths if path.endswith(".h")} - {"src"}))


def _context(board: Board, name: str, paths: tuple[str, ...]) -> dict[str, Any]:
    cfiles = sorted(path for path in paths if path.endswith(".c"))
    model = [f"src/{name}.c", f"src/{name}_weights.c"]
    folders = include_folders(paths)
    flags, link = compile_flags(board), () if board.is_host else LINK
    absolute = tuple(flag.replace("T,", "T,${CMAKE_CURRENT_SOURCE_DIR}/") for flag in link)
    elf = f"bin/{name}.elf"
    products = [elf, f"bin/{name}_trace.elf"] + ([] if board.is_host else [f"bin/{name}.bin", f"bin/{name}.hex"])
    return {
        "name": name,
        "board": re.sub(r"[^ -~]", "_", board.name),
        "prefix": board.prefix,
        "compiler": "cc" if board.is_host else f"{board.prefix}gcc",
        "cflags": _make_words(flags),
        "includes": _make_words(tuple(f"-I{folder}" for folder in folders)),
        "ldflags": _make_words(link),
        "libraries": "" if board.is_host else "-lgcc",
        "sources": " ".join([*model, *cfiles]),
        "products": " ".join(products),
        "run": _make_words(tuple(word.replace("{elf}", f"./{elf}") for word in board.run)),
        "directories": " ".join(folders),
        "cmake_flags": [_cmake_word(flag) for flag in flags if flag != "-std=c99"],
        "cmake_link_flags": [_cmake_word(flag) for flag in (*board.cflags, *absolute)],
        "model_sources": " ".join(model),
        "firmware_sources": " ".join(cfiles),
    }


def _make_words(words: tuple[str, ...]) -> str:
    return " ".join(shlex.quote(word) for word in words).replace("$", "$$").replace("#", r"\#")


def _cmake_word(word: str) -> str:
    return word if re.fullmatch(r"[\w\-=+.,/:${}]+", word) else f"[==[{word}]==]"
