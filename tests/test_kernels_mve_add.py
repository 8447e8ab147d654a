"""MVE kernel of ADD: every byte, few instructions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.arm_layers import side_by_side
from tests.mve_checks import check_every_byte, check_instructions, check_no_warning
from tests.programs import activation, qparams, single_layer_program
from tinyptq.graph import Shape
from tinyptq.kernels import arm_mve_add
from tinyptq.ops.activation import NONE, RELU, RELU6, Clamp
from tinyptq.ops.add import Add
from tinyptq.program import Program


def add(
    shape: Shape, scales: tuple[float, float, float], clamp: Clamp = NONE, zero_points: tuple[int, ...] = (-3, 9, 5)
) -> Program:
    first, second = activation(shape, scales[0], zero_points[0]), activation(shape, scales[1], zero_points[1])
    return single_layer_program("add", Add(clamp), [first, second], qparams(scales[2], zero_points[2]))


def table() -> Program:
    return side_by_side(
        {
            "plain": add((1, 8, 8, 16), (0.02, 0.03, 0.03)),
            "first": add((1, 8, 8, 16), (0.05, 0.011, 0.04), RELU, (-128, 4, -128)),
            "equal": add((1, 7, 8, 16), (0.02, 0.02, 0.025), RELU6, (127, -128, -60)),
            "apart": add((1, 8, 16, 16), (0.00013, 0.4, 0.3)),
            "fine": add((1, 8, 8, 16), (0.02, 0.03, 0.009)),
            "rest": add((1, 67), (0.02, 0.03, 0.03)),
            "four": add((1, 4), (0.02, 0.03, 0.01)),
            "seven": add((1, 7), (0.02, 0.03, 0.01)),
        }
    )


def test_every_byte_equals_numpy(tmp_path: Path) -> None:
    check_every_byte(table(), "whole", tmp_path)


def test_every_byte_equals_numpy_when_clang_compiles(tmp_path: Path) -> None:
    pytest.importorskip("ziglang", reason="zig cc, a clang, comes with tinyptq[toolchain]")
    check_every_byte(table(), "whole", tmp_path, prefix="absent-")


@pytest.mark.parametrize("level", ["-O0", "-Os", "-O3"])
@pytest.mark.parametrize("compiler", ["arm-none-eabi-gcc", "clang"])
def test_compiles_without_a_warning_at_every_level(compiler: str, level: str, tmp_path: Path) -> None:
    check_no_warning(table(), compiler, level, tmp_path)


def test_instructions(tmp_path: Path) -> None:
    """CMSIS-NN needs 13.8 instructions per element (gcc 12.2 -O3)."""
    check_instructions(side_by_side({"ic": add((1, 32, 32, 16), (0.02, 0.03, 0.03))}), 6 * 16384, tmp_path)


def test_preconditions_are_proved_or_the_kernel_steps_back() -> None:
    params = add((1, 8, 8, 16), (0.02, 0.03, 0.03)).layers[0].params
    assert arm_mve_add.supports(params)
    for pair in (
        replace(params.pair, output_shift=1),
        replace(params.pair, input_shapes=((1, 1, 1, 16), (1, 8, 8, 16))),
    ):
        assert not arm_mve_add.supports(replace(params, pair=pair))
