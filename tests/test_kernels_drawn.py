"""Layers drawn at random, many in one firmware: what the Arm kernels compute equals run_int, row block by row block.

Shapes, kernels, strides, dilations, paddings, clamps and zero points that nobody thought of when writing the tables of
the other files. A seed names its layers: a failure is repeated by running it alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests import test_kernels_dsp_depthwise, test_kernels_mve_conv
from tests.arm_layers import (
    Case,
    build,
    in_row_blocks,
    inputs_and_expected,
    joined,
    layer_program,
    planned,
    side_by_side,
)
from tinyptq.board import load_board
from tinyptq.graph import Array, Shape
from tinyptq.ops.activation import NONE, RELU, RELU6
from tinyptq.ops.window import Window
from tinyptq.program import Program
from tinyptq.run import run_firmware

LAYERS = 14  # of a firmware
CLAMPS = ((NONE, 7), (NONE, -128), (NONE, 127), (RELU, -128), (RELU6, -100))


def drawn(seed: int) -> Program:
    rng = np.random.default_rng(seed)
    return side_by_side({f"layer{i}": draw_layer(rng) for i in range(LAYERS)})


def draw_layer(rng: np.random.Generator) -> Program:
    clamp, zero_point = CLAMPS[rng.integers(len(CLAMPS))]
    inputs = int(rng.choice([1, 3, 4, 5, 8, 12, 15, 16, 17, 31, 32, 48, 65]))
    outputs = int(rng.choice([1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 33]))
    height, width = (int(side) for side in rng.integers(1, 9, 2))
    form = rng.integers(4)
    if form == 0:
        return layer_program(Case("d", "fully_connected", (1, inputs * height), outputs, "", clamp, zero_point))
    if form == 1:
        return layer_program(Case("p", "conv_2d", (1, height, width, inputs), outputs, "", clamp, zero_point))
    shape = (1, height, width, inputs)
    window = draw_window(rng, shape)
    if form == 2:
        return test_kernels_mve_conv.program_of(
            test_kernels_mve_conv.Case("c", shape, outputs, window, "", clamp, zero_point)
        )
    return test_kernels_dsp_depthwise.program_of(
        test_kernels_dsp_depthwise.Case("d", shape, window, "", clamp, zero_point)
    )


def draw_window(rng: np.random.Generator, shape: Shape) -> Window:
    """A kernel that fits into the image with its padding; 3x3 half of the time."""
    while True:
        kernel = (3, 3) if rng.integers(2) else tuple(int(side) for side in rng.integers(1, 6, 2))
        stride = (1, 1) if rng.integers(2) else tuple(int(step) for step in rng.integers(1, 4, 2))
        dilation = (1, 1) if rng.integers(3) else tuple(int(step) for step in rng.integers(1, 3, 2))
        pads = (0, 0, 0, 0) if rng.integers(4) == 0 else tuple(int(pad) for pad in rng.integers(0, 4, 4))
        window = Window((kernel[0], kernel[1]), (stride[0], stride[1]), (dilation[0], dilation[1]), *pads)
        if min(window.output_size(shape[1], shape[2])) >= 1:
            return window


def outputs_of(program: Program, name: str, folder: Path) -> tuple[list[Array], list[Array]]:
    """(run_int, firmware computing row blocks) of every layer."""
    board = load_board(name)
    images = build(program, in_row_blocks(program, planned(program, board)), board, folder)
    inputs, expected = inputs_and_expected(program, 4)
    sizes = [(i, e.shape[1]) for i, e in enumerate(expected)]
    bytes_out = joined(program, program.outputs, expected).shape[1]
    return expected, list(run_firmware(board, images.trace_elf, inputs, bytes_out, len(expected), sizes).layers)


@pytest.mark.parametrize("name", ["cortex-m55", "cortex-m4"])
@settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 2**32 - 1))
def test_drawn_layers(name: str, seed: int, tmp_path: Path) -> None:
    program = drawn(seed)
    expected, actual = outputs_of(program, name, tmp_path / f"{name}-{seed}")
    for layer, want, got in zip(program.layers, expected, actual, strict=True):
        np.testing.assert_array_equal(got, want, f"seed {seed}, {layer.name}: {layer.params}")
