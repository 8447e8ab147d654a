"""ADD that is no affine function: the MVE kernel that rescales in vectors, the DSP kernel with two tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests import dsp_checks, mve_checks
from tests.arm_layers import build, inputs_and_expected, joined, pair_glue, planned, side_by_side
from tests.programs import activation, qparams, single_layer_program
from tests.test_kernels_arm import EDGES
from tinyptq.board import load_board
from tinyptq.graph import Shape
from tinyptq.kernels import arm_dsp_add, arm_mve_add, choose
from tinyptq.kernels.affine import affine
from tinyptq.ops.activation import NONE, RELU, RELU6, Clamp
from tinyptq.ops.add import Add
from tinyptq.program import Program
from tinyptq.run import run_firmware

CHECKS = {"arm_mve_rescaled": mve_checks, "arm_dsp_tables": dsp_checks}
CURVED = (0.01750919036567211, 0.06743259727954865, 0.0703125)  # with zero points -128, -5, -10: no affine function


def layer(
    shape: Shape, scales: tuple[float, ...], clamp: Clamp = NONE, zero_points: tuple[int, ...] = (-3, 9, 5)
) -> Program:
    first, second = (activation(shape, scales[i], zero_points[i]) for i in range(2))
    return single_layer_program("add", Add(clamp), [first, second], qparams(scales[2], zero_points[2]))


def curved(shape: Shape = (1, 8, 8, 16)) -> Program:
    return layer(shape, CURVED, zero_points=(-128, -5, -10))


def table() -> Program:
    return side_by_side(
        {
            "curved": curved(),
            "plain": layer((1, 8, 8, 16), (0.02, 0.03, 0.03)),
            "relu": layer((1, 8, 8, 16), (0.05, 0.011, 0.04), RELU, (-128, 4, -128)),
            "relu6": layer((1, 7, 8, 17), (0.02, 0.02, 0.025), RELU6, (127, -128, -60)),
            "apart": layer((1, 8, 16, 16), (0.00013, 0.4, 0.3)),
            "rest": layer((1, 135), (0.02, 0.03, 0.03)),
        }
    )


def test_they_serve_where_no_affine_function_does() -> None:
    (added,) = curved().layers
    assert affine(added.params) is None
    assert choose(added, ["arm_mve", "arm_dsp", "portable"]).name == "arm_mve_rescaled"
    assert choose(added, ["arm_dsp", "portable"]).name == "arm_dsp_tables"
    assert choose(layer((1, 8, 8, 16), (0.02, 0.03, 0.03)).layers[0], ["arm_mve", "portable"]).name == "arm_mve_affine"


@pytest.mark.parametrize("kernel", CHECKS)
def test_every_byte_equals_numpy(kernel: str, tmp_path: Path) -> None:
    CHECKS[kernel].check_every_byte(table(), "whole", tmp_path, kernel=kernel)


@pytest.mark.parametrize("kernel", CHECKS)
def test_every_byte_equals_numpy_when_clang_compiles(kernel: str, tmp_path: Path) -> None:
    pytest.importorskip("ziglang", reason="zig cc, a clang, comes with tinyptq[toolchain]")
    CHECKS[kernel].check_every_byte(table(), "whole", tmp_path, prefix="absent-", kernel=kernel)


def test_fewer_elements_than_two_vectors(tmp_path: Path) -> None:
    programs = {str(count): layer((1, count), (0.02, 0.03, 0.01)) for count in (4, 5, 7)}
    mve_checks.check_every_byte(side_by_side(programs), "whole", tmp_path, kernel="arm_mve_rescaled")


@pytest.mark.parametrize(("kernel", "name"), [("arm_mve_rescaled", "cortex-m55"), ("arm_dsp_tables", "cortex-m33")])
def test_nothing_outside_the_tensors_is_touched(kernel: str, name: str, tmp_path: Path) -> None:
    """Both inputs and the output lie at the edges of memory in turn: a touch beyond is a fault."""
    board, program = load_board(name), table()
    glue = pair_glue(len(program.layers), *EDGES[name])
    images = build(program, planned(program, board, kernel), board, tmp_path, glue=glue)
    inputs, expected = inputs_and_expected(program, 3)
    want = joined(program, program.outputs, expected)
    result = run_firmware(board, images.elf, inputs, want.shape[1], len(expected))
    np.testing.assert_array_equal(result.outputs, want)


@pytest.mark.parametrize("level", ["-O0", "-Os", "-O3"])
@pytest.mark.parametrize("compiler", ["arm-none-eabi-gcc", "clang"])
@pytest.mark.parametrize("kernel", CHECKS)
def test_compiles_without_a_warning_at_every_level(kernel: str, compiler: str, level: str, tmp_path: Path) -> None:
    CHECKS[kernel].check_no_warning(curved(), compiler, level, tmp_path)


@pytest.mark.parametrize(("kernel", "limit"), [("arm_mve_rescaled", 6), ("arm_dsp_tables", 14)])
def test_instructions(kernel: str, limit: int, tmp_path: Path) -> None:
    """CMSIS-NN needs 13.8 and 81 instructions per element (gcc 12.2 -O3)."""
    CHECKS[kernel].check_instructions(side_by_side({"ic": curved((1, 32, 32, 16))}), limit * 16384, tmp_path)


def test_preconditions_are_proved_or_the_kernels_step_back() -> None:
    params = layer((1, 8, 8, 16), (0.02, 0.03, 0.03)).layers[0].params
    spread = ((1, 1, 1, 16), (1, 8, 8, 16))
    for supports in (arm_mve_add.supports, arm_dsp_add.supports):
        assert supports(params)
        for pair in (
            replace(params.pair, output_shift=1),
            replace(params.pair, input_shapes=spread),
            replace(params.pair, element="int16"),
        ):
            assert not supports(replace(params, pair=pair))
    assert arm_dsp_add.supports(layer((1, 128), CURVED).layers[0].params)
    assert not arm_dsp_add.supports(layer((1, 127), CURVED).layers[0].params)  # tables must be worth their flash
