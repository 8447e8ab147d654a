"""GATHER: on paper, the laws over axes, shapes of indices and element types, hostile indices."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.laws import Case, c_law, file_law, float_law, int_law, parametrize, step_law
from tests.ops.refusals import broken
from tinyptq.errors import TinyptqError
from tinyptq.graph import Tensor
from tinyptq.ops import gather
from tinyptq.ops.base import TfliteOperator
from tinyptq.ops.gather import Gather

OP = gather.OP

CASES = (
    Case("channels", Gather(3, (2, 0), (2,)), ((1, 3, 4, 5),), "channels in another order, some left out"),
    Case("frames", Gather(1, (4, 4, 0, 1), (4,)), ((1, 5, 6),), "a frame twice"),
    Case("one", Gather(1, (3,), ()), ((1, 5, 6),), "a scalar index: the axis goes"),
    Case("matrix", Gather(2, (1, 0, 3, 2, 2, 1), (2, 3)), ((1, 2, 4, 3),), "indices with two axes"),
)
WIDE = (
    Case("int16", Gather(1, (2, 0), (2,)), ((1, 3, 4),), "two bytes each", dtype="int16"),
    Case("int32", Gather(2, (3, 3), (2,)), ((1, 3, 4),), "four bytes each", dtype="int32"),
)


def test_on_paper() -> None:
    x = np.float32([[[0, 1, 2], [3, 4, 5]]])
    assert gather.run_float(Gather(2, (2, 0), (2,)), x).tolist() == [[[2, 0], [5, 3]]]


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(OP, case)


@parametrize(CASES)  # tflite-micro moves int8 only
def test_integers_equal_tflm(case: Case) -> None:
    int_law(OP, case)


@parametrize(CASES)
def test_integers_are_the_floats(case: Case) -> None:
    step_law(OP, case, steps=0.001)  # nothing is rounded


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(OP, (*CASES, *WIDE), tmp_path)


def operator(axis: int, indices: list[int] | None, batch_dims: int = 0) -> TfliteOperator:
    data = None if indices is None else np.array(indices, np.int32)
    x, picked = Tensor("x", (1, 5), np.dtype(np.float32)), Tensor("i", (2,), np.dtype(np.int32), data)
    options = SimpleNamespace(Axis=lambda: axis, BatchDims=lambda: batch_dims)
    return TfliteOperator("GATHER", options, (x, picked), (x,))


def test_the_axis_is_counted_from_the_front() -> None:
    assert gather.read_tflite(operator(-1, [4, 0])) == Gather(1, (4, 0), (2,))


@pytest.mark.parametrize(
    ("axis", "indices", "batch_dims"), [(1, [0, 5], 0), (1, [0, -1], 0), (2, [0, 1], 0), (1, None, 0), (1, [0, 1], 1)]
)
def test_hostile_operands_are_refused(axis: int, indices: list[int] | None, batch_dims: int) -> None:
    with pytest.raises(TinyptqError):
        gather.read_tflite(operator(axis, indices, batch_dims))


def test_constraints() -> None:
    assert broken(OP, Gather(1, (0,), (1,)), (1, 4)) == []
    assert broken(OP, Gather(0, (0,), (1,)), (1, 4)) == ["keeps_batch"]
    assert broken(OP, Gather(1, (), (0,)), (1, 4)) == ["picks_something"]
