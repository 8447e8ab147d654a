"""MVE and DSP kernels of the average over a whole image: every byte, none outside, few instructions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests import dsp_checks, mve_checks
from tests.arm_layers import side_by_side
from tests.programs import activation, single_layer_program
from tinyptq.graph import Shape
from tinyptq.kernels import arm_pool
from tinyptq.ops.activation import NONE, RELU6, Clamp
from tinyptq.ops.average_pool_2d import AveragePool2D
from tinyptq.ops.window import Window
from tinyptq.program import Program

CHECKS = {"arm_mve": mve_checks, "arm_dsp": dsp_checks}


def pool(shape: Shape, clamp: Clamp = NONE, zero_point: int = -3) -> Program:
    window = Window((shape[1], shape[2]), (shape[1], shape[2]))
    return single_layer_program("average_pool_2d", AveragePool2D(window, clamp), [activation(shape, 0.02, zero_point)])


def table() -> Program:
    return side_by_side(
        {
            "kws": pool((1, 25, 5, 64)),
            "one": pool((1, 1, 1, 8)),
            "two": pool((1, 2, 1, 16)),
            "prime": pool((1, 1, 11, 9)),
            "relu6": pool((1, 3, 3, 21), RELU6, -70),
            "far": pool((1, 4, 3, 260)),
            "most": pool((1, 17, 15, 12)),
        }
    )


@pytest.mark.parametrize("isa", CHECKS)
def test_every_byte_equals_numpy(isa: str, tmp_path: Path) -> None:
    CHECKS[isa].check_every_byte(table(), "whole", tmp_path, kernel=f"{isa}_whole")


@pytest.mark.parametrize("isa", CHECKS)
def test_every_byte_equals_numpy_when_clang_compiles(isa: str, tmp_path: Path) -> None:
    pytest.importorskip("ziglang", reason="zig cc, a clang, comes with tinyptq[toolchain]")
    CHECKS[isa].check_every_byte(table(), "whole", tmp_path, prefix="absent-", kernel=f"{isa}_whole")


@pytest.mark.parametrize("isa", CHECKS)
def test_nothing_outside_the_tensors_is_touched(isa: str, tmp_path: Path) -> None:
    CHECKS[isa].check_nothing_outside(table(), tmp_path, kernel=f"{isa}_whole")


@pytest.mark.parametrize("level", ["-O0", "-Os", "-O3"])
@pytest.mark.parametrize("compiler", ["arm-none-eabi-gcc", "clang"])
@pytest.mark.parametrize("isa", CHECKS)
def test_compiles_without_a_warning_at_every_level(isa: str, compiler: str, level: str, tmp_path: Path) -> None:
    CHECKS[isa].check_no_warning(table(), compiler, level, tmp_path)


@pytest.mark.parametrize(("isa", "limit"), [("arm_mve", 2_500), ("arm_dsp", 7_300)])
def test_instructions(isa: str, limit: int, tmp_path: Path) -> None:
    CHECKS[isa].check_instructions(side_by_side({"kws": pool((1, 25, 5, 64))}), limit, tmp_path)


@pytest.mark.parametrize("pixels", [1, 2, 3, 9, 64, 125, 255])
def test_the_multiplication_is_the_division(pixels: int) -> None:
    """For every sum of so many bytes, in plain integers; TFLite truncates after adding half the count."""
    found = arm_pool.quotient(pixels, -128, 127)
    assert found is not None
    factor, constant, shift = found
    for total in range(-128 * pixels, 127 * pixels + 1):
        nearest = (abs(total) + pixels // 2) // pixels
        assert (total * factor + constant) >> shift == (nearest if total >= 0 else -nearest)


def test_preconditions_are_proved_or_the_kernel_steps_back() -> None:
    params = pool((1, 8, 8, 64)).layers[0].params
    for isa in CHECKS:
        assert arm_pool.supports(params, isa)
        for changed in (
            replace(params, element="int16"),
            replace(params, window=Window((4, 8), (4, 8))),
            replace(params, input_shape=(1, 16, 16, 64), window=Window((16, 16), (16, 16))),
            replace(params, input_shape=(1, 8, 8, 3)),
        ):
            assert not arm_pool.supports(changed, isa)
    assert np.int16(128 * arm_pool.MAX_PIXELS) == 128 * arm_pool.MAX_PIXELS
