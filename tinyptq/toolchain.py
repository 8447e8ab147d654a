"""Build folder -> linked images: finds a compiler, compiles two files at a time, links, refuses what does not fit."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tinyptq.board import Board
from tinyptq.emit.firmware import LINK, STANDARD, WARNINGS, build_files, compile_flags, include_folders
from tinyptq.errors import TinyptqError
from tinyptq.image import Sizes, foreign_symbols, image_sizes, object_sizes, write_bin_and_hex

__all__ = ["Compiler", "Images", "build_files", "compile_firmware", "find_compiler", "install_line"]

HOST_COMPILERS = ("cc", "gcc", "clang")
# zig knows no C library here, yet memcpy must be the builtin: without it 4-byte copies become calls.
ZIG_FREESTANDING = ("-fhosted", "-fbuiltin", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables")
PARALLEL = 2
TIMEOUT_S = 300
_OVERFLOW = re.compile(r"region [`'\"]?(\w+)['\"]?:? overflowed by (\d+) bytes")
_COMPLAINT = re.compile(r"^(?!collect2).*(error|undefined|cannot find)", re.IGNORECASE)
DEBIAN_PACKAGES = {
    "arm-none-eabi-gcc": "gcc-arm-none-eabi",
    "riscv64-unknown-elf-gcc": "gcc-riscv64-unknown-elf",
    "cc": "gcc libc6-dev",
    "qemu-system-arm": "qemu-system-arm",
    "qemu-system-riscv32": "qemu-system-misc",
}


@dataclass(frozen=True)
class Compiler:
    """A C compiler that also links. argv: how it is called; flags: of every file; link: of an image."""

    name: str
    argv: tuple[str, ...]
    flags: tuple[str, ...]
    link: tuple[str, ...]
    libraries: tuple[str, ...]


@dataclass(frozen=True)
class Images:
    """What was linked. binary and hexadecimal are None on the host. compiler: the command's name, for the report."""

    elf: Path
    trace_elf: Path
    binary: Path | None
    hexadecimal: Path | None
    sizes: Sizes
    compiler: str


def install_line(program: str) -> str:
    """The command that installs a program on Debian and its like."""
    return f"sudo apt-get install {DEBIAN_PACKAGES.get(program, program)}"


def find_compiler(board: Board) -> Compiler:
    """GNU compiler of the board's prefix, else `python -m ziglang cc`; on the host any C compiler."""
    for name in HOST_COMPILERS if board.is_host else (f"{board.prefix}gcc",):
        if shutil.which(name):
            if board.is_host:
                return Compiler(name, (name,), compile_flags(board), (), ())
            return Compiler(name, (name,), compile_flags(board), LINK, ("-lgcc",))
    if board.zig_flags and importlib.util.find_spec("ziglang"):
        bare = () if board.is_host else ZIG_FREESTANDING
        argv = (sys.executable, "-m", "ziglang", "cc")
        # zig leaves its own integer helpers out together with the start files when told -nostdlib
        link = () if board.is_host else tuple(flag for flag in LINK if flag != "-nostdlib")
        return Compiler("zig cc", argv, (*board.zig_flags, "-g0", *STANDARD, *bare, *WARNINGS), link, ())
    wanted = "cc" if board.is_host else f"{board.prefix}gcc"
    zig = " or: pip install 'tinyptq[toolchain]'" if board.zig_flags else ""
    message = f"no C compiler for board '{board.name}': {wanted} is not on PATH"
    raise TinyptqError("no-compiler", message, hint=f"{install_line(wanted)}{zig}")


def compile_firmware(board: Board, directory: Path, extra_flags: Sequence[str] = ()) -> Images:
    """Compile DIR/src and DIR/firmware, link DIR/bin/NAME.elf and NAME_trace.elf; nothing is written unless all work.

    extra_flags: for every file, such as sanitizers. Raises no-compiler, compile-failed, foreign-symbol, does-not-fit.
    """
    compiler = find_compiler(board)
    name = _model_name(directory)
    with tempfile.TemporaryDirectory(prefix="tinyptq-") as temporary:
        work = Path(temporary)
        flags = (*compiler.flags, *extra_flags)
        objects, traced = _compile_all(compiler.argv, flags, directory, work)
        model = [path for source, path in objects.items() if source.startswith("src/")]
        if not extra_flags:
            _require_only_own_symbols(model)
        elf, trace_elf = work / f"{name}.elf", work / f"{name}_trace.elf"
        for image, parts in ((elf, objects), (trace_elf, objects | traced)):
            _link(board, compiler, (*extra_flags,), directory, parts, image)
        sizes = object_sizes(model) if board.is_host else image_sizes(elf)
        return _deliver(board, directory / "bin", elf, trace_elf, sizes, compiler.name)


def _deliver(board: Board, folder: Path, elf: Path, trace_elf: Path, sizes: Sizes, compiler: str) -> Images:
    folder.mkdir(parents=True, exist_ok=True)
    final, final_trace = folder / elf.name, folder / trace_elf.name
    shutil.copy(elf, final)
    shutil.copy(trace_elf, final_trace)
    if board.is_host:
        return Images(final, final_trace, None, None, sizes, compiler)
    binary, hexadecimal = final.with_suffix(".bin"), final.with_suffix(".hex")
    write_bin_and_hex(final, binary, hexadecimal)
    return Images(final, final_trace, binary, hexadecimal, sizes, compiler)


def _model_name(directory: Path) -> str:
    (weights,) = directory.glob("src/*_weights.c")
    return weights.name.removesuffix("_weights.c")


def _sources(directory: Path) -> list[str]:
    found = [*directory.glob("src/*.c"), *directory.glob("firmware/**/*.c")]
    return sorted(path.relative_to(directory).as_posix() for path in found)


def _compile_all(
    argv: Sequence[str], flags: Sequence[str], directory: Path, work: Path
) -> tuple[dict[str, Path], dict[str, Path]]:
    """{source: object} of all files, and of those with hooks once more with TQ_TRACE.

    Compilers are given relative paths: no path of this machine gets into an image.
    """
    headers = [p.relative_to(directory).as_posix() for p in directory.glob("firmware/**/*.h")]
    includes = tuple(f"-I{folder}" for folder in include_folders(tuple(headers)))
    sources = _sources(directory)
    hooked = [source for source in sources if b'"tq_trace.h"' in (directory / source).read_bytes()]
    plain = {source: work / f"{source[:-2]}.o" for source in sources}
    traced = {source: work / "trace" / f"{source[:-2]}.o" for source in hooked}
    jobs = [((), s, o) for s, o in plain.items()] + [(("-DTQ_TRACE",), s, o) for s, o in traced.items()]
    jobs.sort(key=lambda job: -(directory / job[1]).stat().st_size)  # the longest first: both workers end together

    def compile_one(job: tuple[tuple[str, ...], str, Path]) -> None:
        defines, source, target = job
        target.parent.mkdir(parents=True, exist_ok=True)
        _run((*argv, *flags, *includes, *defines, "-c", source, "-o", str(target)), directory)

    with ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(compile_one, jobs))
    return plain, traced


def _require_only_own_symbols(objects: list[Path]) -> None:
    foreign = foreign_symbols(objects)
    if foreign:
        message = f"the generated code calls {', '.join(foreign)}"
        raise TinyptqError("foreign-symbol", message, hint="a fault of tinyptq: please report it")


def _link(
    board: Board, compiler: Compiler, flags: Sequence[str], directory: Path, objects: dict[str, Path], image: Path
) -> None:
    command = (*compiler.argv, *_link_flags(compiler), *flags, *compiler.link, *map(str, objects.values()))
    done = _start((*command, *compiler.libraries, "-o", str(image)), directory)
    needs = _overflows(board, done.stderr)
    if needs:
        raise TinyptqError("does-not-fit", "; ".join(needs), where=f"board '{board.name}'")
    _require_success(done)


def _link_flags(compiler: Compiler) -> tuple[str, ...]:
    return tuple(flag for flag in compiler.flags if not flag.startswith(("-W", "-std")))


def _overflows(board: Board, stderr: str) -> list[str]:
    """One sentence per memory region that is too small, with figures."""
    over: dict[str, int] = {}
    for alias, bytes_over in _OVERFLOW.findall(stderr):
        name = board.place.get(alias.lower(), alias)
        over[name] = max(over.get(name, 0), int(bytes_over))
    return [
        f"needs {board.memory[name].size + count} bytes of '{name}', which has {board.memory[name].size}"
        for name, count in sorted(over.items())
        if name in board.memory
    ]


def _run(command: Sequence[str], directory: Path) -> None:
    _require_success(_start(command, directory))


def _start(command: Sequence[str], directory: Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, cwd=directory, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise TinyptqError("compile-failed", f"{command[0]} ran longer than {TIMEOUT_S} s") from None


def _require_success(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if _COMPLAINT.search(line)] or done.stderr.splitlines()
        message = lines[0] if lines else f"exit code {done.returncode}"
        raise TinyptqError("compile-failed", message)
