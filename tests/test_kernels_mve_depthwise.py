"""MVE kernel of depthwise convolution: every byte, none outside, few instructions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from tests.arm_layers import planned, side_by_side
from tests.mve_checks import check_every_byte, check_instructions, check_no_warning, check_nothing_outside
from tests.programs import activation, bias, qparams, single_layer_program, weights
from tinyptq.board import load_board
from tinyptq.graph import Shape
from tinyptq.kernels import arm_mve_depthwise, choose
from tinyptq.kernels.proofs import depthwise_matrix
from tinyptq.ops.activation import NONE, RELU, RELU6, Clamp
from tinyptq.ops.base import Operand
from tinyptq.ops.depthwise_conv_2d import DepthwiseConv2D
from tinyptq.ops.window import Window, make_window
from tinyptq.program import Program


@dataclass(frozen=True)
class Case:
    """shape: of the input. peak: largest weight, small ones make long int16 sums."""

    id: str
    shape: Shape
    window: Window
    why: str
    clamp: Clamp = NONE
    zero_point: int = 7
    peak: int = 127


def same(shape: Shape, kernel: tuple[int, int], stride: int = 1, dilation: int = 1) -> Window:
    return make_window("same", (shape[1], shape[2]), kernel, (stride, stride), (dilation, dilation))


def case(name: str, shape: Shape, kernel: tuple[int, int], why: str, stride: int = 1, **changes: object) -> Case:
    return Case(name, shape, same(shape, kernel, stride), why, **changes)  # type: ignore[arg-type]


CASES = (
    case("plain", (1, 5, 4, 32), (3, 3), "whole vectors"),
    case("relu", (1, 5, 4, 32), (3, 3), "negative ties may round either way", clamp=RELU, zero_point=-128),
    case("relu6", (1, 4, 5, 16), (3, 3), "both clamps inside the int8 range", clamp=RELU6, zero_point=-100),
    case("small", (1, 5, 5, 20), (3, 3), "sums of three taps and more; overlapping channels", peak=60),
    case("tiny", (1, 5, 5, 20), (3, 3), "one sum of all taps", peak=28),
    case("odd", (1, 4, 4, 37), (3, 3), "lines without alignment"),
    case("few", (1, 4, 6, 3), (3, 3), "three channels under a predicate"),
    case("few-strided", (1, 7, 6, 8), (3, 3), "eight channels, stride 2", stride=2),
    case("lowest", (1, 3, 3, 12), (3, 3), "twelve channels under a predicate, clamped", clamp=RELU6, zero_point=-90),
    case("fold8", (1, 5, 6, 8), (3, 3), "two pixels per vector"),
    case("fold4", (1, 5, 7, 4), (3, 3), "four pixels per vector, the last moved back"),
    case("fold1", (1, 3, 17, 1), (3, 3), "sixteen pixels per vector"),
    case("narrow", (1, 6, 3, 4), (3, 3), "too narrow a row for several pixels per vector"),
    case("strided", (1, 9, 7, 24), (3, 3), "stride 2", stride=2),
    case("skips", (1, 9, 9, 16), (2, 2), "stride beyond the kernel", stride=3),
    case("far", (1, 3, 3, 231), (3, 3), "a step beyond the immediate offset", stride=3),
    case("farther", (1, 3, 3, 260), (3, 3), "columns beyond the immediate offset"),
    case("tall", (1, 12, 2, 16), (7, 1), "more lines than registers"),
    case("taller", (1, 12, 2, 18), (6, 2), "more lines than registers, no alignment"),
    case("pixel", (1, 1, 1, 16), (1, 1), "one tap"),
    case("two", (1, 3, 3, 16), (1, 2), "two taps"),
    Case("valid", (1, 6, 6, 32), Window((3, 3)), "no padding: lines are rows of the input"),
    Case("valid-far", (1, 4, 4, 68), Window((3, 3)), "no padding, columns beyond the offset of bytes"),
    Case("dilated", (1, 7, 8, 16), same((1, 7, 8, 16), (3, 3), dilation=2), "dilation 2"),
    Case("explicit", (1, 7, 8, 16), Window((3, 3), (2, 1), (1, 2), 2, 0, 1, 3), "padding of its own"),
    Case("flat", (1, 20, 1, 40), Window((5, 1)), "one pixel wide: rows are pixels"),
    Case("flat-far", (1, 20, 1, 130), Window((9, 1), (2, 1)), "the same, with stride, far channels"),
    Case("flat-few", (1, 9, 1, 5), Window((4, 1), (1, 1), (2, 1)), "the same, dilated, few channels"),
)
KWS = case("kws", (1, 25, 5, 64), (3, 3), "the keyword spotter's", clamp=RELU, zero_point=-128)
VWW = case("vww", (1, 48, 48, 8), (3, 3), "the person detector's first", clamp=RELU, zero_point=-128)
STRIDED = case("strided", (1, 24, 24, 32), (3, 3), "the person detector's", stride=2, clamp=RELU, zero_point=-128)


def program_of(case: Case) -> Program:
    """One layer whose outputs use most of the int8 range."""
    rng = np.random.default_rng(len(case.id) + 1000 * case.shape[3])
    x, channels, taps = activation(case.shape, 0.02, -3), case.shape[3], int(np.prod(case.window.kernel))
    w = weights(rng, (1, *case.window.kernel, channels), axis=3, scale=0.03 / np.sqrt(taps) * 127 / case.peak)
    assert w.data is not None
    w = Operand(w.shape, w.qparams, (w.data.astype(int) * case.peak // 127).astype(np.int8))
    attrs = DepthwiseConv2D(case.window, 1, case.clamp)
    return single_layer_program(
        "depthwise_conv_2d", attrs, [x, w, bias(rng, x, w, 1 << 10)], qparams(0.03, case.zero_point)
    )


def table() -> Program:
    return side_by_side({case.id: program_of(case) for case in CASES})


@pytest.mark.parametrize("way", ["whole", "blocks"])
def test_every_byte_equals_numpy(way: str, tmp_path: Path) -> None:
    check_every_byte(table(), way, tmp_path)


def test_every_byte_equals_numpy_when_clang_compiles(tmp_path: Path) -> None:
    pytest.importorskip("ziglang", reason="zig cc, a clang, comes with tinyptq[toolchain]")
    check_every_byte(table(), "whole", tmp_path, prefix="absent-")


def test_nothing_outside_the_tensors_is_touched(tmp_path: Path) -> None:
    check_nothing_outside(table(), tmp_path)


@pytest.mark.parametrize("level", ["-O0", "-Os", "-O3"])
@pytest.mark.parametrize("compiler", ["arm-none-eabi-gcc", "clang"])
def test_compiles_without_a_warning_at_every_level(compiler: str, level: str, tmp_path: Path) -> None:
    check_no_warning(table(), compiler, level, tmp_path)


@pytest.mark.parametrize(("case", "limit"), [(KWS, 68_000), (VWW, 138_000), (STRIDED, 40_500)])
def test_instructions(case: Case, limit: int, tmp_path: Path) -> None:
    """CMSIS-NN needs 166,935 and 863,874 and 111,932 for layers of these shapes (gcc 12.2 -O3)."""
    check_instructions(side_by_side({case.id: program_of(case)}), limit, tmp_path)


def test_preconditions_are_proved_or_the_kernel_steps_back() -> None:
    params = program_of(CASES[0]).layers[0].params
    assert arm_mve_depthwise.supports(params)
    for changed in (
        replace(params, shift=np.zeros(32, np.int8)),
        replace(params, bias=np.full(32, 2**31 - 1, np.int32)),
        replace(params, depth_multiplier=2),
    ):
        assert not arm_mve_depthwise.supports(changed)


def test_sums_stay_in_int16() -> None:
    """Two taps of ±127 always fit; -128 twice does not; nine of 28 do."""
    layer = depthwise_matrix(program_of(CASES[0]).layers[0].params)
    ones = np.ones((32, 9), np.int16)
    for weight, sizes in ((127, [2, 2, 2, 2, 1]), (-128, [1] * 9), (85, [3, 3, 3]), (86, [2, 2, 2, 2, 1]), (28, [9])):
        assert arm_mve_depthwise.sums(replace(layer, weights=(ones * weight).astype(np.int8)), range(9)) == sizes


def test_a_board_without_the_extension_gets_the_portable_kernel() -> None:
    layer = program_of(CASES[0]).layers[0]
    assert choose(layer, ["portable"]).isa == "portable"
    assert choose(layer, ["arm_mve", "portable"]).isa == "arm_mve"
    assert planned(table(), load_board("cortex-m55")).kernels[0].isa == "arm_mve"
