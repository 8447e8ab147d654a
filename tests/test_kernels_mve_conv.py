"""MVE kernel of convolution: every byte, none outside, few instructions."""

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
from tinyptq.kernels import arm_mve_conv, choose
from tinyptq.ops.activation import NONE, RELU, RELU6, Clamp
from tinyptq.ops.conv_2d import Conv2D
from tinyptq.ops.window import Window, make_window
from tinyptq.program import Program


@dataclass(frozen=True)
class Case:
    """shape: of the input."""

    id: str
    shape: Shape
    outputs: int
    window: Window
    why: str
    clamp: Clamp = NONE
    zero_point: int = 7


def same(shape: Shape, kernel: tuple[int, int], stride: int = 1, dilation: int = 1) -> Window:
    return make_window("same", (shape[1], shape[2]), kernel, (stride, stride), (dilation, dilation))


def case(
    name: str, shape: Shape, outputs: int, kernel: tuple[int, int], why: str, stride: int = 1, **changes: object
) -> Case:
    return Case(name, shape, outputs, same(shape, kernel, stride), why, **changes)  # type: ignore[arg-type]


CASES = (
    case("plain", (1, 5, 6, 16), 8, (3, 3), "whole vectors"),
    case("relu", (1, 5, 6, 16), 8, (3, 3), "negative ties may round either way", clamp=RELU, zero_point=-128),
    case("relu6", (1, 4, 5, 16), 5, (3, 3), "both clamps inside the int8 range", clamp=RELU6, zero_point=-100),
    case("image", (1, 9, 8, 3), 16, (3, 3), "runs shorter than a vector"),
    case("image-strided", (1, 9, 8, 3), 8, (3, 3), "the same, stride 2", stride=2),
    case("sound", (1, 19, 10, 1), 12, (10, 4), "a tall kernel over one channel", stride=2),
    case("odd", (1, 4, 7, 5), 6, (3, 3), "an odd row; runs of 15 bytes"),
    case("odd-run", (1, 4, 7, 7), 6, (3, 3), "runs a vector and a bit long"),
    case("blocks", (1, 3, 32, 32), 4, (3, 3), "several blocks in a row"),
    case("blocks-odd", (1, 3, 31, 33), 4, (3, 3), "several blocks in an odd row"),
    case("long", (1, 3, 3, 64), 8, (3, 3), "many vectors"),
    case("limit", (1, 2, 3, 113), 4, (3, 3), "the longest windows but one"),
    case("pointwise", (1, 8, 8, 16), 32, (1, 1), "a 1x1 kernel with stride 2", stride=2),
    case("pointwise-few", (1, 8, 8, 5), 4, (1, 1), "windows shorter than a vector", stride=2),
    case("far", (1, 6, 6, 150), 4, (1, 1), "steps beyond the immediate offset", stride=3),
    case("column", (1, 9, 1, 24), 4, (3, 1), "rows of one pixel"),
    case("one", (1, 3, 3, 5), 6, (3, 3), "a single pixel", stride=3),
    case("bytes", (1, 5, 9, 1), 4, (1, 1), "windows of one byte", stride=2),
    case("pairs", (1, 5, 9, 2), 5, (5, 1), "runs of two bytes, more lines than registers"),
    case("collected", (1, 33, 5, 8), 4, (3, 3), "rows collected until scratch is full, then the rest"),
    case("skips", (1, 9, 9, 16), 4, (2, 2), "stride beyond the kernel", stride=3),
    Case("valid", (1, 6, 6, 12), 8, Window((3, 3)), "no padding: lines are rows of the input"),
    Case("valid-few", (1, 6, 6, 2), 8, Window((3, 2)), "the same, short runs"),
    Case("dilated", (1, 7, 8, 16), 4, same((1, 7, 8, 16), (3, 3), dilation=2), "dilation 2"),
    Case("dilated-few", (1, 7, 8, 3), 4, same((1, 7, 8, 3), (3, 3), dilation=2), "dilation 2, short runs"),
    Case("explicit", (1, 7, 8, 6), 9, Window((3, 3), (2, 1), (1, 2), 2, 0, 1, 3), "padding of its own"),
)
IC_FIRST = case("first", (1, 32, 32, 3), 16, (3, 3), "the image classifier's first", clamp=RELU, zero_point=-128)
IC = case("ic", (1, 16, 16, 32), 32, (3, 3), "the image classifier's", clamp=RELU, zero_point=-128)
KWS = case("kws", (1, 49, 10, 1), 64, (10, 4), "the keyword spotter's", stride=2, clamp=RELU, zero_point=-128)


def program_of(case: Case) -> Program:
    """One layer whose outputs use most of the int8 range."""
    rng = np.random.default_rng(len(case.id) + 1000 * case.shape[3])
    x, taps = activation(case.shape, 0.02, -3), int(np.prod(case.window.kernel)) * case.shape[3]
    w = weights(rng, (case.outputs, *case.window.kernel, case.shape[3]), axis=0, scale=0.06 / np.sqrt(taps))
    return single_layer_program(
        "conv_2d", Conv2D(case.window, case.clamp), [x, w, bias(rng, x, w, 1 << 12)], qparams(0.05, case.zero_point)
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


@pytest.mark.parametrize(("case", "limit"), [(IC_FIRST, 109_000), (IC, 304_000), (KWS, 76_000)])
def test_instructions(case: Case, limit: int, tmp_path: Path) -> None:
    """CMSIS-NN needs 599,528 and 597,016 and 289,103 for layers of these shapes (gcc 12.2 -O3)."""
    check_instructions(side_by_side({case.id: program_of(case)}), limit, tmp_path)


def test_preconditions_are_proved_or_the_kernel_steps_back() -> None:
    params = program_of(CASES[0]).layers[0].params
    assert arm_mve_conv.supports(params)
    for changed in (
        replace(params, shift=np.zeros(8, np.int8)),
        replace(params, bias=np.full(8, 2**31 - 1, np.int32)),
        replace(params, weights=params.weights[..., :8]),
        program_of(case("beyond", (1, 2, 3, 114), 4, (3, 3), "")).layers[0].params,
        program_of(case("three", (1, 2, 3, 16), 3, (3, 3), "")).layers[0].params,
    ):
        assert not arm_mve_conv.supports(changed)


def test_a_board_without_the_extension_gets_the_portable_kernel() -> None:
    layer = program_of(CASES[0]).layers[0]
    assert choose(layer, ["portable"]).isa == "portable"
    assert choose(layer, ["arm_mve", "portable"]).isa == "arm_mve"
    assert planned(table(), load_board("cortex-m55")).kernels[0].isa == "arm_mve"
