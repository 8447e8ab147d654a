"""RESHAPE: the same bytes under another shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.laws import Case, c_law, float_law, int_law, parametrize, step_law, widened
from tests.ops.refusals import broken
from tinyptq.graph import Tensor
from tinyptq.ops import reshape
from tinyptq.ops.base import TfliteOperator
from tinyptq.ops.reshape import Reshape, ReshapeInt

CASES = (
    Case("flatten", Reshape((1, 60)), ((1, 5, 4, 3),), "before a dense layer"),
    Case("image", Reshape((1, 5, 4, 1)), ((1, 20),), "a vector becomes an image"),
    Case("same", Reshape((1, 3)), ((1, 3),), "nothing changes"),
)
WIDE = (*widened(CASES), *widened(CASES, "int32"))


def test_on_paper() -> None:
    x = np.int8([[[1, 2], [3, 4]], [[5, 6], [7, 8]]])
    assert reshape.run_int(ReshapeInt((1, 4), "int8"), x).tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


@pytest.mark.parametrize("builtin", ["RESHAPE", "SQUEEZE", "EXPAND_DIMS"])
def test_reading_takes_the_shape_of_the_output(builtin: str) -> None:
    image, flat = (Tensor(name, shape, np.dtype(np.float32)) for name, shape in (("x", (1, 2, 3)), ("y", (1, 6))))
    assert reshape.OP.read_tflite(TfliteOperator(builtin, None, (image,), (flat,))) == Reshape((1, 6))


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(reshape.OP, case)


@parametrize((*CASES, *WIDE))
def test_integers_equal_tflm(case: Case) -> None:
    int_law(reshape.OP, case)


@parametrize((*CASES, *WIDE))
def test_integers_stay_near_float(case: Case) -> None:
    step_law(reshape.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(reshape.OP, (*CASES, *WIDE), tmp_path)


def test_constraints() -> None:
    assert broken(reshape.OP, Reshape((1, 6)), (1, 2, 3)) == []
    assert broken(reshape.OP, Reshape((1, 7)), (1, 2, 3)) == ["same_size"]
    assert broken(reshape.OP, Reshape((6,)), (1, 2, 3)) == ["same_size"]
    assert broken(reshape.OP, Reshape((1, -1)), (1, 2, 3)) == ["same_size"]
