"""DSP kernel of ADD: every byte, few instructions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.arm_layers import side_by_side
from tests.dsp_checks import check_every_byte, check_instructions, check_no_warning
from tests.programs import activation, qparams, single_layer_program
from tinyptq.graph import Shape
from tinyptq.kernels import arm_dsp_add
from tinyptq.ops.activation import NONE, RELU, RELU6, Clamp
from tinyptq.ops.add import Add
from tinyptq.program import Program


def program_of(
    shape: Shape, clamp: Clamp = NONE, zero_point: int = 7, scales: tuple[float, float] = (0.02, 0.03)
) -> Program:
    first, second = activation(shape, scales[0], -3), activation(shape, scales[1], 12)
    return single_layer_program("add", Add(clamp), [first, second], qparams(0.04, zero_point))


def table() -> Program:
    return side_by_side(
        {
            "plain": program_of((1, 9, 9, 32)),
            "relu": program_of((1, 9, 9, 32), RELU, -128),
            "relu6": program_of((1, 9, 9, 31), RELU6, -100),
            "far": program_of((1, 1000), scales=(0.05, 0.0005)),
            "fewest": program_of((1, 8, 4, 4)),
        }
    )


@pytest.mark.parametrize("name", ["cortex-m4", "cortex-m7", "cortex-m33"])
def test_every_byte_equals_numpy(name: str, tmp_path: Path) -> None:
    check_every_byte(table(), "whole", tmp_path, name)


@pytest.mark.parametrize("level", ["-O0", "-Os", "-O3"])
@pytest.mark.parametrize("compiler", ["arm-none-eabi-gcc", "clang"])
def test_compiles_without_a_warning_at_every_level(compiler: str, level: str, tmp_path: Path) -> None:
    check_no_warning(table(), compiler, level, tmp_path)


def test_instructions(tmp_path: Path) -> None:
    """CMSIS-NN needs 81 per element (gcc 12.2 -O3)."""
    check_instructions(side_by_side({"ic": program_of((1, 32, 32, 16), RELU, -128)}), 200_000, tmp_path)


def test_broadcasting_is_left_to_the_portable_kernel() -> None:
    first, second = activation((1, 4, 4, 8), 0.02, -3), activation((1, 1, 1, 8), 0.03, 12)
    program = single_layer_program("add", Add(), [first, second], qparams(0.04, 7))
    assert not arm_dsp_add.supports(program.layers[0].params)


def test_tables_must_be_worth_their_flash() -> None:
    assert arm_dsp_add.supports(program_of((1, 128)).layers[0].params)
    assert not arm_dsp_add.supports(program_of((1, 127)).layers[0].params)
