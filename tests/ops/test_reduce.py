"""Axes of reductions: merged into runs, read from hostile files."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, Tensor
from tinyptq.ops.base import TfliteOperator
from tinyptq.ops.reduce import Loop, Loops, loops, read_axes, reduced_shape


def test_runs_on_paper() -> None:
    """Axes 1, 2 of [1, 5, 7, 9]: 35 steps of 9 elements, for each of 9 neighbours."""
    none = Loop(1, 0)
    assert loops((1, 5, 7, 9), (1, 2)) == Loops((none, Loop(9, 1)), (none, Loop(35, 9)))
    assert loops((1, 3, 2, 4, 5), (2, 4)) == Loops((Loop(3, 40), Loop(4, 5)), (Loop(2, 20), Loop(5, 1)))
    assert loops((1, 3, 1, 4), (2,)) == Loops((none, Loop(12, 1)), (none, none))


def test_reduced_shape() -> None:
    assert reduced_shape((1, 5, 7, 9), (1, 2), keep_dims=True) == (1, 1, 1, 9)
    assert reduced_shape((1, 5, 7, 9), (1, 2), keep_dims=False) == (1, 9)


def operator(axes: Array | None) -> TfliteOperator:
    x = Tensor("x", (1, 2, 3, 4), np.dtype(np.float32))
    operand = Tensor("axes", (2,), np.dtype(np.int32), axes)
    return TfliteOperator("MEAN", SimpleNamespace(KeepDims=lambda: True), (x, operand), ())


def test_axes_are_counted_from_the_front_and_once() -> None:
    assert read_axes(operator(np.array([-1, 2, 3], np.int32))) == ((2, 3), True)
    assert read_axes(operator(np.array(1, np.int32))) == ((1,), True)


@pytest.mark.parametrize(("axes", "reference"), [(None, "axes-not-constant"), ([4], "bad-axis"), ([-5], "bad-axis")])
def test_hostile_axes_are_refused(axes: list[int] | None, reference: str) -> None:
    with pytest.raises(TinyptqError) as refusal:
        read_axes(operator(None if axes is None else np.array(axes, np.int32)))
    assert refusal.value.reference == reference
