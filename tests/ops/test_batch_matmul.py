"""BATCH_MATMUL: a product on paper, the laws over transpositions and broadcasts, drawn shapes against tflite-micro."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.laws import Case, c_law, draw, file_law, float_law, int_law, parametrize, step_law
from tests.ops.exhaustive import scales, zero_points
from tests.ops.refusals import broken
from tinyptq.errors import TinyptqError
from tinyptq.graph import QParams
from tinyptq.ops import batch_matmul
from tinyptq.ops.base import Operand
from tinyptq.ops.batch_matmul import BatchMatMul

OP = batch_matmul.OP
per_tensor = QParams.per_tensor

CASES = (
    Case("plain", BatchMatMul(), ((1, 4, 6), (1, 6, 5)), "two activations"),
    Case("scores", BatchMatMul(False, True), ((1, 2, 7, 4), (1, 2, 7, 4)), "attention: queries by keys, per head"),
    Case("adj-x", BatchMatMul(True, False), ((1, 6, 4), (1, 6, 5)), "the first transposed"),
    Case("both", BatchMatMul(True, True), ((1, 6, 4), (1, 5, 6)), "both transposed"),
    Case("weights", BatchMatMul(), ((1, 4, 6), draw("w", 1, 6, 5)), "a constant second operand"),
    Case("weights-adj", BatchMatMul(False, True), ((1, 4, 6), draw("wt", 1, 5, 6)), "the same, transposed"),
    Case("constant-first", BatchMatMul(), (draw("first", 1, 4, 6), (1, 6, 5)), "a constant first operand"),
    Case("heads", BatchMatMul(), ((1, 3, 4, 6), (1, 1, 6, 5)), "one second matrix for all heads"),
    Case("outer", BatchMatMul(), ((1, 5, 1), (1, 1, 5)), "a depth of one"),
)
RANK = (
    Case("shared", BatchMatMul(), ((1, 3, 6), draw("shared", 6, 5)), "a constant without batch axes"),
    Case("dense", BatchMatMul(), ((1, 6), draw("dense", 6, 5)), "a dense layer in disguise"),
)
WIDE = (
    *(replace(c, id=f"int16-{c.id}", dtype="int16") for c in (*CASES, *RANK)),
    Case("int16-deep", BatchMatMul(), ((1, 3, 300), (1, 300, 2)), "sums far beyond 32 bits", dtype="int16"),
)


def test_on_paper() -> None:
    # [(3 − 1) · 0.5, (5 − 1) · 0.5] = [1, 2] by [[2, 0], [1, −1]] (steps of 1): [4, −2], and / 0.25 + 10 = [26, 2]
    operands = (Operand((1, 1, 2), per_tensor(0.5, 1)), Operand((1, 2, 2), per_tensor(1.0)))
    params = batch_matmul.lower(BatchMatMul(), operands, (Operand((1, 1, 2), per_tensor(0.25, 10)),))
    y = batch_matmul.run_int(params, np.int8([[[3, 5]]]), np.int8([[[2, 0], [1, -1]]]))
    assert y.tolist() == [[[26, 2]]]


def test_int16_on_paper() -> None:
    # 30000 · 2 + 2 · 3 = 60006, · 1/4 = 15001.5 -> 15002; 30000 · 0 − 2 · 1 = −2, · 1/4 = −0.5 -> 0
    int16 = np.dtype(np.int16)
    operands = tuple(Operand(shape, per_tensor(0.5), dtype=int16) for shape in ((1, 1, 2), (1, 2, 2)))
    params = batch_matmul.lower(BatchMatMul(), operands, (Operand((1, 1, 2), per_tensor(1.0), dtype=int16),))
    y = batch_matmul.run_int(params, np.int16([[[30000, 2]]]), np.int16([[[2, 0], [3, -1]]]))
    assert y.tolist() == [[[15002, 0]]]


@parametrize((*CASES, *RANK))
def test_float_equals_litert(case: Case) -> None:
    float_law(OP, case)


@parametrize((*CASES, *RANK, *WIDE))
def test_integers_equal_tflm(case: Case) -> None:
    int_law(OP, case)


@parametrize((*CASES, *RANK, *WIDE))
def test_integers_stay_near_float(case: Case) -> None:
    step_law(OP, case, 1.5 if case.dtype == "int16" else 1.0)  # of 15 bits of multiplier


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(OP, (*CASES, *RANK, *WIDE), tmp_path)


@settings(deadline=None, max_examples=40)
@given(
    adjoint=st.tuples(st.booleans(), st.booleans()),
    sizes=st.tuples(*[st.integers(1, 9)] * 3),
    heads=st.sampled_from([(), (1,), (3,), (2, 2)]),
    points=st.tuples(*[zero_points] * 3),
    inputs=st.tuples(scales(1e-3, 10), scales(1e-3, 10)),
    ratio=scales(0.5, 1e4),
)
def test_drawn_products_equal_tflm(
    adjoint: tuple[bool, bool],
    sizes: tuple[int, int, int],
    heads: tuple[int, ...],
    points: tuple[int, int, int],
    inputs: tuple[float, float],
    ratio: float,
) -> None:
    rows, depth, columns = sizes
    first = (1, *heads, *((depth, rows) if adjoint[0] else (rows, depth)))
    second = (1, *heads, *((columns, depth) if adjoint[1] else (depth, columns)))
    forced: dict[int | str, QParams] = {
        0: per_tensor(inputs[0], points[0]),
        1: per_tensor(inputs[1], points[1]),
        "output": per_tensor(inputs[0] * inputs[1] * ratio, points[2]),
    }
    int_law(OP, Case("drawn", BatchMatMul(*adjoint), (first, second), "drawn", qparams=forced, count=4))


@settings(deadline=None, max_examples=40)
@given(
    adjoint=st.tuples(st.booleans(), st.booleans()),
    sizes=st.tuples(st.integers(1, 5), st.integers(1, 400), st.integers(1, 5)),
    inputs=st.tuples(scales(1e-6, 1), scales(1e-6, 1)),
    ratio=scales(1 / 64, 1e8),
)
def test_drawn_int16_products_equal_tflm(
    adjoint: tuple[bool, bool], sizes: tuple[int, int, int], inputs: tuple[float, float], ratio: float
) -> None:
    """Quotients of scales from where everything saturates to where nothing is left."""
    rows, depth, columns = sizes
    first = (1, depth, rows) if adjoint[0] else (1, rows, depth)
    second = (1, columns, depth) if adjoint[1] else (1, depth, columns)
    ratio = max(ratio, depth / 1.9)  # all of it below 2^31 steps
    forced: dict[int | str, QParams] = {
        0: per_tensor(inputs[0]),
        1: per_tensor(inputs[1]),
        "output": per_tensor(inputs[0] * inputs[1] * ratio),
    }
    case = Case("drawn", BatchMatMul(*adjoint), (first, second), "drawn", qparams=forced, count=4, dtype="int16")
    int_law(OP, case)


@pytest.mark.parametrize("seed", range(6))
def test_ties_equal_tflm(seed: int) -> None:
    """A multiplier next to 2^−9, so that many sums lie half way between two steps: a product in float32 shows."""
    generator = np.random.default_rng(seed)
    first, second = np.exp(generator.uniform(-4, 0, 2)).astype(np.float32)
    forced: dict[int | str, QParams] = {
        0: per_tensor(float(first), -128),
        1: per_tensor(float(second), -128),
        "output": per_tensor(float(first * second * np.float32(512)), 0),
    }
    shapes = (1, 100, 4), (1, 4, 100)
    int_law(OP, Case(f"ties-{seed}", BatchMatMul(), shapes, "ties", qparams=forced, count=4))


def test_an_overflow_is_refused() -> None:
    operands = (Operand((1, 1, 40000), per_tensor(1.0)), Operand((1, 40000, 1), per_tensor(1.0)))
    with pytest.raises(TinyptqError, match="beyond a 32-bit accumulator"):
        batch_matmul.lower(BatchMatMul(), operands, (Operand((1, 1, 1), per_tensor(1e9)),))


@pytest.mark.parametrize(("depth", "scale"), [(1 << 17, 1e9), (2, 1.0), (1, 2.0**-8)])
def test_int16_sums_tflite_cannot_rescale_are_refused(depth: int, scale: float) -> None:
    """47 bits, results of 32 bits, a shift to the left of 7."""
    int16 = np.dtype(np.int16)
    operands = tuple(Operand(shape, per_tensor(1.0), dtype=int16) for shape in ((1, 1, depth), (1, depth, 1)))
    with pytest.raises(TinyptqError, match="steps of the output"):
        batch_matmul.lower(BatchMatMul(), operands, (Operand((1, 1, 1), per_tensor(scale), dtype=int16),))


def test_one_type_for_all() -> None:
    operands = (Operand((1, 1, 2), per_tensor(1.0), dtype=np.dtype(np.int16)), Operand((1, 2, 1), per_tensor(1.0)))
    with pytest.raises(TinyptqError, match="int8 beside int16"):
        batch_matmul.lower(BatchMatMul(), operands, (Operand((1, 1, 1), per_tensor(1.0), dtype=np.dtype(np.int16)),))


def test_constraints() -> None:
    assert broken(OP, BatchMatMul(), (1, 4, 6), (1, 6, 5)) == []
    assert broken(OP, BatchMatMul(), (1, 4, 6), (1, 5, 6)) == ["matrices_fit"]
    assert broken(OP, BatchMatMul(), (1, 2, 4, 6), (1, 3, 6, 5)) == ["matrices_fit"]
    assert broken(OP, BatchMatMul(), (1, 4, 6), draw("batch", 2, 6, 5)) == ["matrices_fit"]
    assert broken(OP, BatchMatMul(), (1, 6), (6, 5)) == ["batch_apart"]
    assert broken(OP, BatchMatMul(True), (6, 1), draw("adj", 6, 5)) == ["batch_apart"]
    assert broken(OP, BatchMatMul(), draw("a", 1, 4, 6), draw("b", 1, 6, 5)) == ["one_activation"]
