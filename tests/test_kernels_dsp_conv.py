"""DSP kernel of convolutions with any kernel: every byte, none outside, few instructions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from tests.arm_layers import side_by_side
from tests.dsp_checks import check_every_byte, check_instructions, check_no_warning, check_nothing_outside
from tests.programs import activation, bias, qparams, single_layer_program, weights
from tinyptq.graph import Shape
from tinyptq.kernels import arm_dsp_conv, choose
from tinyptq.kernels.proofs import pointwise
from tinyptq.ops.activation import NONE, RELU, RELU6, Clamp
from tinyptq.ops.conv_2d import OP, Conv2D
from tinyptq.ops.window import Window, make_window
from tinyptq.program import Program


@dataclass(frozen=True)
class Case:
    """shape: of the input. stride of both axes."""

    id: str
    shape: Shape
    outputs: int
    kernel: tuple[int, int]
    why: str
    stride: int = 1
    padding: str = "same"
    dilation: int = 1
    clamp: Clamp = NONE
    zero_point: int = 7
    window: Window | None = None


CASES = (
    Case("plain", (1, 5, 4, 16), 8, (3, 3), "rows of whole tiles"),
    Case("relu", (1, 5, 8, 8), 4, (3, 3), "negative ties may round either way", clamp=RELU, zero_point=-128),
    Case("relu6", (1, 5, 8, 8), 5, (3, 3), "odd channels, both clamps", clamp=RELU6, zero_point=-100),
    Case("rgb", (1, 7, 6, 3), 8, (3, 3), "runs of nine bytes are gathered"),
    Case("speech", (1, 11, 10, 1), 6, (10, 4), "tall, stride 2, tiles across rows", stride=2),
    Case("image", (1, 9, 9, 3), 8, (3, 3), "gathered, stride 2, odd width", stride=2),
    Case("valid", (1, 6, 7, 4), 4, (3, 3), "no padding: lines are rows of the input", padding="valid"),
    Case("valid-gathered", (1, 6, 7, 5), 3, (2, 3), "the same, gathered", padding="valid"),
    Case("shortcut", (1, 8, 8, 16), 12, (1, 1), "a single tap, stride 2", stride=2),
    Case("skips", (1, 9, 9, 4), 4, (2, 2), "stride beyond the kernel", stride=3),
    Case("dilated", (1, 7, 8, 4), 6, (3, 3), "each tap a run", dilation=2),
    Case("dilated-gathered", (1, 7, 8, 3), 6, (3, 3), "each tap gathered", dilation=2),
    Case("pixel", (1, 3, 3, 4), 4, (3, 3), "one output", padding="valid"),
    Case("column", (1, 9, 1, 8), 6, (3, 1), "rows of one pixel"),
    Case("long", (1, 4, 5, 44), 7, (3, 3), "runs of 33 groups: many turns, few at a time"),
    Case("prime", (1, 4, 5, 13), 2, (5, 5), "gathered, more than one turn"),
    Case("explicit", (1, 7, 8, 6), 4, (3, 3), "padding of its own", window=Window((3, 3), (2, 1), (1, 2), 2, 0, 1, 3)),
)
IC = Case("ic", (1, 16, 16, 32), 32, (3, 3), "the image classifier's", clamp=RELU, zero_point=-128)
IC_FIRST = Case("first", (1, 32, 32, 3), 16, (3, 3), "its first layer", clamp=RELU, zero_point=-128)
KWS = Case("kws", (1, 49, 10, 1), 64, (10, 4), "the keyword spotter's", stride=2, clamp=RELU, zero_point=-128)


def program_of(case: Case) -> Program:
    rng = np.random.default_rng(len(case.id) + 1000 * case.outputs)
    size = case.shape[1], case.shape[2]
    stride, dilation = (case.stride, case.stride), (case.dilation, case.dilation)
    window = case.window or make_window(case.padding, size, case.kernel, stride, dilation)
    x = activation(case.shape, 0.02, -3)
    inputs = case.kernel[0] * case.kernel[1] * case.shape[3]
    w = weights(rng, (case.outputs, *case.kernel, case.shape[3]), axis=0, scale=0.08 / np.sqrt(inputs))
    return single_layer_program(
        "conv_2d", Conv2D(window, case.clamp), [x, w, bias(rng, x, w)], qparams(0.05, case.zero_point)
    )


def table() -> Program:
    return side_by_side({case.id: program_of(case) for case in CASES})


@pytest.mark.parametrize("way", ["whole", "blocks"])
@pytest.mark.parametrize("name", ["cortex-m4", "cortex-m7", "cortex-m33"])
def test_every_byte_equals_numpy(name: str, way: str, tmp_path: Path) -> None:
    check_every_byte(table(), way, tmp_path, name)


def test_every_byte_equals_numpy_when_clang_compiles(tmp_path: Path) -> None:
    pytest.importorskip("ziglang", reason="zig cc, a clang, comes with tinyptq[toolchain]")
    check_every_byte(table(), "blocks", tmp_path, prefix="absent-")


def test_nothing_outside_the_tensors_is_touched(tmp_path: Path) -> None:
    check_nothing_outside(table(), tmp_path)


@pytest.mark.parametrize(("case", "limit"), [(IC, 1_870_000), (IC_FIRST, 545_000), (KWS, 305_000)])
def test_instructions(case: Case, limit: int, tmp_path: Path) -> None:
    """CMSIS-NN needs 4,542,391, 2,134,186 and 1,111,227 for layers of these shapes (gcc 12.2 -O3)."""
    check_instructions(side_by_side({case.id: program_of(case)}), limit, tmp_path)


@pytest.mark.parametrize("level", ["-O0", "-Os", "-O3"])
@pytest.mark.parametrize("compiler", ["arm-none-eabi-gcc", "clang"])
def test_compiles_without_a_warning_at_every_level(compiler: str, level: str, tmp_path: Path) -> None:
    check_no_warning(table(), compiler, level, tmp_path)


def test_preconditions_are_proved_or_the_kernel_steps_back() -> None:
    params = program_of(CASES[0]).layers[0].params
    assert arm_dsp_conv.supports(params)
    assert not arm_dsp_conv.supports(replace(params, shift=np.zeros(8, np.int8)))
    assert not arm_dsp_conv.supports(replace(params, window=Window((1, 1))))  # arm_dsp does it
    assert choose(program_of(CASES[0]).layers[0], ["portable"]).isa == "portable"


def test_a_channel_that_never_changes_does_not_hold_up_the_others() -> None:
    """Channel 1: so small a scale that every input gives the same; its numbers are beyond the short requantization."""
    params = program_of(CASES[0]).layers[0].params
    shift, bias_ = params.shift.copy(), params.bias.copy()
    shift[1], bias_[1] = -29, 2**30 + 2**28
    dead = replace(params, shift=shift, bias=bias_)
    assert arm_dsp_conv.supports(dead)
    x = np.random.default_rng(1).integers(-128, 128, (2, *params.input_shape[1:])).astype(np.int8)
    expected = OP.run_int(dead, x)
    assert len(np.unique(expected[..., 1])) == 1
    layer = pointwise(dead)
    replaced = replace(
        dead,
        weights=layer.weights.reshape(dead.weights.shape),
        bias=layer.bias,
        multiplier=layer.multiplier,
        shift=layer.shift,
    )
    assert not layer.weights[1].any()
    np.testing.assert_array_equal(OP.run_int(replaced, x), expected)
