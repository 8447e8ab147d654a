"""The float executor's own duties: memory, names, shapes. Its numbers are compared with LiteRT's in
test_frontend_tflite.py and, one operator at a time, in tests/ops."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.pass_graphs import IMAGE, build, relu
from tinyptq.errors import TinyptqError
from tinyptq.float_run import iterate_float, run_float
from tinyptq.graph import Array


def test_tensors_are_freed_after_their_last_reader() -> None:
    graph = build(*(relu(f"t{i}" if i else "x", f"t{i + 1}") for i in range(20)), outputs=("t20",))
    alive: list[Callable[[], Any]] = []
    for _, array in iterate_float(graph, {"x": np.ones((2, *IMAGE[1:]), np.float32)}):
        alive.append(weakref.ref(array))
        del array
        assert sum(reference() is not None for reference in alive) <= 3


def test_only_kept_tensors_are_returned() -> None:
    graph = build(relu("x", "a"), relu("a", "y"))
    found = run_float(graph, {"x": np.ones((2, *IMAGE[1:]), np.float32)}, keep=lambda name: name == "y")
    assert list(found) == ["y"]


@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        ({"z": np.zeros((1, 5, 4, 2))}, r"inputs \['z'\] given"),
        ({"x": np.zeros((1, 5, 4, 3))}, r"shape \[1, 5, 4, 3\] \(\[n, 5, 4, 2\] is needed\)"),
        ({"x": np.zeros((5, 4, 2))}, r"shape \[5, 4, 2\]"),
    ],
)
def test_wrong_inputs_are_refused(inputs: dict[str, Array], complaint: str) -> None:
    with pytest.raises(TinyptqError, match=complaint):
        run_float(build(relu("x", "y")), inputs)
