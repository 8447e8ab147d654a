"""DSP kernel of depthwise convolution: every byte, none outside, few instructions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from tests.arm_layers import side_by_side
from tests.dsp_checks import check_every_byte, check_instructions, check_no_warning, check_nothing_outside
from tests.programs import activation, bias, qparams, single_layer_program, weights
from tinyptq.graph import Shape
from tinyptq.kernels import arm_dsp_depthwise, choose
from tinyptq.ops.activation import NONE, RELU, RELU6, Clamp
from tinyptq.ops.depthwise_conv_2d import DepthwiseConv2D
from tinyptq.ops.window import Window, make_window
from tinyptq.program import Program


@dataclass(frozen=True)
class Case:
    """shape: of the input."""

    id: str
    shape: Shape
    window: Window
    why: str
    clamp: Clamp = NONE
    zero_point: int = 7


def same(shape: Shape, kernel: tuple[int, int], stride: int = 1, dilation: int = 1) -> Window:
    return make_window("same", (shape[1], shape[2]), kernel, (stride, stride), (dilation, dilation))


def case(name: str, shape: Shape, kernel: tuple[int, int], why: str, stride: int = 1, **changes: object) -> Case:
    return Case(name, shape, same(shape, kernel, stride), why, **changes)  # type: ignore[arg-type]


CASES = (
    case("plain", (1, 5, 4, 16), (3, 3), "whole quads"),
    case("relu", (1, 5, 4, 16), (3, 3), "negative ties may round either way", clamp=RELU, zero_point=-128),
    case("relu6", (1, 4, 5, 8), (3, 3), "both clamps inside the int8 range", clamp=RELU6, zero_point=-100),
    case("odd", (1, 4, 4, 13), (3, 3), "the last quad overlaps"),
    case("few", (1, 4, 6, 4), (3, 3), "one quad"),
    case("five", (1, 4, 6, 5), (2, 3), "two quads that overlap but for one channel"),
    case("strided", (1, 9, 7, 12), (3, 3), "stride 2", stride=2),
    case("skips", (1, 9, 9, 8), (2, 2), "stride beyond the kernel", stride=3),
    case("wide", (1, 3, 3, 260), (3, 3), "columns beyond the write-back offset"),
    case("pixel", (1, 1, 1, 8), (1, 1), "one tap"),
    case("row", (1, 3, 6, 8), (1, 5), "one line"),
    case("most", (1, 5, 7, 6), (3, 5), "nearly as many taps as there may be", clamp=RELU6, zero_point=-100),
    Case("valid", (1, 6, 6, 8), Window((3, 3)), "no padding: one pointer reaches every line"),
    Case("valid-far", (1, 4, 30, 72), Window((3, 3)), "no padding, lines beyond the offset"),
    Case("tall", (1, 12, 3, 8), Window((7, 1)), "more lines than pointers, without padding"),
    Case("flat", (1, 20, 1, 40), Window((5, 1)), "one pixel wide"),
    Case("dilated", (1, 7, 8, 8), same((1, 7, 8, 8), (3, 3), dilation=2), "dilation 2"),
    Case("explicit", (1, 7, 8, 8), Window((3, 3), (2, 1), (1, 2), 2, 0, 1, 3), "padding of its own"),
)
KWS = case("kws", (1, 25, 5, 64), (3, 3), "the keyword spotter's", clamp=RELU, zero_point=-128)
VWW = case("vww", (1, 48, 48, 8), (3, 3), "the person detector's first", clamp=RELU, zero_point=-128)
STRIDED = case("strided", (1, 24, 24, 32), (3, 3), "the person detector's", stride=2, clamp=RELU, zero_point=-128)


def program_of(case: Case) -> Program:
    """One layer whose outputs use most of the int8 range."""
    rng = np.random.default_rng(len(case.id) + 1000 * case.shape[3])
    x, channels, taps = activation(case.shape, 0.02, -3), case.shape[3], int(np.prod(case.window.kernel))
    w = weights(rng, (1, *case.window.kernel, channels), axis=3, scale=0.03 / np.sqrt(taps))
    attrs = DepthwiseConv2D(case.window, 1, case.clamp)
    return single_layer_program(
        "depthwise_conv_2d", attrs, [x, w, bias(rng, x, w, 1 << 10)], qparams(0.03, case.zero_point)
    )


def table() -> Program:
    return side_by_side({case.id: program_of(case) for case in CASES})


@pytest.mark.parametrize("way", ["whole", "blocks"])
@pytest.mark.parametrize("name", ["cortex-m4", "cortex-m7", "cortex-m33"])
def test_every_byte_equals_numpy(name: str, way: str, tmp_path: Path) -> None:
    check_every_byte(table(), way, tmp_path, name, kernel="arm_dsp")


def test_every_byte_equals_numpy_when_clang_compiles(tmp_path: Path) -> None:
    pytest.importorskip("ziglang", reason="zig cc, a clang, comes with tinyptq[toolchain]")
    check_every_byte(table(), "blocks", tmp_path, prefix="absent-", kernel="arm_dsp")


def test_nothing_outside_the_tensors_is_touched(tmp_path: Path) -> None:
    check_nothing_outside(table(), tmp_path, kernel="arm_dsp")


@pytest.mark.parametrize("level", ["-O0", "-Os", "-O3"])
@pytest.mark.parametrize("compiler", ["arm-none-eabi-gcc", "clang"])
def test_compiles_without_a_warning_at_every_level(compiler: str, level: str, tmp_path: Path) -> None:
    check_no_warning(table(), compiler, level, tmp_path)


@pytest.mark.parametrize(("case", "limit"), [(KWS, 215_000), (VWW, 475_000), (STRIDED, 136_000)])
def test_instructions(case: Case, limit: int, tmp_path: Path) -> None:
    """CMSIS-NN needs 599,667 and 1,651,164 and 368,184 for layers of these shapes (gcc 12.2 -O3)."""
    check_instructions(side_by_side({case.id: program_of(case)}), limit, tmp_path, kernel="arm_dsp")


def test_preconditions_are_proved_or_the_kernel_steps_back() -> None:
    params = program_of(CASES[0]).layers[0].params
    assert arm_dsp_depthwise.supports(params)
    for changed in (
        replace(params, shift=np.zeros(16, np.int8)),
        replace(params, depth_multiplier=2),
        replace(params, window=Window((4, 1), pad_top=1)),
        replace(params, window=Window((3, 6))),
    ):
        assert not arm_dsp_depthwise.supports(changed)
    assert choose(program_of(CASES[0]).layers[0], ["portable"]).isa == "portable"


def test_half_words_on_paper() -> None:
    """Channels (0, 2) then (1, 3), doubled: -3 becomes 0xFFFA."""
    params = program_of(case("paper", (1, 1, 1, 4), (1, 1), "")).layers[0].params
    params = replace(params, weights=np.array([1, 2, -3, 4], np.int8).reshape(1, 1, 1, 4))
    params = replace(params, bias=np.array([5, -7, 9, 0], np.int32), shift=np.full(4, -1, np.int8))
    stream = arm_dsp_depthwise.pack(params)["stream"].reshape(-1)
    assert stream[:4].tolist() == (2 * params.folded_bias).tolist()
    assert stream[4:6].view(np.uint32).tolist() == [0xFFFA_0002, 0x0008_0004]
