"""Images really run: every board in its emulator (or as a process), every byte, exact instruction counts."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from tests.firmware_fixture import BYTES, LAYERS, built, samples, write_folder
from tinyptq.board import board_names, load_board
from tinyptq.errors import TinyptqError
from tinyptq.run import MAGIC, command_line, profile_firmware, run_firmware
from tinyptq.toolchain import compile_firmware

COUNTED = [name for name in board_names() if load_board(name).counter.kind != "none"]


@pytest.mark.parametrize("name", board_names())
def test_outputs_and_every_layer_arrive(name: str) -> None:
    case, inputs = built(name), samples(5)
    result = run_firmware(case.board, case.images.trace_elf, inputs, BYTES, LAYERS, [(0, BYTES), (1, BYTES)])
    np.testing.assert_array_equal(result.layers[0], inputs + np.int8(1))  # -128..127 wraps
    np.testing.assert_array_equal(result.layers[1], inputs + np.int8(2))
    np.testing.assert_array_equal(result.outputs, inputs + np.int8(2))


@pytest.mark.parametrize("name", board_names())
def test_shipped_image_computes_the_same_and_reports_its_stack(name: str) -> None:
    case, inputs = built(name), samples(3)
    result = run_firmware(case.board, case.images.elf, inputs, BYTES, LAYERS)
    np.testing.assert_array_equal(result.outputs, inputs + np.int8(2))
    assert result.layers == ()
    if name == "host":
        assert result.stack_bytes is None
    else:
        assert result.stack_bytes is not None
        assert result.stack_bytes < 200


@pytest.mark.parametrize("name", COUNTED)
def test_a_longer_loop_counts_exactly_its_instructions_more(name: str, tmp_path: Path) -> None:
    case = built(name)
    before = profile_firmware(case.board, case.images.elf, case.images.trace_elf, samples(2), BYTES, LAYERS)
    folder = write_folder(case.board, tmp_path)
    source = folder / "src/plus_one.c"
    source.write_text(source.read_text().replace("5000U", "17001U"))
    images = compile_firmware(case.board, folder)
    after = profile_firmware(case.board, images.elf, images.trace_elf, samples(2), BYTES, LAYERS)
    # two instructions a turn; a core without a wide immediate may take one more to load the number
    assert after.layers[1] - before.layers[1] in (2 * 12001, 2 * 12001 + 1)
    assert after.total - before.total in (2 * 12001, 2 * 12001 + 1)
    assert after.layers[0] == before.layers[0]


@pytest.mark.parametrize("name", COUNTED)
def test_total_is_what_the_emulator_itself_logs(name: str, tmp_path: Path) -> None:
    """One log line per executed instruction; those inside the model's code are counted. The call adds at most 6."""
    case = built(name)
    with case.images.elf.open("rb") as file:
        section = ELFFile(file).get_section_by_name(".tq_code")
        code = range(section["sh_addr"], section["sh_addr"] + section["sh_size"])
    (tmp_path / "inputs.bin").write_bytes(struct.pack("<7I", MAGIC, 0, 1, BYTES, BYTES, LAYERS, 0) + bytes(BYTES))
    program, *rest = command_line(case.board, case.images.elf)
    usage = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    one_by_one = ["-singlestep"] if "-singlestep" in usage else ["-accel", "tcg,one-insn-per-tb=on"]
    log = ["-d", "exec,nochain", "-D", "log"]
    subprocess.run([program, *one_by_one, *log, *rest], cwd=tmp_path, check=True, timeout=60)
    executed = re.findall(r"^Trace \d+: 0x[0-9a-f]+ \[[0-9a-f]+/([0-9a-f]+)/", (tmp_path / "log").read_text(), re.M)
    inside = sum(int(pc, 16) in code for pc in executed)
    counts = profile_firmware(case.board, case.images.elf, case.images.trace_elf, samples(2), BYTES, LAYERS)
    assert inside > 10_000
    assert 0 <= counts.total - inside <= 6
    assert abs(counts.total - sum(counts.layers)) < 40  # the layers are measured in the image that has hooks


def test_a_counter_that_does_not_count_instructions_is_refused() -> None:
    case = built("cortex-m4")
    board = replace(case.board, counter=replace(case.board.counter, hz=30_000_000))
    with pytest.raises(TinyptqError, match=r"200000 instructions was counted as 166667.*inexact-counter"):
        profile_firmware(board, case.images.elf, case.images.trace_elf, samples(2), BYTES, LAYERS)


def test_host_has_no_counter_and_says_so() -> None:
    case = built("host")
    with pytest.raises(TinyptqError, match=r"host has no exact instruction counter \[no-counter\]"):
        profile_firmware(case.board, case.images.elf, case.images.trace_elf, samples(2), BYTES, LAYERS)


def test_a_job_for_another_model_is_refused_by_the_firmware() -> None:
    case = built("cortex-m4")
    with pytest.raises(TinyptqError, match="the job is not for this image"):
        run_firmware(case.board, case.images.elf, samples(2), BYTES, LAYERS + 1)


def test_layers_need_an_image_with_hooks() -> None:
    case = built("cortex-m4")
    with pytest.raises(TinyptqError, match="without trace hooks"):
        run_firmware(case.board, case.images.elf, samples(2), BYTES, LAYERS, [(0, BYTES), (1, BYTES)])


def test_a_layer_of_another_size_is_noticed() -> None:
    case = built("cortex-m4")
    with pytest.raises(TinyptqError, match=r"layer 0 is missing, out of order or not 41 bytes"):
        run_firmware(case.board, case.images.trace_elf, samples(2), BYTES, LAYERS, [(0, 41), (1, 39)])


@pytest.mark.parametrize(
    ("name", "fault", "statement"),
    [
        ("cortex-m0", "fault 3", '__asm__ volatile("udf #0");'),
        ("cortex-m55", "fault 3", '__asm__ volatile("udf #0");'),
        ("riscv32", "fault 2", '__asm__ volatile(".word 0");'),  # illegal instruction
    ],
)
def test_a_fault_ends_the_run_with_its_number(name: str, fault: str, statement: str, tmp_path: Path) -> None:
    case = built(name)
    folder = write_folder(case.board, tmp_path)
    source = folder / "src/plus_one.c"
    source.write_text(source.read_text().replace("    spin();", f"    {statement}"))
    source.write_text(source.read_text().replace("static void spin", "void spin(void);\nvoid spin"))
    images = compile_firmware(case.board, folder)
    with pytest.raises(TinyptqError, match=rf"the firmware stopped with {fault}"):
        run_firmware(case.board, images.elf, samples(2), BYTES, LAYERS)


@pytest.mark.parametrize("name", ["cortex-m3", "cortex-m55", "riscv32"])
def test_a_stack_overflow_is_told(name: str, tmp_path: Path) -> None:
    case = built(name)
    folder = write_folder(case.board, tmp_path)
    source = folder / "src/plus_one.c"
    deep = "volatile uint8_t deep[5000]; for (int i = 0; i < 5000; ++i) { deep[i] = 1; } (void)deep[0];"
    source.write_text(source.read_text().replace("uint32_t turns = 5000U;", f"{deep} uint32_t turns = 5000U;"))
    images = compile_firmware(case.board, folder)
    with pytest.raises(TinyptqError, match="stack overflow"):
        run_firmware(case.board, images.elf, samples(2), BYTES, LAYERS)


@pytest.mark.parametrize("name", ["cortex-m0", "cortex-m55", "riscv32"])
def test_without_a_job_it_runs_once_and_ends_well(name: str, tmp_path: Path) -> None:
    case = built(name)
    command = command_line(case.board, case.images.elf)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True)
    assert "plus_one: ran once on zeros" in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["cortex-m0", "cortex-m55", "riscv32"])
def test_without_a_debugger_it_neither_faults_nor_locks_up(name: str, tmp_path: Path) -> None:
    case = built(name)
    command = command_line(case.board, case.images.elf)
    at = command.index("-semihosting-config")
    del command[at : at + 2]
    with pytest.raises(subprocess.TimeoutExpired):  # it waits for interrupts at the end, as firmware does
        subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=1, check=False)


def test_missing_emulator_names_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(TinyptqError) as caught:
        command_line(load_board("riscv32"), Path("x.elf"))
    assert caught.value.reference == "no-emulator"
    assert "sudo apt-get install qemu-system-misc" in str(caught.value)


def test_a_board_without_a_runner_says_so() -> None:
    with pytest.raises(TinyptqError, match=r"do not run on this machine.*no-runner"):
        command_line(replace(load_board("cortex-m4"), run=()), Path("x.elf"))


def test_an_image_that_hangs_is_ended() -> None:
    case = built("host")
    board = replace(case.board, run=("/bin/sh", "-c", "while :; do :; done # {elf}"))
    with pytest.raises(TinyptqError, match=r"did not end within 0.2 s"):
        run_firmware(board, case.images.elf, samples(2), BYTES, LAYERS, timeout_s=0.2)
