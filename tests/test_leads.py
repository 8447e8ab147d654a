"""What kernels declare about outputs that lie over inputs is true in the emulator, and closer would be wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests import (
    drawn_layers,
    test_kernels_affine,
    test_kernels_dsp_depthwise,
    test_kernels_max_pool,
    test_kernels_table,
)
from tests import test_kernels_dsp_conv as convs
from tests.arm_layers import Case, layer_program
from tests.overlaid import Trial, chained, differing, trials
from tinyptq.board import load_board
from tinyptq.kernels import candidates
from tinyptq.kernels.base import Kernel
from tinyptq.ops.window import Window
from tinyptq.plan.check import check_plan
from tinyptq.plan.planner import SHARES
from tinyptq.program import Program

BOARDS = ("cortex-m55", "cortex-m4", "cortex-m3", "cortex-m0", "riscv32")
DRAWN = 24  # layers per board and seed


def chosen_layers() -> dict[str, Program]:
    """Shapes that reach what drawn ones seldom do: several bands and blocks, overlapping tails, growing rows."""
    layers = {
        f"pointwise{shape}-{outputs}": layer_program(Case("p", "conv_2d", shape, outputs, ""))
        for shape, outputs in [
            ((1, 9, 5, 16), 16),
            ((1, 7, 5, 8), 24),
            ((1, 8, 6, 24), 8),
            ((1, 25, 5, 64), 64),
            ((1, 1, 2, 8), 8),
            ((1, 24, 1, 40), 32),
        ]
    }
    for shape, stride in (((1, 40, 24, 4), 1), ((1, 41, 23, 8), 1), ((1, 60, 21, 4), 2), ((1, 25, 5, 64), 1)):
        case = test_kernels_dsp_depthwise.case("d", shape, (3, 3), "", stride=stride)
        layers[f"depthwise{shape}"] = test_kernels_dsp_depthwise.program_of(case)
    for shape, size in (((1, 9, 8, 16), (3, 3)), ((1, 9, 8, 3), (3, 3)), ((1, 12, 7, 8), (4, 2))):
        layers[f"conv{shape}"] = convs.program_of(convs.Case("c", shape, 16, size, ""))
    valid = test_kernels_dsp_depthwise.Case("v", (1, 12, 9, 16), Window((3, 3)), "")
    layers["depthwise-valid"] = test_kernels_dsp_depthwise.program_of(valid)
    vectors = Case("v", "fully_connected", (1, 7, 16), 12, "", keep_dims=True)
    layers["vectors"] = layer_program(vectors)
    for shape, size, stride in (((1, 9, 7, 18), 3, 1), ((1, 8, 8, 16), 2, 2), ((1, 7, 6, 21), 3, 1)):
        layers[f"pool{shape}"] = test_kernels_max_pool.pool(shape, (size, size), (stride, stride), "same")
    for count in (17, 100, 1000):
        layers[f"table{count}"] = test_kernels_table.function((1, count))
    for count in (8, 67, 96, 1001):
        layers[f"add{count}"] = test_kernels_affine.layer("add", (1, count), (0.02, 0.03, 0.029))
    return layers


def drawn_programs(seed: int) -> dict[str, Program]:
    rng = np.random.default_rng(seed)
    kinds = (drawn_layers.matrix, drawn_layers.convolution, drawn_layers.channelwise)
    return {f"layer{i}": kinds[i % 3](rng, f"layer{i}") for i in range(DRAWN)}


def possible(programs: Mapping[str, Program], name: str) -> Mapping[str, Sequence[Kernel]]:
    """Every kernel that could be chosen for each program's layer, and what the planner may put in its place."""
    isa = load_board(name).isa
    found = {title: candidates(program.layers[0], isa) for title, program in programs.items()}
    return {title: [*kernels, *closer_ones(kernels)] for title, kernels in found.items()}


def closer_ones(kernels: Sequence[Kernel]) -> list[Kernel]:
    return [kernel.closer(share) for kernel in kernels if kernel.closer for share in SHARES]


def declared(name: str, programs: Mapping[str, Program]) -> list[Trial]:
    return trials(programs, possible(programs, name))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", BOARDS)
def test_drawn_layers_may_lie_over_their_inputs(name: str, seed: int, tmp_path: Path) -> None:
    several = declared(name, drawn_programs(seed))
    assert [trial.title for trial in differing(several, load_board(name), tmp_path)] == []


@pytest.mark.parametrize("name", BOARDS)
def test_chosen_layers_may_lie_over_their_inputs(name: str, tmp_path: Path) -> None:
    several = declared(name, chosen_layers())
    assert [trial.title for trial in differing(several, load_board(name), tmp_path)] == []


@pytest.mark.parametrize("name", BOARDS)
def test_rows_closer_is_wrong_for_some_layer_of_every_kernel(name: str, tmp_path: Path) -> None:
    """Nothing would be shown by these trials if kernels were indifferent to where their outputs lie."""
    layers = {**drawn_programs(0), **chosen_layers()}
    several = [replace(trial, less=trial.too_close) for trial in declared(name, layers) if not trial.reads_all_first]
    wrong = {(trial.layer.op, trial.kernel.name) for trial in differing(several, load_board(name), tmp_path)}
    assert wrong == {(trial.layer.op, trial.kernel.name) for trial in several}


@pytest.mark.parametrize("name", BOARDS)
def test_checker_knows_how_close_is_too_close(name: str) -> None:
    several = declared(name, chosen_layers())
    assert check_plan(*chained(several)) == []
    for trial in several:
        if trial.reads_all_first:
            continue
        assert check_plan(*chained([replace(trial, less=1)])), trial.title
