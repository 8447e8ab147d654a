"""DSP kernel of depthwise 3x3 convolution in planes: every byte, none outside, few instructions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.arm_layers import side_by_side
from tests.dsp_checks import check_every_byte, check_instructions, check_no_warning, check_nothing_outside
from tests.test_kernels_dsp_depthwise import KWS, STRIDED, VWW, Case, case, program_of
from tinyptq.kernels import arm_dsp_plane, choose
from tinyptq.ops.activation import RELU, RELU6
from tinyptq.ops.window import Window
from tinyptq.program import Program

CASES = (
    case("plain", (1, 6, 4, 16), (3, 3), "whole groups, even rows and columns"),
    case("relu", (1, 5, 7, 16), (3, 3), "odd rows and columns", clamp=RELU, zero_point=-128),
    case("relu6", (1, 4, 5, 8), (3, 3), "clamps spoil the flags; odd columns", clamp=RELU6, zero_point=-100),
    case("overlap", (1, 4, 4, 13), (3, 3), "the last channels overlap"),
    case("few", (1, 3, 3, 4), (3, 3), "three rows: the last with the one before"),
    case("two", (1, 2, 2, 5), (3, 3), "two by two"),
    case("far", (1, 4, 5, 130), (3, 3), "steps beyond the increment of a load"),
    case("bands", (1, 40, 24, 4), (3, 3), "several bands"),
    case("bands-odd", (1, 41, 23, 4), (3, 3), "several bands, then one row"),
    case("strided", (1, 9, 7, 12), (3, 3), "stride 2", stride=2),
    case("strided-even", (1, 8, 10, 8), (3, 3), "stride 2, even", stride=2, clamp=RELU6, zero_point=-90),
    case("strided-bands", (1, 60, 21, 4), (3, 3), "stride 2, several bands", stride=2),
    Case("valid", (1, 6, 7, 8), Window((3, 3)), "no padding"),
    Case("valid-strided", (1, 9, 9, 8), Window((3, 3), (2, 2)), "no padding, stride 2"),
    Case("explicit", (1, 7, 8, 8), Window((3, 3), (1, 1), (1, 1), 2, 0, 1, 3), "padding of its own"),
)


def table() -> Program:
    return side_by_side({case.id: program_of(case) for case in CASES})


@pytest.mark.parametrize("way", ["whole", "blocks"])
@pytest.mark.parametrize("name", ["cortex-m4", "cortex-m7", "cortex-m33"])
def test_every_byte_equals_numpy(name: str, way: str, tmp_path: Path) -> None:
    check_every_byte(table(), way, tmp_path, name, kernel="arm_dsp_plane")


def test_every_byte_equals_numpy_when_clang_compiles(tmp_path: Path) -> None:
    pytest.importorskip("ziglang", reason="zig cc, a clang, comes with tinyptq[toolchain]")
    check_every_byte(table(), "whole", tmp_path, prefix="absent-", kernel="arm_dsp_plane")


def test_nothing_outside_the_tensors_is_touched(tmp_path: Path) -> None:
    check_nothing_outside(table(), tmp_path, kernel="arm_dsp_plane")


@pytest.mark.parametrize(("case", "limit"), [(KWS, 174_000), (VWW, 311_000), (STRIDED, 114_000)])
def test_instructions(case: Case, limit: int, tmp_path: Path) -> None:
    """CMSIS-NN needs 599,667, 1,651,164 and 368,184 for layers of these shapes (gcc 12.2 -O3)."""
    check_instructions(side_by_side({case.id: program_of(case)}), limit, tmp_path)


@pytest.mark.parametrize("level", ["-O0", "-Os", "-O3"])
@pytest.mark.parametrize("compiler", ["arm-none-eabi-gcc", "clang"])
def test_compiles_without_a_warning_at_every_level(compiler: str, level: str, tmp_path: Path) -> None:
    check_no_warning(table(), compiler, level, tmp_path)


def test_weights_on_paper() -> None:
    """Doubled: a row (1, 2, 3) is (2, 4) and (4, 6) at stride 1; at stride 2 the third ones share words."""
    params = program_of(KWS).layers[0].params
    filters = np.tile(np.arange(1, 10, dtype=np.int8).reshape(1, 3, 3, 1), (1, 1, 1, 64))
    stream = arm_dsp_plane.pack(replace(params, weights=filters))["stream"].view(np.uint32)
    assert [hex(word) for word in stream[:4]] == ["0x40002", "0x60004", "0xa0008", "0xc000a"]
    strided = replace(params, weights=filters, window=replace(params.window, stride=(2, 2)))
    stream = arm_dsp_plane.pack(strided)["stream"].view(np.uint32)
    assert [hex(word) for word in stream[:5]] == ["0x40002", "0xa0008", "0x10000e", "0xc0006", "0x12"]


def test_preconditions_are_proved_or_the_kernel_steps_back() -> None:
    params = program_of(KWS).layers[0].params
    assert arm_dsp_plane.supports(params)
    for changed in (
        replace(params, shift=np.zeros(64, np.int8)),
        replace(params, window=replace(params.window, dilation=(2, 2))),
        replace(params, window=replace(params.window, stride=(2, 1))),
        replace(params, element="int16"),
        program_of(case("wide", (1, 4, 400, 4), (3, 3), "")).layers[0].params,
    ):
        assert not arm_dsp_plane.supports(changed)
    assert choose(program_of(KWS).layers[0], ["portable"]).isa == "portable"
