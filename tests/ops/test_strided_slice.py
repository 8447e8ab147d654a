"""STRIDED_SLICE: NumPy slices, TFLite masks, and the laws on steps of either sign."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.laws import Case, c_law, file_law, float_law, int_law, parametrize
from tests.ops.refusals import broken
from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, Shape, Tensor
from tinyptq.ops import strided_slice
from tinyptq.ops.base import TfliteOperator
from tinyptq.ops.strided_slice import StridedSlice

CASES = (
    Case("every-second", StridedSlice((0, 0, 1, 0), (1, 2, 2, 1), (1, 3, 2, 3), (1, 3, 2, 3)), ((1, 5, 5, 3),), "n"),
    Case("backwards", StridedSlice((0, 4, 0), (1, -1, 1), (1, 5, 3), (1, 5, 3)), ((1, 5, 3),), "down to index 0"),
    Case("backwards-part", StridedSlice((0, 0, 4), (1, 1, -2), (1, 3, 2), (1, 3, 2)), ((1, 3, 5),), "not to index 0"),
    Case("last-step", StridedSlice((0, 4, 0), (1, 1, 1), (1, 1, 3), (1, 3)), ((1, 5, 3),), "x[:, -1]"),
    Case("crop", StridedSlice((0, 1, 1, 0), (1, 1, 1, 1), (1, 3, 2, 3), (1, 3, 2, 3)), ((1, 5, 5, 3),), "a crop"),
    Case("two-vanish", StridedSlice((0, 2, 1, 0), (1, 1, 1, 1), (1, 1, 1, 3), (1, 3)), ((1, 4, 3, 3),), "one pixel"),
    Case("int16", StridedSlice((0, 1, 0), (1, 2, 1), (1, 2, 3), (1, 2, 3)), ((1, 5, 3),), "any type", dtype="int16"),
    Case("int32", StridedSlice((0, 1, 0), (1, 2, 1), (1, 2, 3), (1, 2, 3)), ((1, 5, 3),), "any type", dtype="int32"),
)


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(strided_slice.OP, case)


@parametrize(CASES)
def test_integers_equal_tflm(case: Case) -> None:
    int_law(strided_slice.OP, case)


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(strided_slice.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(strided_slice.OP, CASES, tmp_path)


NEW_AXIS = StridedSlice((0, 1, 0), (1, 1, 1), (1, 3, 2), (1, 3, 1, 2))


def test_on_paper() -> None:
    x = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    assert strided_slice.run_float(StridedSlice((0, 2, 3), (1, -2, -2), (1, 2, 2), (1, 2, 2)), x).tolist() == [
        [[11, 9], [3, 1]]
    ]


def test_a_new_axis_is_exported_as_a_reshape() -> None:
    case = Case("new-axis", NEW_AXIS, ((1, 5, 2),), "TFLM knows no mask for it")
    float_law(strided_slice.OP, case)
    int_law(strided_slice.OP, case)


def masked(shape: Shape, numbers: tuple[list[int], ...], **masks: int) -> TfliteOperator:
    """A StridedSlice as a file has it."""
    x = Tensor("x", shape, np.dtype(np.float32))
    arrays = [np.array(values, np.int32) for values in numbers]
    operands = tuple(Tensor("n", a.shape, a.dtype, a) for a in arrays)
    names = ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask", "Offset")
    options = SimpleNamespace(**{name: partial(int, masks.get(name, 0)) for name in names})
    return TfliteOperator("STRIDED_SLICE", options, (x, *operands), (x,))


X = np.arange(120, dtype=np.float32).reshape(1, 4, 5, 6)
MASKED = [
    (masked(X.shape, ([0, 1], [0, 3], [1, 1]), BeginMask=1, EndMask=1), X[:, 1:3]),
    (masked(X.shape, ([0, -1], [0, 0], [1, 1]), EndMask=1, ShrinkAxisMask=2), X[:, -1]),
    (masked(X.shape, ([0, 9], [1, -9], [1, -1])), X[:, ::-1]),
    (masked(X.shape, ([0, 1], [0, 3], [1, 2]), EndMask=1, EllipsisMask=1), X[..., 1:3:2]),
    (masked(X.shape, ([0, 0, 1], [0, 0, 3], [1, 1, 1]), EndMask=1, NewAxisMask=2), X[:, None, 1:3]),
    (masked(X.shape, ([0, 1], [1, 2], [1, 1]), Offset=1), X[:, 1:3]),
    (masked(X.shape, ([], [], [])), X),
]


@pytest.mark.parametrize(("operator", "expected"), MASKED)
def test_masks_mean_numpy_slices(operator: TfliteOperator, expected: Array) -> None:
    attrs = strided_slice.read_tflite(operator)
    assert strided_slice.infer_shapes(attrs, X.shape) == (expected.shape,)
    np.testing.assert_array_equal(strided_slice.run_float(attrs, X), expected)


HOSTILE = [
    masked((1, 5), ([0, 0], [1, 5], [1, 0])),
    masked((1, 5), ([0, 3], [1, 3], [1, 1])),
    masked((1, 5), ([0, 7], [1, 8], [1, 1]), ShrinkAxisMask=2),
    masked((1, 5), ([0, 0, 0], [1, 1, 1], [1, 1, 1])),
    masked((1, 5), ([0, 0], [1], [1, 1])),
    masked((), ([], [], [])),
]


@pytest.mark.parametrize("operator", HOSTILE)
def test_hostile_slices_are_refused(operator: TfliteOperator) -> None:
    with pytest.raises(TinyptqError):
        strided_slice.read_tflite(operator)


def test_constraints() -> None:
    assert broken(strided_slice.OP, CASES[3].attrs, (1, 5, 3)) == []
    assert broken(strided_slice.OP, StridedSlice((0, 1), (1, 1), (1, 1), (1,)), (3, 4)) == ["keeps_batch"]
    assert broken(strided_slice.OP, StridedSlice((0, 1), (1, 1), (1, 3), (3,)), (1, 4)) == ["keeps_batch"]
