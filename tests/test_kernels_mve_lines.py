"""MVE kernel of convolution straight from the lines: every byte, none outside, few instructions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.arm_layers import side_by_side
from tests.mve_checks import check_every_byte, check_instructions, check_no_warning, check_nothing_outside
from tests.test_kernels_mve_conv import IC, Case, case, program_of, same
from tinyptq.kernels import arm_mve_lines, choose
from tinyptq.ops.activation import RELU, RELU6
from tinyptq.ops.window import Window
from tinyptq.program import Program

KERNEL = "arm_mve_lines"
CASES = (
    case("plain", (1, 5, 6, 16), 8, (3, 3), "one vector of channels"),
    case("relu", (1, 5, 6, 16), 8, (3, 3), "negative ties may round either way", clamp=RELU, zero_point=-128),
    case("relu6", (1, 4, 5, 16), 5, (3, 3), "odd row and channels, both clamps", clamp=RELU6, zero_point=-100),
    case("deep", (1, 5, 6, 32), 8, (3, 3), "two vectors of channels"),
    case("deepest", (1, 4, 4, 80), 12, (3, 3), "five vectors of channels"),
    case("strided", (1, 9, 8, 48), 8, (3, 3), "stride 2", stride=2),
    case("strided-odd", (1, 9, 6, 16), 6, (3, 3), "stride 2, odd row", stride=2),
    case("pair", (1, 3, 2, 16), 4, (3, 3), "exactly one tile"),
    case("three", (1, 3, 3, 16), 7, (2, 2), "one tile and a pixel"),
    case("flat", (1, 4, 6, 16), 4, (1, 3), "one line, padded"),
    case("tall", (1, 5, 4, 16), 4, (3, 1), "one tap per line, padded above and below"),
    case("far", (1, 4, 4, 16), 130, (3, 3), "steps beyond the store's increment"),
    case("farther", (1, 3, 4, 16), 260, (3, 3), "and beyond twice that"),
    case("shortcut", (1, 8, 8, 16), 12, (1, 1), "a 1x1 kernel with stride 2", stride=2),
    case("shortcut-deep", (1, 8, 8, 32), 12, (1, 1), "the same, two vectors of channels", stride=2),
    Case("valid", (1, 6, 7, 16), 8, Window((3, 3)), "no padding: lines are rows of the input, any alignment"),
    Case("dilated", (1, 7, 8, 16), 4, same((1, 7, 8, 16), (3, 3), dilation=2), "dilation 2"),
    Case("explicit", (1, 7, 8, 16), 9, Window((3, 3), (2, 1), (1, 2), 2, 0, 1, 3), "padding of its own"),
)
IC_FIRST_BLOCK = case("block", (1, 32, 32, 16), 16, (3, 3), "the image classifier's", clamp=RELU, zero_point=-128)


def table() -> Program:
    return side_by_side({case.id: program_of(case) for case in CASES})


@pytest.mark.parametrize("way", ["whole", "blocks"])
def test_every_byte_equals_numpy(way: str, tmp_path: Path) -> None:
    check_every_byte(table(), way, tmp_path, kernel=KERNEL)


def test_every_byte_equals_numpy_when_clang_compiles(tmp_path: Path) -> None:
    pytest.importorskip("ziglang", reason="zig cc, a clang, comes with tinyptq[toolchain]")
    check_every_byte(table(), "whole", tmp_path, prefix="absent-", kernel=KERNEL)


def test_nothing_outside_the_tensors_is_touched(tmp_path: Path) -> None:
    check_nothing_outside(table(), tmp_path, kernel=KERNEL)


@pytest.mark.parametrize("level", ["-O0", "-Os", "-O3"])
@pytest.mark.parametrize("compiler", ["arm-none-eabi-gcc", "clang"])
def test_compiles_without_a_warning_at_every_level(compiler: str, level: str, tmp_path: Path) -> None:
    check_no_warning(table(), compiler, level, tmp_path)


@pytest.mark.parametrize(("case", "limit"), [(IC, 281_000), (IC_FIRST_BLOCK, 299_000)])
def test_instructions(case: Case, limit: int, tmp_path: Path) -> None:
    """CMSIS-NN needs 597,016 and 914,916 for layers of these shapes (gcc 12.2 -O3)."""
    check_instructions(side_by_side({case.id: program_of(case)}), limit, tmp_path)


def test_neighbouring_windows_share_what_they_see() -> None:
    """Two pixels, three taps, stride 1: four columns are loaded, not six; twelve vectors of weights, 24 multiplies."""
    params = program_of(IC_FIRST_BLOCK).layers[0].params
    text = arm_mve_lines.unit(params, "r1", "vmladav.s8")
    assert sum("[r1," in line or "[r1]" in line for line in text) == 4
    assert len(text) == 4 + 12 + 24


def test_preconditions_are_proved_or_the_kernel_steps_back() -> None:
    params = program_of(CASES[0]).layers[0].params
    unaligned = Case("unaligned", (1, 5, 6, 64), 8, Window((3, 3)), "beyond the reach of byte loads")
    assert arm_mve_lines.supports(params)
    for changed in (
        replace(params, shift=np.zeros(8, np.int8)),
        replace(params, element="int16"),
        program_of(case("few", (1, 5, 6, 8), 8, (3, 3), "")).layers[0].params,
        program_of(case("tall", (1, 5, 6, 16), 8, (4, 3), "")).layers[0].params,
        program_of(unaligned).layers[0].params,
    ):
        assert not arm_mve_lines.supports(changed)
    assert choose(program_of(CASES[0]).layers[0], ["portable"]).isa == "portable"
