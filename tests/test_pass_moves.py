"""Passes over operators that move data: what moves nothing is dropped, or becomes a reshape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.pass_graphs import assert_same_outputs, build, relu, text
from tinyptq.float_run import run_float
from tinyptq.ops.mirror_pad import MirrorPad
from tinyptq.ops.pad_v2 import PadV2
from tinyptq.ops.resize import Resize
from tinyptq.ops.slice import Slice
from tinyptq.ops.space_to_depth import SpaceToDepth
from tinyptq.ops.strided_slice import StridedSlice
from tinyptq.ops.tile import Tile
from tinyptq.ops.transpose import Transpose
from tinyptq.passes.drop_identities import drop_identities
from tinyptq.passes.reshape_transposes import reshape_transposes

WHOLE = (1, 5, 4, 2)
NOTHING: list[tuple[str, Any]] = [
    ("slice", Slice((0,) * 4, WHOLE)),
    ("strided_slice", StridedSlice((0,) * 4, (1,) * 4, WHOLE, WHOLE)),
    ("tile", Tile((1,) * 4)),
    ("pad_v2", PadV2((0,) * 4, (0,) * 4, 3.0)),
    ("mirror_pad", MirrorPad((0,) * 4, (0,) * 4)),
    ("space_to_depth", SpaceToDepth(1)),
    ("resize_nearest_neighbor", Resize((5, 4), half_pixel_centers=True)),
    ("resize_bilinear", Resize((5, 4), align_corners=True)),
]


@pytest.mark.parametrize(("op", "attrs"), NOTHING)
def test_what_moves_nothing_is_dropped(op: str, attrs: Any) -> None:
    before = build((op, attrs, ("x",), "same"), relu("same", "y"))
    after = drop_identities(before)
    assert text(after) == "relu"
    assert_same_outputs(before, after)


def test_backwards_is_not_nothing() -> None:
    attrs = StridedSlice((0, 4, 0, 0), (1, -1, 1, 1), WHOLE, WHOLE)
    graph = build(("strided_slice", attrs, ("x",), "back"), relu("back", "y"))
    assert drop_identities(graph) is graph


@pytest.mark.parametrize(
    ("shape", "permutation"), [((1, 5, 1, 2), (0, 2, 1, 3)), ((1, 1, 5, 2), (1, 0, 2, 3)), ((1, 3, 2), (0, 1, 2))]
)
def test_a_transpose_of_ones_is_a_reshape(shape: tuple[int, ...], permutation: tuple[int, ...]) -> None:
    before = build(("transpose", Transpose(permutation), ("x",), "y"), shape=shape)
    after = reshape_transposes(before)
    assert text(after) == "reshape"
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    np.testing.assert_array_equal(run_float(after, {"x": x})["y"], x.transpose(permutation))


def test_a_transpose_of_more_stays() -> None:
    graph = build(("transpose", Transpose((0, 2, 1, 3)), ("x",), "y"))
    assert reshape_transposes(graph) is graph
