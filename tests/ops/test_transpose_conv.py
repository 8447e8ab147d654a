"""TRANSPOSE_CONV: overlapping taps on paper, then the laws over strides, kernels, paddings and clamps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.laws import Case, c_law, draw, file_law, float_law, int_law, lower_case, parametrize, step_law
from tests.ops.refusals import broken, types_law
from tinyptq.graph import QParams
from tinyptq.ops import transpose_conv
from tinyptq.ops.activation import RELU, RELU6, Clamp
from tinyptq.ops.base import Operand
from tinyptq.ops.transpose_conv import TransposeConv, cropping


def case(
    name: str,
    image: tuple[int, ...],
    filters: tuple[int, ...],
    stride: tuple[int, int],
    padding: str,
    why: str,
    activation: Clamp = Clamp(),  # noqa: B008 - frozen
) -> Case:
    """The output has the size Keras gives it."""
    kernel = filters[1:3]
    same = padding == "same"
    size = tuple(image[1 + i] * stride[i] + (0 if same else max(kernel[i] - stride[i], 0)) for i in (0, 1))
    attrs = TransposeConv(stride, cropping(padding, size, kernel, stride), size, activation)
    return Case(name, attrs, (image, draw(f"{name}/w", *filters), draw(f"{name}/b", filters[0])), why)


COARSE: dict[int | str, QParams] = {0: QParams.per_tensor(0.01), "output": QParams.per_tensor(0.02)}
CASES = (
    case("2x2-s2", (1, 4, 5, 3), (6, 2, 2, 3), (2, 2), "valid", "blocks that do not overlap, as in a U-Net"),
    case("3x3-s2-same", (1, 4, 5, 3), (5, 3, 3, 3), (2, 2), "same", "taps overlap, the border is lost", RELU),
    case("3x3-s2-valid", (1, 3, 4, 2), (3, 3, 3, 2), (2, 2), "valid", "nothing is lost"),
    case("3x3-s1", (1, 4, 4, 2), (3, 3, 3, 2), (1, 1), "same", "a convolution backwards", RELU6),
    case("4x4-s2", (1, 4, 4, 2), (3, 4, 4, 2), (2, 2), "same", "as generators have it"),
    case("5x3-s3x2", (1, 3, 4, 2), (3, 5, 3, 2), (3, 2), "same", "uneven"),
    case("2x2-s3", (1, 3, 3, 2), (3, 2, 2, 2), (3, 3), "same", "outputs no tap falls on hold the bias"),
    case("1x1", (1, 3, 3, 4), (2, 1, 1, 4), (1, 1), "valid", "pointwise"),
    case("1d", (1, 6, 1, 3), (4, 3, 1, 3), (2, 1), "same", "Conv1DTranspose as one column"),
)
HEAVY = np.full((2, 2, 2, 600), 0.5, np.float32)
WIDE = (
    *(replace(c, id=f"int16-{c.id}", dtype="int16") for c in CASES),
    *(
        replace(c, id=f"int16-bias-16-{c.id}", why="a bias of 16 bits", dtype="int16", bias="int16", qparams=COARSE)
        for c in CASES[:2]
    ),
    Case("int16-heavy", TransposeConv((1, 1), (0, 0), (3, 3)), ((1, 2, 2, 600), HEAVY), "beyond 32", dtype="int16"),
)


def test_the_clamp_is_tflm_s(tmp_path: Path) -> None:
    """Zero in the middle of the range, so that RELU and RELU6 cut."""
    for index in (1, 3):
        first = CASES[index]
        clamped = replace(first, qparams={"output": QParams.per_tensor(0.05, 3)})
        assert lower_case(transpose_conv.OP, clamped).params.activation_min == 3
        int_law(transpose_conv.OP, clamped)
        c_law(transpose_conv.OP, (clamped,), tmp_path)


def test_on_paper() -> None:
    """Kernel [3 -2 1] over 1, 2: 1·3, 2·3 + 1·(-2), 2·(-2) + 1·1, 2·1; plus bias 5, zero points 1 and 10."""
    weights = np.array([3, -2, 1], np.int8).reshape(1, 1, 3, 1)
    image = Operand((1, 1, 2, 1), QParams.per_tensor(0.5, 1))
    weight = Operand(weights.shape, QParams(np.ones(1, np.float32), np.zeros(1, np.int32), 0), weights)
    bias = Operand((1,), QParams.per_tensor(0.5), np.array([5], np.int32))
    output = Operand((1, 1, 4, 1), QParams.per_tensor(0.5, 10))
    params = transpose_conv.lower(TransposeConv((1, 1), (0, 0), (1, 4)), (image, weight, bias), (output,))
    y = transpose_conv.run_int(params, np.array([2, 3], np.int8).reshape(1, 1, 2, 1))
    assert (y.ravel() - 10).tolist() == [3 + 5, 4 + 5, -3 + 5, 2 + 5]


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(transpose_conv.OP, case)


@parametrize((*CASES, *WIDE))
def test_integers_equal_tflm(case: Case) -> None:
    int_law(transpose_conv.OP, case)


@parametrize((*CASES, *WIDE[:-1]))
def test_integers_are_near_the_floats(case: Case) -> None:
    step_law(transpose_conv.OP, case, 1.5 if case.dtype == "int16" else 1.0)  # of 15 bits of multiplier


@parametrize((*CASES, *WIDE))
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(transpose_conv.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(transpose_conv.OP, (*CASES, *WIDE), tmp_path)


def test_int16_on_paper() -> None:
    """Kernel [3 -2 1] over 1001, 2: 3003, 6 - 2002, 1001 - 4, 2; plus bias 5, halved, ties up."""
    weights = np.array([3, -2, 1], np.int8).reshape(1, 1, 3, 1)
    image = Operand((1, 1, 2, 1), QParams.per_tensor(0.5), dtype=np.dtype(np.int16))
    weight = Operand(weights.shape, QParams(np.ones(1, np.float32), np.zeros(1, np.int32), 0), weights)
    output = Operand((1, 1, 4, 1), QParams.per_tensor(1.0), dtype=image.dtype)
    for kind in ("int64", "int16"):
        bias = Operand((1,), QParams.per_tensor(0.5), np.array([5], kind))
        params = transpose_conv.lower(TransposeConv((1, 1), (0, 0), (1, 4)), (image, weight, bias), (output,))
        y = transpose_conv.run_int(params, np.array([1001, 2], np.int16).reshape(1, 1, 2, 1))
        assert y.ravel().tolist() == [1504, -995, 501, 4]  # -995.5 and 3.5 are ties


def test_refusals() -> None:
    attrs = TransposeConv((2, 2), (0, 0), (6, 6))
    assert broken(transpose_conv.OP, attrs, (1, 3, 3, 4), draw("w", 6, 2, 2, 4)) == []
    assert broken(transpose_conv.OP, attrs, (1, 3, 3, 4), draw("w", 6, 2, 2, 2)) == ["fitting_depth"]
    assert broken(transpose_conv.OP, attrs, (1, 3, 3, 4), (6, 2, 2, 4)) == ["constant_weights"]
    odd = TransposeConv((2, 2), (1, 0), (6, 6))
    assert broken(transpose_conv.OP, odd, (1, 3, 3, 4), draw("w", 6, 2, 2, 4)) == ["fitting_size"]
    types_law(transpose_conv.OP, attrs, (1, 3, 3, 4), (6, 2, 2, 4), ("int64", "int16"))
    huge = TransposeConv((2, 2), (0, 0), (600, 6))
    assert broken(transpose_conv.OP, huge, (1, 3, 3, 4), draw("w", 6, 2, 2, 4)) == ["fitting_size"]
