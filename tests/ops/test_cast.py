"""CAST: numbers on paper, every pair of types against tflite-micro and in C."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.laws import Case, c_law, float_law, int_law, parametrize
from tinyptq.graph import Graph, Node, Tensor
from tinyptq.ops import cast
from tinyptq.ops.cast import Cast, CastInt
from tinyptq.ops.element import INTEGERS

CASES = (
    Case("int8", Cast(), ((1, 3, 4, 5),), "the usual input"),
    Case("int16", Cast(), ((1, 300),), "high bytes are dropped", dtype="int16"),
    Case("int32", Cast(), ((1, 40),), "what ARG_MAX gives", dtype="int32"),
)
to = pytest.mark.parametrize("target", INTEGERS)


def test_on_paper() -> None:
    x = np.array([[127, 128, -129, 256]], np.int16)
    assert cast.run_int(CastInt((1, 4), "int16", "int8"), x).tolist() == [[127, -128, 127, 0]]


@parametrize(CASES[:1])
def test_float_equals_litert(case: Case) -> None:
    float_law(cast.OP, case)


@to
@parametrize(CASES)
def test_integers_equal_tflm(case: Case, target: str) -> None:
    int_law(replace(cast.OP, output_dtype=np.dtype(target)), case)


@to
def test_c_equals_numpy(target: str, tmp_path: Path) -> None:
    c_law(replace(cast.OP, output_dtype=np.dtype(target)), CASES, tmp_path)


def test_constraints() -> None:
    for types, broken in ((("int8", "int32"), False), (("float32", "float32"), False), (("int8", "float32"), True)):
        tensors = {name: Tensor(name, (1, 3), np.dtype(t)) for name, t in zip("xy", types, strict=True)}
        node = Node("cast", "node", ("x",), ("y",), Cast(), "operator 0 'node'")
        graph = Graph("graph", tensors, (node,), ("x",), ("y",))
        assert cast.between_integers(graph, node) is not broken
