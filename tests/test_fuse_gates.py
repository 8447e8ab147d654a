"""Swish and hard swish spelled out: what is fused, what is not, and that the results stay."""

from __future__ import annotations

import numpy as np
import pytest

from tests.pass_graphs import CONSTANTS, Step, assert_same_outputs, build, relu, text
from tinyptq.ops.activation import NONE, RELU, RELU6
from tinyptq.ops.add import Add
from tinyptq.ops.logistic import Logistic
from tinyptq.ops.mul import Mul
from tinyptq.passes import normalize
from tinyptq.passes.fuse_hard_swish import fuse_hard_swish
from tinyptq.passes.fuse_silu import fuse_silu

LOGISTIC: Step = ("logistic", Logistic(), ("x",), "gate")
GATE: Step = ("add", Add(RELU6), ("x", "three"), "gate")


def mul(first: str, second: str, output: str = "y", activation: object = NONE) -> Step:
    return ("mul", Mul(activation), (first, second), output)


@pytest.fixture(autouse=True)
def constants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONSTANTS, "three", np.float32([3.0]))
    monkeypatch.setitem(CONSTANTS, "sixth", np.array(1 / 6, np.float32))
    monkeypatch.setitem(CONSTANTS, "fifth", np.array(0.2, np.float32))


@pytest.mark.parametrize(
    ("steps", "outputs", "after"),
    [
        ((LOGISTIC, mul("x", "gate")), ("y",), "silu"),
        ((LOGISTIC, mul("gate", "x")), ("y",), "silu"),
        ((LOGISTIC, mul("gate", "x", activation=RELU)), ("y",), "logistic mul"),
        ((LOGISTIC, mul("gate", "x")), ("y", "gate"), "logistic mul"),
        ((LOGISTIC, mul("gate", "gate")), ("y",), "logistic mul"),
        ((relu("x", "other"), LOGISTIC, mul("gate", "other")), ("y",), "relu logistic mul"),
    ],
    ids=["plain", "swapped", "clamped", "gate-is-read", "gate-squared", "another-gate"],
)
def test_silu(steps: tuple[Step, ...], outputs: tuple[str, ...], after: str) -> None:
    before = build(*steps, outputs=outputs)
    fused = fuse_silu(before)
    assert text(fused) == after
    assert_same_outputs(before, fused)


@pytest.mark.parametrize(
    ("steps", "after"),
    [
        ((GATE, mul("gate", "sixth", "share"), mul("x", "share")), "hard_swish"),
        ((GATE, mul("x", "gate", "product"), mul("sixth", "product")), "hard_swish"),
        ((GATE, mul("x", "sixth", "share"), mul("gate", "share")), "hard_swish"),
        ((GATE, mul("gate", "fifth", "share"), mul("x", "share")), "add mul mul"),
        ((GATE, mul("x", "gate")), "add mul"),
        ((GATE, mul("x", "gate", "product", RELU), mul("sixth", "product")), "add mul mul"),
        ((relu("x", "z"), GATE, mul("gate", "sixth", "share"), mul("z", "share")), "relu add mul mul"),
        ((("add", Add(NONE), ("x", "three"), "gate"), mul("x", "gate", "s"), mul("s", "sixth")), "add mul mul"),
    ],
    ids=["share-first", "product-first", "input-first", "a-fifth", "no-sixth", "clamped", "another-input", "no-clamp"],
)
def test_hard_swish(steps: tuple[Step, ...], after: str) -> None:
    before = build(*steps)
    fused = fuse_hard_swish(before)
    assert text(fused) == after
    assert_same_outputs(before, fused)


def test_the_gate_s_relu6_is_fused_first() -> None:
    steps = (("add", Add(NONE), ("x", "three"), "sum"), relu("sum", "gate", RELU6), mul("gate", "sixth", "s"))
    before = build(*steps, mul("x", "s"))
    assert text(normalize(before)) == "hard_swish"
    assert_same_outputs(before, normalize(before))


def test_a_long_product_is_no_recursion() -> None:
    steps = [mul(f"t{i}" if i else "x", "sixth", f"t{i + 1}") for i in range(1500)]
    assert len(fuse_hard_swish(build(*steps, outputs=("t1500",))).nodes) == 1500
