"""The cases of every reduction, to numbers or to indices: which axes, in which order they lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.laws import Case


def reduction_cases(make: Callable[..., Any]) -> tuple[Case, ...]:
    """make: (axes, keep_dims) -> attributes."""
    return (
        Case("global", make((1, 2)), ((1, 5, 7, 9),), "over height and width"),
        Case("global-keep", make((1, 2), True), ((1, 5, 7, 9),), "the axes are kept"),
        Case("sequence", make((1,)), ((1, 30, 6),), "over a sequence"),
        Case("channels", make((3,)), ((1, 3, 4, 8),), "over the innermost axis"),
        Case("all", make((1, 2, 3)), ((1, 3, 4, 5),), "one number per sample"),
        Case("separated", make((1, 3), True), ((1, 3, 4, 5),), "reduced, kept, reduced"),
        Case("rank-5", make((2, 4)), ((1, 3, 2, 4, 5),), "kept, reduced, kept, reduced"),
        Case("size-1", make((2,)), ((1, 3, 1, 4),), "nothing to reduce: an axis of one"),
        Case("vector", make((1,), True), ((1, 9),), "a single run"),
    )


def index_cases(make: Callable[[int], Any]) -> tuple[Case, ...]:
    """make: axis -> attributes."""
    return (
        Case("classes", make(1), ((1, 12),), "the label of a classifier"),
        Case("pixels", make(3), ((1, 3, 4, 5),), "segmentation: a label per pixel"),
        Case("middle", make(2), ((1, 3, 4, 5),), "neighbours lie apart"),
        Case("first", make(1), ((1, 300, 2),), "indices beyond a byte"),
        Case("one", make(1), ((1, 1, 3),), "an axis of one", spread=1e-3),
    )
