"""Layers with weights drawn at random: shapes, strides, padding, dilation, clamps and zero points nobody thought of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests import test_kernels_dsp_conv as convs
from tests import test_kernels_dsp_depthwise as depthwise
from tests.arm_layers import Case, layer_program, side_by_side
from tinyptq.graph import Shape
from tinyptq.ops.activation import NONE, RELU, RELU6, Clamp
from tinyptq.ops.window import Window, make_window
from tinyptq.program import Program

CLAMPS: tuple[tuple[Clamp, int], ...] = ((NONE, 7), (NONE, -128), (NONE, 127), (RELU, -128), (RELU, 3), (RELU6, -100))


def drawn(seed: int, count: int = 24) -> Program:
    """So many unconnected layers: a third each of matrices, convolutions and depthwise convolutions."""
    rng = np.random.default_rng(seed)
    kinds: tuple[Callable[[np.random.Generator, str], Program], ...] = (matrix, convolution, channelwise)
    return side_by_side({f"layer{i}": kinds[i % 3](rng, f"layer{i}") for i in range(count)})


def matrix(rng: np.random.Generator, name: str) -> Program:
    clamp, zero_point = CLAMPS[rng.integers(len(CLAMPS))]
    shape: Shape
    if rng.integers(3) == 0:
        shape, op = (1, int(rng.integers(1, 300))), "fully_connected"
    else:
        height, width, depth = (int(n) for n in rng.integers(1, (7, 9, 70)))
        shape, op = (1, height, width, depth), "conv_2d"
    fill = int(rng.choice([-127, 127])) if rng.integers(6) == 0 else None
    outputs = int(rng.integers(1, 40))
    return layer_program(Case(name, op, shape, outputs, "drawn", clamp, zero_point, fill=fill))


def convolution(rng: np.random.Generator, name: str) -> Program:
    clamp, zero_point = CLAMPS[rng.integers(len(CLAMPS))]
    shape, window = image(rng, int(rng.integers(1, 20)))
    return convs.program_of(
        convs.Case(
            name,
            shape,
            int(rng.integers(1, 20)),
            window.kernel,
            "drawn",
            clamp=clamp,
            zero_point=zero_point,
            window=window,
        )
    )


def channelwise(rng: np.random.Generator, name: str) -> Program:
    clamp, zero_point = CLAMPS[rng.integers(len(CLAMPS))]
    shape, window = image(rng, int(rng.integers(1, 30)))
    return depthwise.program_of(depthwise.Case(name, shape, window, "drawn", clamp, zero_point))


def image(rng: np.random.Generator, channels: int) -> tuple[tuple[int, int, int, int], Window]:
    """An image no smaller than its window, one pixel wide now and then."""
    kernel = int(rng.integers(1, 6)), int(rng.integers(1, 5))
    stride = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    dilation = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    if rng.integers(4) == 0:
        kernel, dilation = (kernel[0], 1), (dilation[0], 1)
    extent = Window(kernel, stride, dilation).extent
    height = extent[0] + int(rng.integers(0, 8))
    width = 1 if kernel[1] == 1 and rng.integers(2) else extent[1] + int(rng.integers(0, 8))
    padding = "valid" if rng.integers(2) else "same"
    return (1, height, width, channels), make_window(padding, (height, width), kernel, stride, dilation)
