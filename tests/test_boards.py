"""Every board file loads, links and lies in memory as it says; every complaint names the file and the key."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import intelhex
import pytest
from elftools.elf.elffile import ELFFile

from tests.firmware_fixture import built, require_tools, write_folder
from tinyptq.board import board_names, load_board, parse_board
from tinyptq.errors import EXIT_REFUSED, EXIT_USAGE, TinyptqError
from tinyptq.image import foreign_symbols
from tinyptq.toolchain import build_files, compile_firmware, find_compiler

EMBEDDED = [name for name in board_names() if name != "host"]
M55 = (Path(__file__).parent.parent / "boards" / "cortex-m55.toml").read_text()


def refused(text: str) -> TinyptqError:
    with pytest.raises(TinyptqError) as caught:
        parse_board("mine", text, "mine.toml")
    return caught.value


def test_the_boards_of_the_issue_exist() -> None:
    expected = "cortex-m0 cortex-m3 cortex-m33 cortex-m4 cortex-m55 cortex-m7 host microbit riscv32"
    assert " ".join(board_names()) == expected


def test_m55_says_what_its_file_says() -> None:
    board = load_board("cortex-m55")
    assert board.isa == ("arm_mve", "arm_dsp", "portable")
    assert (board.memory["itcm"].origin, board.memory["dtcm"].size) == (0, 512 * 1024)
    assert board.place["data"] == board.place["stack"] == board.place["arena"] == "dtcm"
    assert board.counter.ticks_per_instruction == pytest.approx(2.56)


def test_unknown_board_suggests_the_close_one() -> None:
    with pytest.raises(TinyptqError) as caught:
        load_board("cortex-m44")
    assert caught.value.exit_code == EXIT_USAGE
    assert str(caught.value) == "unknown board 'cortex-m44' (did you mean 'cortex-m4'?) [unknown-board]"


def test_a_board_of_the_user_is_given_by_path(tmp_path: Path) -> None:
    path = tmp_path / "my-board.toml"
    path.write_text(M55)
    assert load_board(str(path)).name == "my-board"
    with pytest.raises(TinyptqError, match=r"missing\.toml"):
        load_board(str(tmp_path / "missing.toml"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("stack =", "stak =", "mine.toml: stak: unknown key 'stak' (accepted: title, isa,"),
        ("cflags =", "flags =", "mine.toml: toolchain.flags: unknown key 'flags' (accepted: prefix, cflags, zig)"),
        ('title = "', "titel = \"", "unknown key 'titel'"),
        ('"4 KiB"', '"4 KB"', "mine.toml: stack: expected a size such as \"512 KiB\", got '4 KB'"),
        ('"4 KiB"', "-1", "mine.toml: stack: expected a size"),
        ('"arm_mve"', '"arm_mwe"', "mine.toml: isa: unknown flavour 'arm_mwe' (did you mean 'arm_mve'?)"),
        (', "portable"]', "]", "mine.toml: isa: must end in \"portable\""),
        ('arena = "dtcm"', 'arena = "dtcn"', "mine.toml: place.arena: unknown value 'dtcn' (did you mean 'dtcm'?)"),
        ('arena = "dtcm"', "", "mine.toml: place.arena: key 'arena' is missing"),
        ('"{elf}"', '"image"', "mine.toml: run: the command must hold {elf}"),
        ('startup = "cortex_m"', 'startup = "../x"', "mine.toml: firmware.startup: '../x' is no name"),
        ('kind = "mmio"', 'kind = "systick"', "mine.toml: counter.kind: unknown value 'systick'"),
        ("hz = 20_000_000", "hz = 1000", "more than 2 ticks per instruction"),
        ("[memory]", "[memory", "mine.toml: not TOML"),
    ],
)  # fmt: skip
def test_a_bad_board_is_told_with_file_and_key(old: str, new: str, said: str) -> None:
    assert old in M55
    error = refused(M55.replace(old, new, 1))
    assert said in str(error)
    assert error.exit_code == EXIT_USAGE


def test_firmware_that_does_not_exist_is_named() -> None:
    board = parse_board("mine", M55.replace('hal = "semihosting"', 'hal = "telepathy"'), "mine.toml")
    with pytest.raises(TinyptqError, match=r"no firmware 'hal/telepathy.c' .*semihosting"):
        build_files(board, "plus_one")


@pytest.mark.parametrize("name", EMBEDDED)
def test_image_lies_where_the_board_says(name: str) -> None:
    case = built(name)
    with case.images.elf.open("rb") as file:
        elf = ELFFile(file)
        address = {s.name: s["sh_addr"] for s in elf.iter_sections()}
        size = {s.name: s["sh_size"] for s in elf.iter_sections()}
    places = {".vectors": "vectors", ".tq_weights": "weights", ".tq_code": "text", ".tq_arena": "arena"}
    for section, place in places.items():
        region = case.board.memory[case.board.place[place]]
        assert region.origin <= address[section] <= region.origin + region.size - size[section], section
    assert address[".vectors"] == case.board.memory[case.board.place["vectors"]].origin
    assert address[".tq_arena"] % 16 == address[".tq_weights"] % 16 == 0


@pytest.mark.parametrize("name", EMBEDDED)
def test_sizes_come_from_the_image(name: str) -> None:
    sizes, stack = built(name).images.sizes, built(name).board.stack_bytes
    assert stack in (2048, 4096)
    assert (sizes.weights_bytes, sizes.arena_bytes, sizes.stack_bytes) == (16, 40, stack)
    assert 20 < sizes.code_bytes < 1000
    assert sizes.flash_bytes > sizes.code_bytes + 16
    assert sizes.ram_bytes >= 40 + 40 + 40 + stack  # arena, input, output, stack


@pytest.mark.parametrize("name", EMBEDDED)
def test_bin_and_hex_hold_what_the_elf_holds(name: str) -> None:
    images = built(name).images
    assert images.binary is not None
    assert images.hexadecimal is not None
    raw = images.binary.read_bytes()
    loaded = intelhex.IntelHex(str(images.hexadecimal))
    flash = built(name).board.memory[built(name).board.place["vectors"]].origin
    assert loaded.minaddr() == flash
    loaded.padding = 0
    assert loaded.tobinstr() == raw
    assert 0 <= len(raw) - images.sizes.flash_bytes < 64  # alignment between sections


def test_too_large_is_refused_with_figures_and_leaves_nothing(tmp_path: Path) -> None:
    board = load_board("cortex-m55")
    require_tools(board)
    folder = write_folder(board, tmp_path)
    with pytest.raises(TinyptqError) as caught:
        compile_firmware(board, folder, ["-DPLUS_ONE_TABLE=600000"])
    error = caught.value
    assert (error.reference, error.exit_code) == ("does-not-fit", EXIT_REFUSED)
    needed = int(error.message.split()[1])
    assert 600_000 < needed < 604_000  # the table, and 1.6 KB of code
    assert error.message == f"needs {needed} bytes of 'itcm', which has 524288"
    assert not (folder / "bin").exists()


def test_no_compiler_names_the_line_that_installs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(TinyptqError) as caught:
        find_compiler(load_board("riscv32"))
    assert str(caught.value) == (
        "no C compiler for board 'riscv32': riscv64-unknown-elf-gcc is not on PATH "
        "(sudo apt-get install gcc-riscv64-unknown-elf or: pip install 'tinyptq[toolchain]') [no-compiler]"
    )


def test_zig_stands_in_for_a_missing_gcc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    compiler = find_compiler(load_board("cortex-m55"))
    assert compiler.name == "zig cc"
    assert "-mcpu=cortex_m55+mve+mve_fp" in compiler.flags


@pytest.mark.parametrize(
    ("code", "foreign"),
    [
        ("float f(float a, float b); float f(float a, float b) { return a * b; }", ("__aeabi_fmul",)),
        ("long long g(long long a); long long g(long long a) { return a * a; }", ()),
        ("extern int puts(const char *); void h(void); void h(void) { puts(\"x\"); }", ("puts",)),
        ("int k(int a, int b); int k(int a, int b) { return a / b; }", ()),
    ],
)
def test_foreign_symbols_are_floats_and_libraries(tmp_path: Path, code: str, foreign: tuple[str, ...]) -> None:
    board = load_board("cortex-m0")
    require_tools(board)
    compiler = find_compiler(board)
    (tmp_path / "x.c").write_text(code)
    flags = [flag for flag in compiler.flags if not flag.startswith("-W")]
    subprocess.run([*compiler.argv, *flags, "-c", "x.c", "-o", "x.o"], cwd=tmp_path, check=True)
    assert foreign_symbols([tmp_path / "x.o"]) == foreign


@pytest.mark.parametrize("name", ["cortex-m55", "host"])
def test_makefile_builds_the_same_firmware_without_tinyptq(name: str, tmp_path: Path) -> None:
    case = built(name)
    if case.images.compiler == "zig cc" or shutil.which("make") is None:
        pytest.skip("needs make and the board's gcc")
    folder = write_folder(case.board, tmp_path)
    subprocess.run(["make", "-s", "-j2"], cwd=folder, check=True, capture_output=True)
    if case.images.binary is not None:
        assert (folder / "bin/plus_one.bin").read_bytes() == case.images.binary.read_bytes()
    assert (folder / "bin/plus_one_trace.elf").exists()


@pytest.mark.parametrize("name", ["cortex-m4", "riscv32", "host"])
def test_cmake_builds_library_and_firmware(name: str, tmp_path: Path) -> None:
    case = built(name)
    if case.images.compiler == "zig cc" or shutil.which("cmake") is None:
        pytest.skip("needs cmake and the board's gcc")
    folder = write_folder(case.board, tmp_path)
    for command in (["cmake", "-S", ".", "-B", "out"], ["cmake", "--build", "out"]):
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    assert (folder / "out/libplus_one.a").exists()
    assert (folder / "out/plus_one_firmware").exists()


def test_images_are_the_same_wherever_they_are_built(tmp_path: Path) -> None:
    case = built("cortex-m4")
    again = compile_firmware(case.board, write_folder(case.board, tmp_path / "elsewhere"))
    assert again.elf.read_bytes() == case.images.elf.read_bytes()
    assert str(tmp_path).encode() not in again.trace_elf.read_bytes()
