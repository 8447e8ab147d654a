"""Kernels for RISC-V and Cortex-M3: every byte, none outside, few instructions."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests import test_kernels_affine as sums
from tests import test_kernels_dsp_conv as convs
from tests import test_kernels_dsp_depthwise as depthwise
from tests.arm_layers import Case, combine, layer_program, side_by_side
from tests.c_model import run_c_model
from tests.drawn_layers import drawn
from tests.dsp_checks import check_every_byte, check_instructions, check_no_warning, check_nothing_outside
from tests.programs import random_inputs
from tests.test_kernels_arm import CASES, POINTWISE
from tests.test_kernels_thumb1 import COLUMNS, LIMITS, LONG
from tinyptq.fixedpoint import multiply_by_quantized_multiplier
from tinyptq.kernels import choose, scalar, scalar_depthwise
from tinyptq.ops import BY_NAME
from tinyptq.ops.activation import RELU
from tinyptq.ops.window import Window
from tinyptq.program import Program

ISA = {"riscv32": "riscv32", "cortex-m3": "thumb2"}
COMPILER = {"riscv32": "riscv64-unknown-elf-gcc", "cortex-m3": "arm-none-eabi-gcc"}
ROWS = (
    Case("few", "conv_2d", (1, 3, 2, 9), 5, "rows shorter than a tile", RELU, -128),
    Case("odd-inputs", "conv_2d", (1, 7, 3, 11), 17, "nothing is a multiple of anything"),
)


def matrices() -> Program:
    return combine([*CASES, *ROWS, LONG])


def channels() -> Program:
    return side_by_side({case.id: depthwise.program_of(case) for case in (*depthwise.CASES, *COLUMNS)})


TABLES = {"matrices": matrices, "windows": convs.table, "channels": channels, "sums": sums.table}
OUTSIDE = TABLES | {f"drawn{seed}": partial(drawn, seed) for seed in range(6)}


@pytest.mark.parametrize("way", ["whole", "blocks"])
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("board", ISA)
def test_every_byte_equals_numpy(board: str, table: str, way: str, tmp_path: Path) -> None:
    check_every_byte(TABLES[table](), way, tmp_path, board, isa=ISA[board])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("board", ISA)
def test_every_byte_of_drawn_layers(board: str, seed: int, tmp_path: Path) -> None:
    check_every_byte(drawn(seed), "blocks", tmp_path, board, isa=ISA[board], least=20)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("board", ISA)
def test_every_byte_equals_numpy_when_clang_compiles(board: str, table: str, tmp_path: Path) -> None:
    pytest.importorskip("ziglang", reason="zig cc, a clang, comes with tinyptq[toolchain]")
    check_every_byte(TABLES[table](), "blocks", tmp_path, board, prefix="absent-", isa=ISA[board])


@pytest.mark.parametrize("table", ["matrices", "windows", "channels"])
def test_nothing_outside_the_tensors_is_touched(table: str, tmp_path: Path) -> None:
    check_nothing_outside(TABLES[table](), tmp_path, isa="thumb2")


@pytest.mark.parametrize("table", OUTSIDE)
def test_nothing_outside_the_tensors_is_touched_in_c(table: str, tmp_path: Path) -> None:
    """The same in C, on the host under its sanitizers."""
    program = OUTSIDE[table]()
    inputs = random_inputs(np.random.default_rng(5), program, 3)
    values = run_c_model(program, inputs, tmp_path, isa=("scalar", "portable"))
    for layer in program.layers:
        expected = BY_NAME[layer.op].run_int(layer.params, *(inputs[name] for name in layer.inputs))
        np.testing.assert_array_equal(values[layer.outputs[0]], expected, layer.name)


@pytest.mark.parametrize("level", ["-O0", "-O3"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("board", ISA)
def test_compiles_without_a_warning(board: str, table: str, compiler: str, level: str, tmp_path: Path) -> None:
    check_no_warning(TABLES[table](), COMPILER[board] if compiler == "gcc" else compiler, level, tmp_path, board)


MOST = {
    "riscv32": {
        "pointwise": 1_520_000,
        "windows": 6_400_000,
        "first": 1_610_000,
        "speech": 1_100_000,
        "channels": 425_000,
        "strided": 290_000,
        "connected": 265_000,
    },
    "cortex-m3": {
        "pointwise": 1_200_000,
        "windows": 4_600_000,
        "first": 1_700_000,
        "speech": 1_000_000,
        "channels": 440_000,
        "strided": 240_000,
        "connected": 190_000,
    },
}


@pytest.mark.parametrize("layer", LIMITS)
@pytest.mark.parametrize("board", ISA)
def test_instructions(board: str, layer: str, tmp_path: Path) -> None:
    check_instructions(LIMITS[layer][0], MOST[board][layer], tmp_path, board, tolerance=0.1)


def short(acc: int, multiplier: int, right: int, zero_point: int, half_up: bool) -> int:
    """macros/scalar.j2: the upper word of the product, the lower word's highest bit rounds."""
    product = 2 * acc * multiplier
    rounding = (1 << (right - 1)) + zero_point * (1 << right)
    t = (product >> 32) + (product >> 31 & 1) + rounding + (0 if half_up else acc >> 31)
    assert -(2**31) <= t < 2**31
    return max(-128, min(127, t >> right))


@settings(max_examples=2000, deadline=None)
@given(
    acc=st.integers(-(2**29), 2**29),
    multiplier=st.integers(0, 2**31 - 1),
    right=st.integers(1, 20),
    zero_point=st.integers(-128, 127),
)
@example(acc=-1, multiplier=2**30, right=1, zero_point=0)
@example(acc=-3, multiplier=2**30, right=1, zero_point=0)
@example(acc=-(2**29), multiplier=2**31 - 1, right=1, zero_point=-128)
def test_short_requantization_is_gemmlowps(acc: int, multiplier: int, right: int, zero_point: int) -> None:
    """At ties, too: the accumulator is moved to one whose first rounding gives (2j + 1) · 2^(right - 1)."""
    half = 1 << (right - 1)
    tie = ((acc // (2 * half)) * 2 + 1) * half
    near = [(tie << 31) // max(multiplier, 1) + d for d in (-1, 0, 1)]
    for a in [acc, *(n for n in near if abs(n) < 2**29)]:
        x = int(multiply_by_quantized_multiplier(np.array([a], np.int64), multiplier, -right)[0])
        expected = max(-128, min(127, x + zero_point))
        assert short(a, multiplier, right, zero_point, False) == expected
        assert max(zero_point, short(a, multiplier, right, zero_point, True)) == max(zero_point, expected)


def test_preconditions_are_proved_or_the_kernel_steps_back() -> None:
    params = layer_program(CASES[0]).layers[0].params
    assert scalar.matrix_supports(params) and not scalar.window_supports(params)
    for changed in (replace(params, shift=np.zeros(64, np.int8)), replace(params, window=Window((1, 1), (2, 2)))):
        assert not scalar.matrix_supports(changed)
    layer = depthwise.program_of(COLUMNS[0]).layers[0].params
    assert scalar_depthwise.supports(layer)
    for changed in (replace(layer, depth_multiplier=2), replace(layer, shift=np.zeros(8, np.int8))):
        assert not scalar_depthwise.supports(changed)
    assert choose(layer_program(CASES[0]).layers[0], ["portable"]).isa == "portable"


@pytest.mark.parametrize("core", scalar.CORES, ids=lambda core: core.isa)
def test_tiles_fit_their_registers(core: scalar.Core) -> None:
    for program in (matrices(), combine([POINTWISE])):
        for layer in program.layers:
            tile = scalar.matrix_details(core, layer.params)
            assert tile.pixels * tile.channels <= (core.alone if tile.pixels == 1 else core.sums)
            assert min(tile.pixels, tile.channels) <= core.resident
            assert (tile.pixels - 1) * tile.column_bytes + scalar.MAX_UNROLL <= max(core.reach, scalar.MAX_UNROLL)
