"""MVE and DSP kernels of MAX_POOL_2D: every byte, whole or in blocks of rows, none outside, few instructions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests import dsp_checks, mve_checks
from tests.arm_layers import side_by_side
from tests.programs import activation, single_layer_program
from tinyptq.graph import Shape
from tinyptq.kernels import arm_max_pool
from tinyptq.ops.activation import NONE, RELU, RELU6, Clamp
from tinyptq.ops.max_pool_2d import MaxPool2D
from tinyptq.ops.window import make_window
from tinyptq.program import Program

CHECKS = {"arm_mve": mve_checks, "arm_dsp": dsp_checks}


def pool(
    shape: Shape,
    kernel: tuple[int, int] = (2, 2),
    stride: tuple[int, int] = (2, 2),
    padding: str = "valid",
    clamp: Clamp = NONE,
    zero_point: int = -3,
) -> Program:
    window = make_window(padding, (shape[1], shape[2]), kernel, stride)
    return single_layer_program("max_pool_2d", MaxPool2D(window, clamp), [activation(shape, 0.02, zero_point)])


def table() -> Program:
    return side_by_side(
        {
            "vector": pool((1, 8, 8, 16)),
            "odd": pool((1, 7, 9, 21)),
            "four": pool((1, 6, 6, 4)),
            "five": pool((1, 6, 6, 5), (3, 3), (1, 1)),
            "same": pool((1, 9, 7, 18), (3, 3), (2, 2), "same"),
            "both": pool((1, 6, 6, 33), (3, 3), (1, 1), "same", RELU6, -70),
            "flat": pool((1, 1, 11, 7), (1, 3), (1, 2), "same"),
            "tall": pool((1, 12, 2, 12), (4, 1), (3, 1), "valid", RELU, 3),
            "one": pool((1, 5, 5, 8), (1, 1), (2, 2)),
            "small": pool((1, 2, 2, 9), (3, 3), (1, 1), "same"),
            "far": pool((1, 4, 4, 260), (3, 2), (1, 1)),
            "whole": pool((1, 5, 5, 64), (5, 5), (5, 5)),
            "steps": pool((1, 9, 9, 16), (2, 2), (4, 3)),
        }
    )


@pytest.mark.parametrize("way", ["whole", "rows"])
@pytest.mark.parametrize("isa", CHECKS)
def test_every_byte_equals_numpy(isa: str, way: str, tmp_path: Path) -> None:
    CHECKS[isa].check_every_byte(table(), way, tmp_path, kernel=isa)


@pytest.mark.parametrize("channels", [2, 3])
def test_few_channels_are_a_part_of_a_vector(channels: int, tmp_path: Path) -> None:
    mve_checks.check_every_byte(side_by_side({"few": pool((1, 6, 8, channels))}), "rows", tmp_path, kernel="arm_mve")


@pytest.mark.parametrize("isa", CHECKS)
def test_every_byte_equals_numpy_when_clang_compiles(isa: str, tmp_path: Path) -> None:
    pytest.importorskip("ziglang", reason="zig cc, a clang, comes with tinyptq[toolchain]")
    CHECKS[isa].check_every_byte(table(), "whole", tmp_path, prefix="absent-", kernel=isa)


@pytest.mark.parametrize("isa", CHECKS)
def test_nothing_outside_the_tensors_is_touched(isa: str, tmp_path: Path) -> None:
    CHECKS[isa].check_nothing_outside(table(), tmp_path, kernel=isa)


@pytest.mark.parametrize("level", ["-O0", "-Os", "-O3"])
@pytest.mark.parametrize("compiler", ["arm-none-eabi-gcc", "clang"])
@pytest.mark.parametrize("isa", CHECKS)
def test_compiles_without_a_warning_at_every_level(isa: str, compiler: str, level: str, tmp_path: Path) -> None:
    CHECKS[isa].check_no_warning(table(), compiler, level, tmp_path)


@pytest.mark.parametrize(
    ("isa", "program", "limit"),
    [
        ("arm_mve", pool((1, 32, 32, 16)), 4_700),
        ("arm_mve", pool((1, 16, 16, 24), (3, 3), (2, 2), "same"), 3_400),
        ("arm_mve", pool((1, 8, 8, 64), clamp=RELU6, zero_point=-70), 1_020),
        ("arm_dsp", pool((1, 32, 32, 16)), 15_900),
        ("arm_dsp", pool((1, 16, 16, 24), (3, 3), (2, 2), "same"), 11_200),
        ("arm_dsp", pool((1, 8, 8, 64), clamp=RELU6, zero_point=-70), 4_300),
    ],
)
def test_instructions(isa: str, program: Program, limit: int, tmp_path: Path) -> None:
    CHECKS[isa].check_instructions(side_by_side({"pool": program}), limit, tmp_path)


def test_the_kernel_steps_back_from_what_it_cannot_do() -> None:
    params = pool((1, 8, 8, 64)).layers[0].params
    for isa in CHECKS:
        assert arm_max_pool.supports(params, isa)
        assert not arm_max_pool.supports(replace(params, element="int16"), isa)
        assert not arm_max_pool.supports(pool((1, 8, 8, 64), (6, 5)).layers[0].params, isa)
        assert not arm_max_pool.supports(pool((1, 3, 3, 2100)).layers[0].params, isa)
        assert not arm_max_pool.supports(pool((1, 9, 9, 8), (5, 5), (1, 1), "same").layers[0].params, isa)
    assert not arm_max_pool.supports(pool((1, 8, 8, 3)).layers[0].params, "arm_dsp")
    assert not arm_max_pool.supports(pool((1, 8, 8, 1)).layers[0].params, "arm_mve")
