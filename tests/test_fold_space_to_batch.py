"""space_to_batch_nd, convolution, batch_to_space_nd: one dilated convolution, with the same numbers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.pass_graphs import Step, assert_same_outputs, build, reshape, text
from tinyptq.errors import TinyptqError
from tinyptq.ops.activation import RELU
from tinyptq.ops.batches import Blocks
from tinyptq.ops.conv_2d import Conv2D
from tinyptq.ops.depthwise_conv_2d import DepthwiseConv2D
from tinyptq.ops.window import Window
from tinyptq.passes import normalize
from tinyptq.passes.fold_space_to_batch import fold_space_to_batch

VALID = Conv2D(Window((3, 3)), RELU)
IMAGE = (1, 9, 7, 2)
SAME = Blocks((2, 2), (2, 2), (3, 3)), Blocks((2, 2), (0, 0), (1, 1))  # padding of 2 around, filled up to a block


def chain(convolution: Any, padding: Blocks, cropping: Blocks) -> tuple[Step, ...]:
    weights = ("d",) if isinstance(convolution, DepthwiseConv2D) else ("w", "b")
    op = "depthwise_conv_2d" if isinstance(convolution, DepthwiseConv2D) else "conv_2d"
    return (
        ("space_to_batch_nd", padding, ("x",), "phases"),
        (op, convolution, ("phases", *weights), "convolved"),
        ("batch_to_space_nd", cropping, ("convolved",), "y"),
    )


@pytest.mark.parametrize("convolution", [VALID, DepthwiseConv2D(Window((3, 3)), 2)])
def test_a_dilated_convolution(convolution: Any) -> None:
    before = build(*chain(convolution, *SAME), shape=IMAGE)
    after = fold_space_to_batch(before)
    assert text(after) in ("conv_2d", "depthwise_conv_2d")
    window = after.nodes[0].attrs.window
    assert window == Window((3, 3), (1, 1), (2, 2), 2, 2, 2, 2)
    assert_same_outputs(before, after)


def test_uneven_blocks_without_padding() -> None:
    before = build(*chain(VALID, Blocks((3, 1), (0, 0), (0, 0)), Blocks((3, 1), (0, 0), (0, 0))), shape=IMAGE)
    after = fold_space_to_batch(before)
    assert text(after) == "conv_2d"
    assert after.nodes[0].attrs.window.dilation == (3, 1)
    assert_same_outputs(before, after)


@pytest.mark.parametrize("along_columns", [False, True])
def test_a_sequence_between_reshapes(along_columns: bool) -> None:
    """Conv1D: the block has one axis, and the sequence is an image of one row or one column."""
    kernel = "line" if along_columns else "stack"
    images = ((3, 1, 4, 2), (3, 1, 2, 3)) if along_columns else ((3, 4, 1, 2), (3, 2, 1, 3))
    window = Window((1, 3)) if along_columns else Window((3, 1))
    before = build(
        ("space_to_batch_nd", Blocks((3,), (2,), (1,)), ("x",), "phases"),
        reshape("phases", "image", *images[0]),
        ("conv_2d", Conv2D(window), ("image", kernel, "b"), "convolved"),
        reshape("convolved", "back", *images[1][:1], 2, 3),
        ("batch_to_space_nd", Blocks((3,), (0,), (0,)), ("back",), "y"),
        shape=(1, 9, 2),
    )
    after = fold_space_to_batch(before)
    assert text(after) == "reshape conv_2d reshape"
    assert_same_outputs(before, after)


UNFOLDABLE = {
    "stride": chain(Conv2D(Window((3, 3), (2, 2))), SAME[0], Blocks((2, 2), (0, 0), (0, 0))),
    "padding": chain(Conv2D(Window((3, 3), pad_top=1)), SAME[0], Blocks((2, 2), (0, 0), (0, 0))),
    "cropping": chain(VALID, Blocks((2, 2), (0, 0), (1, 1)), Blocks((2, 2), (1, 0), (0, 0))),
}


@pytest.mark.parametrize("name", UNFOLDABLE)
def test_anything_else_is_refused_in_words(name: str) -> None:
    graph = build(*UNFOLDABLE[name], shape=IMAGE)
    assert fold_space_to_batch(graph) is graph
    with pytest.raises(TinyptqError, match="BATCH_TO_SPACE_ND needs: It ends a dilated convolution"):
        normalize(graph)
