"""The chosen kernel is the fastest, or nearly: every candidate of small and odd layers is measured in the emulator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests import (
    test_kernels_affine,
    test_kernels_dsp_depthwise,
    test_kernels_max_pool,
    test_kernels_mve_conv,
    test_kernels_pool,
    test_kernels_table,
)
from tests.arm_layers import Case, build, inputs_and_expected, joined, layer_program, side_by_side
from tinyptq.board import load_board
from tinyptq.kernels import candidates, choose
from tinyptq.plan.planner import plan_kernels
from tinyptq.program import Program
from tinyptq.run import profile_firmware

SLACK = 0.03, 12  # of the fastest one's instructions, and so many more: layers of a hundred are within reach of a call

DENSE = ((16, 1), (1, 16), (16, 16), (8, 3), (64, 10), (32, 3), (17, 5), (256, 2), (7, 9), (128, 8), (30, 1), (64, 4))
POINTWISE = ((1, 1, 2, 16), (1, 2, 2, 4), (1, 3, 1, 8), (1, 4, 4, 3), (1, 1, 5, 40))
WINDOWS = ((1, 5, 5, 1), (1, 6, 4, 3), (1, 4, 4, 16))


def small_layers() -> Mapping[str, Program]:
    layers = {f"dense{i}-{o}": layer_program(Case(f"{i}x{o}", "fully_connected", (1, i), o, "")) for i, o in DENSE}
    for shape in POINTWISE:
        layers[f"pointwise{shape}"] = layer_program(Case("p", "conv_2d", shape, 6, ""))
    for shape in WINDOWS:
        layers[f"conv{shape}"] = test_kernels_mve_conv.program_of(test_kernels_mve_conv.case("c", shape, 4, (3, 3), ""))
        case = test_kernels_dsp_depthwise.case("d", (*shape[:3], shape[3] + 3), (3, 3), "")
        layers[f"depthwise{shape}"] = test_kernels_dsp_depthwise.program_of(case)
    for count in (1, 7, 8, 20, 100):
        layers[f"add{count}"] = test_kernels_affine.layer("add", (1, count), (0.02, 0.03, 0.029))
    for shape in ((1, 2, 2, 4), (1, 3, 3, 8), (1, 2, 1, 17)):
        layers[f"pool{shape}"] = test_kernels_pool.pool(shape)
    for shape in ((1, 2, 2, 4), (1, 8, 8, 1), (1, 8, 8, 2), (1, 6, 6, 4), (1, 5, 4, 7), (1, 6, 6, 16), (1, 4, 4, 48)):
        layers[f"max{shape}"] = test_kernels_max_pool.pool(shape)
    for count in (1, 4, 8, 13, 16, 23, 100):
        layers[f"table{count}"] = test_kernels_table.function((1, count))
    return layers


@pytest.mark.parametrize("name", ["cortex-m55", "cortex-m4", "cortex-m3", "cortex-m0", "riscv32"])
def test_no_candidate_is_much_faster_than_the_chosen_one(name: str, tmp_path: Path) -> None:
    board, program = load_board(name), side_by_side(small_layers())
    possible = [candidates(layer, board.isa) for layer in program.layers]
    measured: list[dict[str, int]] = [{} for _ in program.layers]
    inputs, expected = inputs_and_expected(program, 1)
    bytes_out = joined(program, program.outputs, expected).shape[1]
    for turn in range(max(map(len, possible))):
        kernels = tuple(found[min(turn, len(found) - 1)] for found in possible)
        images = build(program, plan_kernels(program, kernels), board, tmp_path / str(turn))
        counts = profile_firmware(board, images.elf, images.trace_elf, inputs, bytes_out, len(expected))
        for found, kernel, count in zip(measured, kernels, counts.layers, strict=True):
            found[kernel.name] = count
    slow = []
    for layer, found in zip(program.layers, measured, strict=True):
        chosen, best = choose(layer, board.isa), min(found.values())
        if found[chosen.name] > best * (1 + SLACK[0]) + SLACK[1]:
            slow.append(f"{layer.name}: {chosen.name} of {found}")
    assert not slow, "\n".join(slow)
