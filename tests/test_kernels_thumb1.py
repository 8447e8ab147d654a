"""Thumb-1 kernels: every byte, none outside, few instructions, no 64-bit multiplication in the image."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests import test_kernels_affine as sums
from tests import test_kernels_dsp_conv as convs
from tests import test_kernels_dsp_depthwise as depthwise
from tests.arm_layers import Case, build, combine, layer_program, planned, side_by_side
from tests.drawn_layers import drawn
from tests.dsp_checks import check_every_byte, check_instructions, check_no_warning, check_nothing_outside
from tests.test_kernels_arm import CASES, POINTWISE
from tinyptq.board import load_board
from tinyptq.fixedpoint import multiply_by_quantized_multiplier
from tinyptq.kernels import choose, thumb1, thumb1_conv, thumb1_depthwise
from tinyptq.kernels.proofs import pointwise
from tinyptq.ops.activation import RELU
from tinyptq.ops.window import Window
from tinyptq.program import Program

BOARD = "cortex-m0"
COLUMNS = (
    depthwise.Case("column", (1, 12, 1, 8), Window((3, 1)), "walked like a row, in pairs"),
    depthwise.Case("column-odd", (1, 11, 1, 5), Window((5, 1)), "and a single pixel behind them", zero_point=-128),
    depthwise.Case("column-strided", (1, 21, 1, 6), Window((3, 1), (2, 1)), "stride 2"),
    depthwise.Case("column-long", (1, 40, 1, 6), Window((15, 1)), "too many taps for straight-line code"),
    depthwise.Case("column-whole", (1, 15, 1, 40), Window((15, 1)), "one output pixel"),
    depthwise.Case("row-long", (1, 3, 30, 4), Window((2, 9), (1, 2)), "long kernel rows, an image"),
    depthwise.Case("far", (1, 3, 21, 4), Window((2, 3), (1, 4)), "more weights alive than registers"),
    depthwise.Case("spread", (1, 4, 22, 4), Window((2, 3), (1, 3), (1, 4)), "stride and dilation apart"),
    depthwise.Case("single", (1, 6, 6, 1), Window((3, 3)), "one channel"),
)
LONG = Case("long", "fully_connected", (1, 4096), 3, "the longest tile", RELU, -128)


def matrices() -> Program:
    return combine([case for case in (*CASES, LONG) if case.outputs > 1 and case.fill != -128])


def channels() -> Program:
    cases = [case for case in (*depthwise.CASES, *COLUMNS) if case.id != "pixel"]  # one product is left to portable
    return side_by_side({case.id: depthwise.program_of(case) for case in cases})


TABLES = {"matrices": matrices, "windows": convs.table, "channels": channels, "sums": sums.table}


@pytest.mark.parametrize("way", ["whole", "blocks"])
@pytest.mark.parametrize("table", TABLES)
def test_every_byte_equals_numpy(table: str, way: str, tmp_path: Path) -> None:
    check_every_byte(TABLES[table](), way, tmp_path, BOARD, isa="thumb1")


@pytest.mark.parametrize("seed", range(4))
def test_every_byte_of_drawn_layers(seed: int, tmp_path: Path) -> None:
    check_every_byte(drawn(seed), "blocks", tmp_path, BOARD, isa="thumb1", least=16)


@pytest.mark.parametrize("table", TABLES)
def test_every_byte_equals_numpy_when_clang_compiles(table: str, tmp_path: Path) -> None:
    pytest.importorskip("ziglang", reason="zig cc, a clang, comes with tinyptq[toolchain]")
    check_every_byte(TABLES[table](), "blocks", tmp_path, BOARD, prefix="absent-", isa="thumb1")


@pytest.mark.parametrize("table", ["matrices", "windows", "channels"])
def test_nothing_outside_the_tensors_is_touched(table: str, tmp_path: Path) -> None:
    check_nothing_outside(TABLES[table](), tmp_path, isa="thumb1")


@pytest.mark.parametrize("level", ["-O0", "-Os", "-O3"])
@pytest.mark.parametrize("compiler", ["arm-none-eabi-gcc", "clang"])
@pytest.mark.parametrize("table", TABLES)
def test_compiles_without_a_warning_at_every_level(table: str, compiler: str, level: str, tmp_path: Path) -> None:
    check_no_warning(TABLES[table](), compiler, level, tmp_path, BOARD)


LIMITS = {
    "pointwise": (combine([POINTWISE]), 1_560_000),
    "windows": (side_by_side({"ic": convs.program_of(convs.IC)}), 6_400_000),
    "first": (side_by_side({"first": convs.program_of(convs.IC_FIRST)}), 2_000_000),
    "speech": (side_by_side({"kws": convs.program_of(convs.KWS)}), 1_120_000),
    "channels": (side_by_side({"kws": depthwise.program_of(depthwise.KWS)}), 660_000),
    "strided": (side_by_side({"vww": depthwise.program_of(depthwise.STRIDED)}), 375_000),
    "connected": (combine([Case("ad", "fully_connected", (1, 640), 128, "the autoencoder's")]), 275_000),
}


@pytest.mark.parametrize("layer", LIMITS)
def test_instructions(layer: str, tmp_path: Path) -> None:
    program, limit = LIMITS[layer]
    check_instructions(program, limit, tmp_path, BOARD)


@pytest.mark.parametrize("isa", ["thumb1", "portable"])
@pytest.mark.parametrize("table", TABLES)
def test_no_64_bit_multiplication_is_linked(table: str, isa: str, tmp_path: Path) -> None:
    program = TABLES[table]()
    board = replace(load_board(BOARD), isa=(isa, "portable"))
    images = build(program, planned(program, board), board, tmp_path)
    listing = subprocess.run(["arm-none-eabi-nm", images.elf], capture_output=True, text=True, check=True).stdout
    assert "many_run" in listing
    assert "muldi3" not in listing and "lmul" not in listing


# The instructions' own arithmetic, written out.


def wrapped(x: int) -> int:
    return (x + 2**31) % 2**32 - 2**31


def within(x: int) -> int:
    assert -(2**31) <= x < 2**31
    return x


def short_thumb1(acc: int, multiplier: int, right: int, zero_point: int, half_up: bool) -> int:
    """macros/thumb1.j2: 16-bit halves; the bit that ASRS drops is added by ADCS."""
    doubled = within(2 * acc)
    rounding = (1 << (right - 1)) + (zero_point + 128) * (1 << right) + (0 if half_up else doubled >> 31)
    low = (doubled + 2**15) % 2**16 - 2**15
    high = (doubled - low) >> 16
    lower, upper = multiplier & 0xFFFF, multiplier >> 16
    middle = within(within(within(low * upper) + (within(low * lower) >> 16)) + within(high * lower))
    scaled = within(high * upper) + (middle >> 16) + (middle >> 15 & 1)
    return max(0, min(255, within(scaled + rounding) >> right)) - 128


@settings(max_examples=2000, deadline=None)
@given(
    acc=st.integers(-(2**28) + 1, 2**28 - 1),
    multiplier=st.integers(0, 2**31 - 1),
    right=st.integers(1, 20),
    zero_point=st.integers(-128, 127),
)
@example(acc=-1, multiplier=2**30, right=1, zero_point=0)
@example(acc=-3, multiplier=2**30, right=1, zero_point=0)
@example(acc=-(2**28) + 1, multiplier=2**31 - 1, right=1, zero_point=-128)
@example(acc=2**28 - 1, multiplier=2**31 - 1, right=1, zero_point=127)
def test_short_requantization_is_gemmlowps(acc: int, multiplier: int, right: int, zero_point: int) -> None:
    """At ties, too: the accumulator is moved to one whose first rounding gives (2j + 1) · 2^(right - 1)."""
    half = 1 << (right - 1)
    tie = ((acc // (2 * half)) * 2 + 1) * half
    near = [(tie << 31) // max(multiplier, 1) + d for d in (-1, 0, 1)]
    for a in [acc, *(n for n in near if abs(n) < 2**28)]:
        x = int(multiply_by_quantized_multiplier(np.array([a], np.int64), multiplier, -right)[0])
        expected = max(-128, min(127, x + zero_point))
        assert short_thumb1(a, multiplier, right, zero_point, False) == expected
        assert max(zero_point, short_thumb1(a, multiplier, right, zero_point, True)) == max(zero_point, expected)


int8 = st.integers(-128, 127)
weight = st.tuples(int8, int8).filter(lambda pair: 128 * (abs(pair[0]) + abs(pair[1])) < 2**15)


@settings(max_examples=1000, deadline=None)
@given(
    chunks=st.lists(st.tuples(int8, int8, weight, weight), min_size=1, max_size=40), bias=st.integers(-(2**20), 2**20)
)
@example(chunks=[(-128, -128, (-127, -128), (127, 128 - 1))] * 4, bias=0)
@example(chunks=[(-128, -128, (127, 127), (-127, -128))] * 4, bias=-1)
def test_two_channels_of_one_product(
    chunks: list[tuple[int, int, tuple[int, int], tuple[int, int]]], bias: int
) -> None:
    """Sums of p and of its upper halves, modulo 2^32, from the packed bytes: both channels' exact accumulators."""
    total, upper = wrapped(bias + ((bias + 7) << 16) - 2**15 * len(chunks)), bias + 7
    for x0, x1, first, second in chunks:
        word = sum((w + 128) << 8 * i for i, w in enumerate((first[0], first[1], second[0], second[1])))
        triplet = wrapped(2**15 - 128 * 65537 * (x0 + x1))
        p = wrapped(x0 * (word & 0xFF00FF) + x1 * (word >> 8 & 0xFF00FF) + triplet)
        total, upper = wrapped(total + p), wrapped(upper + (p >> 16))
    sums = [bias + 7 * i + sum(x0 * c[i][0] + x1 * c[i][1] for x0, x1, *c in chunks) for i in (0, 1)]
    assert [wrapped(total - (upper << 16)), upper] == sums


def test_words_on_paper() -> None:
    """Inputs 1, 2 of channels 0 and 1: w + 128 as bytes (c0, k0), (c0, k1), (c1, k0), (c1, k1)."""
    params = layer_program(Case("paper", "conv_2d", (1, 1, 1, 3), 2, "")).layers[0].params
    params = replace(params, weights=np.array([[-1, 2, 5], [3, -128, 7]], np.int8).reshape(2, 1, 1, 3))
    params = replace(params, bias=np.array([5, -7], np.int32), shift=np.full(2, -3, np.int8))
    stream = thumb1.pack(params)["stream"].view(np.uint32).reshape(-1)
    assert stream[2:4].tolist() == [0x00_83_82_7F, 0x80_87_80_85]
    bias0, bias1 = params.folded_bias.tolist()
    assert stream[:2].view(np.int32).tolist() == [bias0 + (bias1 << 16) - 2 * 2**15, bias1]


def test_preconditions_are_proved_or_the_kernel_steps_back() -> None:
    params = layer_program(CASES[0]).layers[0].params
    assert thumb1.supports(params)
    lowest = params.weights.copy()
    lowest[0, 0, 0, :2] = -128
    for changed in (
        replace(params, weights=lowest),
        replace(params, shift=np.zeros(64, np.int8)),
        replace(params, bias=np.full(64, 2**28, np.int32), shift=np.full(64, -22, np.int8)),
        replace(params, window=Window((1, 1), (2, 2))),
    ):
        assert not thumb1.supports(changed)
    lowest[0, 0, 0, 0] = 0
    assert thumb1.chunks_fit(pointwise(replace(params, weights=lowest)), 64)
    assert not thumb1_conv.supports(params)  # thumb1 does it
    assert choose(layer_program(CASES[0]).layers[0], ["portable"]).isa == "portable"
    layer = depthwise.program_of(COLUMNS[0]).layers[0].params
    assert thumb1_depthwise.supports(layer)
    for changed in (replace(layer, depth_multiplier=2), replace(layer, shift=np.zeros(8, np.int8))):
        assert not thumb1_depthwise.supports(changed)
