"""RESIZE_BILINEAR: a line on paper, the laws on both alignments, up and down."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.laws import Case, c_law, file_law, float_law, int_law, parametrize, step_law, widened
from tests.ops.refusals import broken
from tinyptq.graph import QParams
from tinyptq.ops import resize_bilinear
from tinyptq.ops.base import Operand
from tinyptq.ops.resize import Resize

CASES = (
    Case("twice", Resize((8, 10)), ((1, 4, 5, 3),), "as a U-Net goes up"),
    Case("keras", Resize((8, 10), half_pixel_centers=True), ((1, 4, 5, 3),), "UpSampling2D of Keras"),
    Case("corners", Resize((7, 9), align_corners=True), ((1, 4, 5, 2),), "corner pixels meet"),
    Case("smaller", Resize((3, 4)), ((1, 7, 9, 2),), "down"),
    Case("smaller-half", Resize((3, 4), half_pixel_centers=True), ((1, 7, 9, 2),), "down, pixels are squares"),
    Case("smaller-corners", Resize((3, 4), align_corners=True), ((1, 7, 9, 2),), "down, corners meet"),
    Case("odd", Resize((13, 11), half_pixel_centers=True), ((1, 6, 7, 1),), "no whole factor, one channel"),
    Case("one", Resize((1, 1), align_corners=True), ((1, 3, 4, 2),), "a single pixel"),
    Case("from-one", Resize((4, 3)), ((1, 1, 1, 5),), "a pixel spread out, as ASPP pooling does"),
    Case("from-one-half", Resize((4, 3), half_pixel_centers=True), ((1, 1, 1, 5),), "the same"),
    Case("same", Resize((4, 5)), ((1, 4, 5, 2),), "no change"),
)
WIDE = widened(CASES)


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(resize_bilinear.OP, case)


@parametrize(CASES)
def test_integers_equal_tflm(case: Case) -> None:
    int_law(resize_bilinear.OP, case)


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(resize_bilinear.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(resize_bilinear.OP, (*CASES, *WIDE), tmp_path)


@settings(deadline=None, max_examples=60)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    wanted=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    alignment=st.sampled_from([(False, False), (True, False), (False, True)]),
)
def test_drawn_sizes_equal_tflm(size: tuple[int, int], wanted: tuple[int, int], alignment: tuple[bool, bool]) -> None:
    int_law(resize_bilinear.OP, Case("drawn", Resize(wanted, *alignment), ((1, *size, 1),), "drawn", count=2))


def test_on_paper() -> None:
    """Halfway between 10 and 21 lies 15.5, which rounds to 16, and between -10 and -21 -15.5, to -16."""
    qparams = QParams.per_tensor(1.0)
    shapes = Operand((1, 1, 2, 1), qparams), Operand((1, 1, 4, 1), qparams)
    params = resize_bilinear.lower(Resize((1, 4)), shapes[:1], shapes[1:])
    assert params.columns.tolist() == [[0, 0, 0], [0, 1, 512], [1, 1, 0], [1, 1, 512]]
    x = np.int8([[10, 21], [-10, -21]]).reshape(2, 1, 2, 1)
    assert resize_bilinear.run_int(params, x).reshape(2, 4).tolist() == [[10, 16, 21, 21], [-10, -16, -21, -21]]


@parametrize((*CASES, *WIDE))
def test_integers_are_near_the_floats(case: Case) -> None:
    """Beyond the rounding to a step, positions are off by up to 1/2048 pixel per pixel from the corner: a quarter of a
    step over full range in int8; int16 has 2^16 steps in that range.
    """
    steps = 1.25 if case.dtype == "int8" else 1.0 + 2**16 * sum(case.attrs.size) / 2048
    step_law(resize_bilinear.OP, case, steps)


def test_constraints() -> None:
    assert broken(resize_bilinear.OP, Resize((2, 2)), (1, 3, 3, 1)) == []
    assert broken(resize_bilinear.OP, Resize((2, 2), True, True), (1, 3, 3, 1)) == ["one_alignment"]
