"""CONV_2D: one sum on paper, then the laws over strides, dilations, paddings, clamps and odd channel counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.laws import Case, c_law, draw, file_law, float_law, int_law, lower_case, parametrize, step_law
from tests.ops.refusals import broken, types_law
from tinyptq.graph import QParams
from tinyptq.ops import conv_2d
from tinyptq.ops.activation import RELU, RELU6, Clamp
from tinyptq.ops.base import Operand
from tinyptq.ops.conv_2d import Conv2D
from tinyptq.ops.window import Window, make_window


def case(name: str, shape: tuple[int, ...], filters: tuple[int, ...], attrs: Conv2D, why: str, **more: object) -> Case:
    weights, bias = draw(f"{name}/w", *filters), draw(f"{name}/b", filters[0])
    return Case(name, attrs, (shape, weights, bias), why, **more)  # type: ignore[arg-type]


def same(size: tuple[int, int], kernel: tuple[int, int], stride: int = 1, dilation: int = 1) -> Window:
    return make_window("same", size, kernel, (stride, stride), (dilation, dilation))


CASES = (
    case("1x1", (1, 5, 4, 3), (7, 1, 1, 3), Conv2D(Window((1, 1))), "pointwise: no ring, no copy of taps"),
    case("1x1-stride", (1, 5, 4, 3), (7, 1, 1, 3), Conv2D(Window((1, 1), (2, 2))), "pointwise that skips rows"),
    case("3x3-valid", (1, 6, 5, 4), (5, 3, 3, 4), Conv2D(Window((3, 3))), "lines point straight into the input"),
    case("3x3-same", (1, 6, 5, 4), (5, 3, 3, 4), Conv2D(same((6, 5), (3, 3)), RELU), "borders hold the zero point"),
    case("10x4-s2", (1, 49, 10, 1), (8, 10, 4, 1), Conv2D(same((49, 10), (10, 4), 2), RELU6), "KWS's first layer"),
    case("even-kernel", (1, 7, 6, 2), (3, 4, 2, 2), Conv2D(same((7, 6), (4, 2))), "the odd padding row goes below"),
    case("dilated", (1, 9, 8, 2), (3, 3, 3, 2), Conv2D(same((9, 8), (3, 3), 1, 2)), "taps are not contiguous"),
    case("wide-stride", (1, 9, 9, 2), (3, 2, 2, 2), Conv2D(same((9, 9), (2, 2), 4)), "lines between windows skipped"),
    case("1d", (1, 1, 30, 6), (4, 1, 5, 6), Conv2D(make_window("same", (1, 30), (1, 5))), "Conv1D as one row"),
    case("tall-pad", (1, 3, 3, 2), (2, 5, 5, 2), Conv2D(same((3, 3), (5, 5))), "kernel taller than the image"),
    case("explicit", (1, 5, 5, 2), (3, 3, 3, 2), Conv2D(Window((3, 3), pad_top=2, pad_right=1)), "a PAD is exported"),
    case("groups", (1, 6, 5, 6), (4, 3, 3, 3), Conv2D(same((6, 5), (3, 3)), RELU), "two groups, as ResNeXt has them"),
    case("groups-1x1", (1, 4, 5, 6), (9, 1, 1, 2), Conv2D(Window((1, 1))), "three groups of pixels, as ShuffleNet"),
    case("groups-1", (1, 9, 8, 4), (4, 3, 3, 1), Conv2D(same((9, 8), (3, 3), 1, 2)), "as many groups as channels"),
    Case("no-bias", Conv2D(Window((2, 2))), ((1, 4, 4, 2), draw("nb", 3, 2, 2, 2)), "the bias operand is optional"),
    case(
        "left-shift",
        (1, 3, 3, 1),
        (2, 1, 1, 1),
        Conv2D(Window((1, 1))),
        "a multiplier above one shifts left",
        qparams={"output": QParams.per_tensor(1e-4, -7)},
    ),
)

HEAVY = np.full((4, 3, 3, 64), 0.5, np.float32) * np.float32([1, -1, 0.9, 0.01]).reshape(4, 1, 1, 1)
WIDE = (
    *(replace(c, id=f"int16-{c.id}", dtype="int16") for c in CASES if c.id != "left-shift"),
    replace(CASES[-1], id="int16-left-shift", dtype="int16", qparams={"output": QParams.per_tensor(1e-5)}),
    Case("int16-heavy", Conv2D(Window((3, 3))), ((1, 4, 4, 64), HEAVY), "sums leave 32 bits", dtype="int16"),
    Case(
        "int16-heavy-bias",
        Conv2D(same((3, 3), (3, 3)), RELU),
        ((1, 3, 3, 64), HEAVY, np.float32([9.0, 30.0, -9.0, 0.5])),
        "a bias of more than 32 bits",
        qparams={0: QParams.per_tensor(2.0**-24), "output": QParams.per_tensor(0.001)},
        dtype="int16",
    ),
)
COARSE: dict[int | str, QParams] = {0: QParams.per_tensor(0.01), "output": QParams.per_tensor(0.02)}
BIAS_32 = tuple(
    replace(c, id=f"int16-bias-32-{c.id}", why="32-bit sums", dtype="int16", bias="int32", qparams=COARSE)
    for c in CASES
    if c.id in ("1x1", "3x3-same", "dilated", "groups", "explicit")
)


def test_on_paper() -> None:
    """(1-1)·3 + (2-1)·(-2) + 5 = 3; 3 · 0.5 · 1/2 = 0.75 -> 1; 1 + zero point 10 = 11, where the taps are [1, 2]."""
    weights = np.array([[[[3], [-2]]]], np.int8)  # [1, 1, 2, 1]
    image = Operand((1, 1, 3, 1), QParams.per_tensor(0.5, 1))
    weight = Operand(weights.shape, QParams(np.ones(1, np.float32), np.zeros(1, np.int32), 0), weights)
    bias = Operand((1,), QParams.per_tensor(0.5), np.array([5], np.int32))
    output = Operand((1, 1, 2, 1), QParams.per_tensor(2.0, 10))
    params = conv_2d.lower(Conv2D(Window((1, 2))), (image, weight, bias), (output,))
    y = conv_2d.run_int(params, np.array([1, 2, 127], np.int8).reshape(1, 1, 3, 1))
    # second output: 1·3 + 126·(-2) + 5 = -244; · 0.25 = -61; + 10 = -51
    assert y.ravel().tolist() == [11, -51]


@parametrize([c for c in CASES if c.id != "no-bias"])  # LiteRT insists on a bias, TFLM does not
def test_float_equals_litert(case: Case) -> None:
    float_law(conv_2d.OP, case)


@parametrize((*CASES, *WIDE, *BIAS_32))
def test_integers_equal_tflm(case: Case) -> None:
    int_law(conv_2d.OP, case)


@parametrize([c for c in (*CASES, *WIDE) if "left-shift" not in c.id and "heavy" not in c.id])
def test_integers_are_near_the_floats(case: Case) -> None:
    step_law(conv_2d.OP, case, 1.5 if case.dtype == "int16" else 1.0)  # of 15 bits of multiplier


@parametrize([c for c in (*CASES, *WIDE) if "explicit" not in c.id])
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(conv_2d.OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(conv_2d.OP, (*CASES, *WIDE, *BIAS_32), tmp_path)


def test_int16_on_paper() -> None:
    """300·3 + (-2000)·(-2) + 2 = 4902; · 0.5 · 0.5 / 0.5 = 2451. -2000·3 + 2 = -5998 -> -2999."""
    weights = np.array([[[[3], [-2]]]], np.int8)
    half = QParams.per_tensor(0.5)
    image = Operand((1, 1, 3, 1), half, dtype=np.dtype(np.int16))
    weight = Operand(weights.shape, QParams(np.full(1, 0.5, np.float32), np.zeros(1, np.int32), 0), weights)
    bias = Operand((1,), QParams.per_tensor(0.25), np.array([2], np.int64))
    params = conv_2d.lower(Conv2D(Window((1, 2))), (image, weight, bias), (replace(image, shape=(1, 1, 2, 1)),))
    y = [conv_2d.run_int(params, np.array(x, np.int16).reshape(1, 1, 3, 1)) for x in ([300, -2000, 0], [1, 2, 5])]
    # second image: 3 - 4 + 2 = 1 is 1/2 -> 1; 6 - 10 + 2 = -2 is -1
    assert [output.ravel().tolist() for output in y] == [[2451, -2999], [1, -1]]


def test_sums_take_the_narrowest_type_that_holds_them() -> None:
    accumulators = {c.id: lower_case(conv_2d.OP, c).params.accumulator for c in (*WIDE, *BIAS_32)}
    assert [name for name, kind in accumulators.items() if kind == "int64"] == ["int16-heavy", "int16-heavy-bias"]


def test_a_clamp_tflite_cannot_name_is_kept_in_the_bounds() -> None:
    first = CASES[0]
    attrs = Conv2D(Window((1, 1)), Clamp(0.0, 1.5))
    params = lower_case(conv_2d.OP, replace(first, attrs=attrs)).params
    assert params.activation_code == 0
    assert (params.activation_min, params.activation_max) == (-128, 127)  # the observed range is the clamp's own


def test_refusals() -> None:
    attrs = Conv2D(Window((1, 1)))
    assert broken(conv_2d.OP, attrs, (1, 5, 5, 4), draw("w", 6, 1, 1, 4)) == []
    assert broken(conv_2d.OP, attrs, (1, 5, 5, 4), draw("w", 6, 1, 1, 2)) == []
    assert broken(conv_2d.OP, attrs, (1, 5, 5, 4), draw("w", 5, 1, 1, 2)) == ["whole_groups"]
    assert broken(conv_2d.OP, attrs, (1, 5, 5, 4), draw("w", 6, 1, 1, 3)) == ["whole_groups"]
    assert broken(conv_2d.OP, attrs, (1, 5, 5, 4), (6, 1, 1, 4)) == ["constant_weights"]


def test_types_of_quantized_constants() -> None:
    types_law(conv_2d.OP, Conv2D(Window((1, 1))), (1, 5, 5, 4), (6, 1, 1, 4), ("int64", "int32"))
