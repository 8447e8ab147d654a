"""A linked image: figures from its ELF sections, its bytes as .bin and .hex, foreign symbols of an object."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import intelhex
from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

WEIGHT_SECTION = ".rodata.tq_weights"
ARENA_SECTION = ".bss.tq_arena"
FILL = 0  # as the linker fills gaps within a segment, and objcopy those between them

# memcpy and memset are the C library; the rest are the compiler's own integers: division, and 64-bit products and
# shifts of cores that lack them. No name of a floating-point routine matches.
ALLOWED = re.compile(
    r"(memcpy|memset|memmove|__aeabi_mem(cpy|set|move|clr)[48]?|__aeabi_(u?idiv(mod)?|lmul|llsl|llsr|lasr)"
    r"|__(u?div|u?mod|mul)[sd]i3|__(ash|lsh)[lr]+di3|__gnu_thumb1_case_\w+|tq_trace_(begin|end))\Z"
)


@dataclass(frozen=True)
class Sizes:
    """Bytes. code: the model's functions. weights: its constants. flash: all that is stored. ram: data, arena, stack.

    arena: the model's. stack: reserved (None where the system gives it). On the host flash and ram are the model's.
    """

    code_bytes: int
    weights_bytes: int
    flash_bytes: int
    ram_bytes: int
    arena_bytes: int
    stack_bytes: int | None


def image_sizes(elf: Path) -> Sizes:
    """Of an image linked by firmware/linker/sections.ld.j2."""
    with elf.open("rb") as file:
        sections = [s for s in ELFFile(file).iter_sections() if s["sh_flags"] & SH_FLAGS.SHF_ALLOC]
        size = {s.name: int(s["sh_size"]) for s in sections}
        stored = sum(int(s["sh_size"]) for s in sections if s["sh_type"] != "SHT_NOBITS")
        written = sum(size.get(name, 0) for name in (".tq_stack", ".data", ".bss", ".tq_arena"))
    return Sizes(
        code_bytes=size.get(".tq_code", 0),
        weights_bytes=size.get(".tq_weights", 0),
        flash_bytes=stored,
        ram_bytes=written,
        arena_bytes=size.get(".tq_arena", 0),
        stack_bytes=size.get(".tq_stack", 0),
    )


def object_sizes(objects: Iterable[Path]) -> Sizes:
    """Of the model's object files, where the image's layout is the system's; zeros where they are no ELF files."""
    weights = arena = code = 0
    for path in objects:
        for name, size in _sections(path):
            if name.startswith(WEIGHT_SECTION):
                weights += size
            elif name.startswith(ARENA_SECTION):
                arena += size
            elif name.startswith((".text", ".rodata")):
                code += size
    return Sizes(code, weights, code + weights, arena, arena, None)


def _sections(path: Path) -> list[tuple[str, int]]:
    try:
        with path.open("rb") as file:
            return [(section.name, int(section["sh_size"])) for section in ELFFile(file).iter_sections()]
    except ELFError:
        return []


def symbol_bytes(elf: Path, names: Iterable[str]) -> dict[str, bytes]:
    """What an image stores under these names; names it does not know are left out, all of them where it is stripped."""
    wanted, found = set(names), {}
    with elf.open("rb") as file:
        try:
            image = ELFFile(file)
            table = image.get_section_by_name(".symtab")
            segments = [s for s in image.iter_segments() if s["p_type"] == "PT_LOAD"]
        except ELFError:
            return {}
        for symbol in table.iter_symbols() if table else ():
            address, size = symbol["st_value"], symbol["st_size"]
            for segment in segments if symbol.name in wanted else ():
                offset = address - segment["p_vaddr"]
                if offset >= 0 and offset + size <= segment["p_filesz"]:
                    file.seek(segment["p_offset"] + offset)
                    found[symbol.name] = file.read(size)
    return found


def foreign_symbols(objects: Iterable[Path]) -> tuple[str, ...]:
    """What the model's objects need from outside beyond memcpy, memset and the compiler's integer helpers, sorted."""
    defined: set[str] = set()
    needed: set[str] = set()
    for path in objects:
        with path.open("rb") as file:
            try:
                table = ELFFile(file).get_section_by_name(".symtab")
            except ELFError:
                continue
            for symbol in table.iter_symbols() if table else ():
                outside = symbol["st_shndx"] == "SHN_UNDEF"
                (needed if outside else defined).add(symbol.name)
    return tuple(sorted(name for name in needed - defined if name and not ALLOWED.match(name)))


def write_bin_and_hex(elf: Path, binary: Path, hexadecimal: Path) -> None:
    """The image as a programmer takes it: raw from its lowest address, and Intel HEX with addresses."""
    image = intelhex.IntelHex()
    image.padding = FILL
    entry = 0
    with elf.open("rb") as file:
        parsed = ELFFile(file)
        entry = int(parsed["e_entry"])
        for segment in parsed.iter_segments("PT_LOAD"):
            if segment["p_filesz"]:
                image.frombytes(segment.data(), offset=int(segment["p_paddr"]))
    image.start_addr = {"EIP": entry}
    binary.write_bytes(image.tobinstr())
    image.write_hex_file(str(hexadecimal))
