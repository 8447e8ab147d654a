"""Sliding windows: SAME's arithmetic on paper, random windows against tflite-micro and C, hostile ones refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.laws import Case, c_law, draw, int_law, lower_case
from tinyptq.errors import TinyptqError
from tinyptq.graph import Tensor
from tinyptq.ops import average_pool_2d, conv_2d, depthwise_conv_2d, max_pool_2d
from tinyptq.ops.activation import RELU6
from tinyptq.ops.average_pool_2d import AveragePool2D
from tinyptq.ops.base import Op, TfliteOperator
from tinyptq.ops.conv_2d import Conv2D
from tinyptq.ops.depthwise_conv_2d import DepthwiseConv2D
from tinyptq.ops.max_pool_2d import MaxPool2D
from tinyptq.ops.window import Lines, Window, lines, make_window, read_window, same_padding

OPS = {op.OP.name: op.OP for op in (conv_2d, depthwise_conv_2d, average_pool_2d, max_pool_2d)}
SIDES = st.integers(1, 4)


@st.composite
def cases(draw_: Any, op: str) -> Case:
    """A random image, window and padding; convolutions also dilate and pad explicitly."""
    size, kernel = draw_(st.tuples(st.integers(1, 9), st.integers(1, 9))), draw_(st.tuples(SIDES, SIDES))
    stride, channels = draw_(st.tuples(SIDES, SIDES)), draw_(SIDES)
    dilation = draw_(st.tuples(st.integers(1, 3), st.integers(1, 3))) if "conv" in op else (1, 1)
    window = make_window(draw_(st.sampled_from(["same", "valid"])), size, kernel, stride, dilation)
    if min(window.output_size(*size)) < 1:
        window = make_window("same", size, kernel, stride, dilation)
    return make_case(op, (1, *size, channels), window, draw_(SIDES))


def make_case(op: str, shape: tuple[int, ...], window: Window, filters: int) -> Case:
    if op == "conv_2d":
        weights = draw(f"{shape}", filters, *window.kernel, shape[3])
        return Case("random", Conv2D(window, RELU6), (shape, weights, draw("bias", filters)), f"{window} over {shape}")
    if op == "depthwise_conv_2d":
        weights = draw(f"{shape}", 1, *window.kernel, shape[3] * filters)
        attrs = DepthwiseConv2D(window, filters)
        return Case("random", attrs, (shape, weights, draw("bias", weights.shape[3])), f"{window} over {shape}")
    pool = AveragePool2D(window) if op == "average_pool_2d" else MaxPool2D(window)
    return Case("random", pool, (shape,), f"{window} over {shape}")


@pytest.mark.parametrize("op", OPS)
def test_random_windows_equal_tflm(op: str) -> None:
    @settings(max_examples=25, deadline=None, derandomize=True)
    @given(cases(op))
    def equal(case: Case) -> None:
        int_law(OPS[op], case)

    equal()


def random_cases(op: str, count: int) -> list[Case]:
    rng = np.random.default_rng(len(op))
    chosen: list[Case] = []
    while len(chosen) < count:
        size, kernel, stride = (tuple(int(v) for v in rng.integers(1, high, 2)) for high in (10, 5, 5))
        dilation = tuple(int(v) for v in rng.integers(1, 4, 2)) if "conv" in op else (1, 1)
        pads = rng.integers(0, 3, 4).tolist() if "conv" in op else [0] * 4
        window = Window(kernel, stride, dilation, *pads)
        if "pool" in op and len(chosen) % 2:
            window = make_window("same", size, kernel, stride)
        if min(window.output_size(*size)) >= 1:
            chosen.append(make_case(op, (1, *size, int(rng.integers(1, 5))), window, int(rng.integers(1, 4))))
    return chosen


@pytest.mark.parametrize("op", OPS)
def test_random_windows_equal_c(op: str, tmp_path: Path) -> None:
    c_law(OPS[op], random_cases(op, 12), tmp_path)


@pytest.mark.parametrize("op", OPS)
def test_input_rows_are_all_a_row_block_reads(op: str) -> None:
    """Rows outside input_rows(first, end) do not change output rows [first, end)."""
    for case in random_cases(op, 8):
        assert_reads_only_its_rows(OPS[op], case)


def assert_reads_only_its_rows(op: Op, case: Case) -> None:
    lowered = lower_case(op, case)
    rows = op.rows(lowered.params)
    assert rows is not None
    x = lowered.inputs[0]
    expected = op.run_int(lowered.params, x)
    assert rows.count == expected.shape[1]
    for first in range(rows.count):
        low, high = rows.input_rows(first, first + 1)
        spoilt = np.full_like(x, 99)
        spoilt[:, low:high] = x[:, low:high]
        actual = op.run_int(lowered.params, spoilt)
        assert np.array_equal(actual[:, first], expected[:, first]), (case.why, first)


def test_same_padding_on_paper() -> None:
    """ceil(size / stride) outputs; the odd row of padding goes after."""
    assert same_padding(49, 10, 2, 1) == (4, 5)  # 25 outputs: 24·2 + 10 - 49 = 9
    assert same_padding(32, 3, 2, 1) == (0, 1)
    assert same_padding(5, 3, 1, 2) == (2, 2)  # the dilated kernel spans 5
    assert same_padding(9, 2, 4, 1) == (0, 1)
    assert same_padding(8, 1, 3, 1) == (0, 0)


def test_line_geometry_on_paper() -> None:
    """3 columns of 2 channels, one column of padding left and right, kernel 3x3 dilated by 2."""
    window = Window((3, 3), (2, 2), (2, 2), pad_left=1, pad_right=1)
    assert lines(window, (1, 9, 3, 2)) == Lines(
        padded=True,
        count=5,
        bytes=10,
        row_bytes=6,
        left_bytes=2,
        right_bytes=2,
        column_bytes=4,
        tap_bytes=4,
        run=2,
        skips=False,
    )


def operator(shape: tuple[int, ...], padding: int = 0) -> TfliteOperator:
    image = Tensor("x", shape, np.dtype(np.float32))
    return TfliteOperator("CONV_2D", SimpleNamespace(Padding=lambda: padding), (image,), ())


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "padding"),
    [
        ((1, 8, 8), (3, 3), (1, 1), 0),  # no image
        ((1, 8, 8, 1), (0, 3), (1, 1), 0),  # would divide by zero
        ((1, 8, 8, 1), (3, 3), (1, 0), 0),
        ((1, 8, 8, 1), (3, 3), (-1, 1), 0),
        ((1, 8, 8, 1), (3, 2**31 - 1), (1, 1), 0),  # would take for ever
        ((1, 8, 8, 1), (9, 1), (1, 1), 1),  # VALID, larger than the image
        ((1, 8, 8, 1), (3, 3), (1, 1), 7),  # no such padding
    ],
)
def test_hostile_windows_are_refused(
    shape: tuple[int, ...], kernel: tuple[int, int], stride: tuple[int, int], padding: int
) -> None:
    with pytest.raises(TinyptqError) as refusal:
        read_window(operator(shape, padding), kernel, stride)
    assert refusal.value.reference == "bad-window"
