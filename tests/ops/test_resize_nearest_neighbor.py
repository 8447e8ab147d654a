"""RESIZE_NEAREST_NEIGHBOR: indices on paper, the laws on both alignments, up and down."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.laws import Case, c_law, file_law, float_law, int_law, parametrize
from tests.ops.refusals import broken
from tinyptq.ops import resize_nearest_neighbor
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


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(resize_nearest_neighbor.OP, case)


@parametrize(CASES)
def test_integers_equal_tflm(case: Case) -> None:
    int_law(resize_nearest_neighbor.OP, case)


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(resize_nearest_neighbor.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(resize_nearest_neighbor.OP, CASES, tmp_path)


@settings(deadline=None, max_examples=60)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    wanted=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    alignment=st.sampled_from([(False, False), (True, False), (False, True)]),
)
def test_drawn_sizes_equal_tflm(size: tuple[int, int], wanted: tuple[int, int], alignment: tuple[bool, bool]) -> None:
    int_law(resize_nearest_neighbor.OP, Case("drawn", Resize(wanted, *alignment), ((1, *size, 1),), "drawn", count=2))


def test_on_paper() -> None:
    x = np.array([[[[1], [2]]]], np.float32)
    assert resize_nearest_neighbor.run_float(Resize((1, 5)), x).ravel().tolist() == [1, 1, 1, 2, 2]
    # with align_corners 0.25 -> 0, 0.5 -> 1: half away from zero
    assert resize_nearest_neighbor.run_float(Resize((1, 5), align_corners=True), x).ravel().tolist() == [1, 1, 2, 2, 2]


def test_int16_in_c(tmp_path: Path) -> None:
    c_law(resize_nearest_neighbor.OP, (Case("int16", Resize((8, 10)), ((1, 4, 5, 3),), "", dtype="int16"),), tmp_path)


def test_constraints() -> None:
    assert broken(resize_nearest_neighbor.OP, Resize((2, 2)), (1, 3, 3, 1)) == []
    assert broken(resize_nearest_neighbor.OP, Resize((2, 2)), (1, 3, 3)) == ["an_image"]
