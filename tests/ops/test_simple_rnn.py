"""Simple RNN: one step on paper, LiteRT's float operator, TFLM on the exported operators, state from run to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.laws import Case, c_law, draw, float_law, lower_case, parametrize, step_law
from tests.ops.refusals import broken, sentences
from tests.ops.test_gru import exported_law
from tinyptq.graph import Array, QParams, Shape
from tinyptq.ops import simple_rnn
from tinyptq.ops.simple_rnn import SimpleRnn

OP = simple_rnn.OP
per_tensor = QParams.per_tensor
FRESH = SimpleRnn()


def case(
    name: str,
    steps: int,
    depth: int,
    units: int,
    why: str,
    attrs: SimpleRnn = FRESH,
    size: float = 0.5,
    forced: Mapping[int | str, QParams] | None = None,
    count: int = 6,
) -> Case:
    weights = [draw(f"{name}/{i}", units, inner) * np.float32(size) for i, inner in enumerate((depth, units))]
    operands: list[Shape | Array] = [(1, steps, depth), *weights, draw(f"{name}/bias", units)]
    return Case(name, attrs, tuple(operands), why, forced or {}, count=count)


ENDS: dict[int | str, QParams] = {0: per_tensor(0.02, 127), "output": per_tensor(0.004, -128)}
CASES = (
    case("plain", 9, 5, 7, "from zeros"),
    case("one", 1, 1, 1, "the smallest"),
    case("wide", 12, 60, 33, "long sums", size=0.1),
    case("coarse", 6, 5, 7, "argument of scale 2^-8", SimpleRnn(power=-8)),
    case("saturated", 10, 6, 5, "arguments beyond ±8", size=20.0),
    case("zero-points", 6, 4, 5, "127 and -128", forced=ENDS),
)
STATEFUL = (
    case("stateful", 3, 4, 5, "one long sequence", SimpleRnn(stateful=True)),
    case("streaming", 1, 2, 9, "a step a run", SimpleRnn(stateful=True)),
)


def test_on_paper() -> None:
    """Weights 1, x = 1, from zeros: h = tanh(1) = 0.76159, then tanh(1.76159) = 0.94259."""
    ones = [np.ones((1, 1), np.float32)] * 2 + [np.zeros(1, np.float32)]
    forced: dict[int | str, QParams] = {0: per_tensor(1 / 64), "output": per_tensor(1 / 256, -128)}
    params = lower_case(OP, Case("paper", FRESH, ((1, 2, 1), *ones), "", forced)).params
    found = simple_rnn.run_int(params, np.full((1, 2, 1), 64, np.int8))[0, :, 0].tolist()
    assert found == [round(0.76159 * 256) - 128, round(0.94259 * 256) - 128]


@parametrize((*(c for c in CASES if c.id != "saturated"), *STATEFUL))  # whose errors grow from step to step
def test_float_equals_litert(case: Case) -> None:
    float_law(OP, case)


@parametrize((*CASES, *STATEFUL))
def test_integers_equal_tflm(case: Case) -> None:
    exported_law(OP, case)


@settings(deadline=None, max_examples=10)
@given(
    steps=st.integers(1, 5),
    depth=st.integers(1, 6),
    units=st.integers(1, 6),
    power=st.integers(-12, -5),
    size=st.sampled_from([0.05, 0.5, 3.0]),
    scale=st.floats(1e-4, 3.0),
    zero_point=st.integers(-127, 127),
)
def test_drawn_rnns_equal_tflm(
    steps: int, depth: int, units: int, power: int, size: float, scale: float, zero_point: int
) -> None:
    result = per_tensor(max(scale, 1e-4) / 2, -zero_point)
    forced: dict[int | str, QParams] = {0: per_tensor(scale, zero_point), "output": result}
    exported_law(OP, case("drawn", steps, depth, units, "drawn", SimpleRnn(power=power), size, forced))


@parametrize([replace(c, count=40) for c in CASES if c.id in ("plain", "wide", "zero-points")])
def test_integers_stay_near_float(case: Case) -> None:
    step_law(OP, case, steps=3.0)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(OP, (*CASES, *STATEFUL), tmp_path)


@parametrize(STATEFUL)
def test_a_run_goes_on_where_the_last_one_ended(case: Case) -> None:
    lowered = lower_case(OP, case)
    (x,) = lowered.inputs
    state: Mapping[str, Array] = {name: s.initial for name, s in OP.state(lowered.params).items()}
    whole = simple_rnn.run_int(lowered.params, x)
    for index in range(len(x)):
        y, state = simple_rnn.run_state(lowered.params, state, x[index : index + 1])
        assert np.array_equal(y[0], whole[index])


def test_refusals() -> None:
    fitting = CASES[0].operands
    assert broken(OP, FRESH, *fitting) == []
    assert broken(OP, FRESH, (1, 9, 4), *fitting[1:]) == ["fitting_weights"]
    assert broken(OP, FRESH, *fitting[:2], (7, 7), fitting[3]) == ["constant_weights"]
    assert all(sentence.endswith(".") for sentence in sentences(OP))


@pytest.mark.parametrize("power", [None, -6])
def test_calibration_never_narrows(power: int | None) -> None:
    loud = case("loud", 5, 3, 4, "", size=8.0)
    constants = tuple(o for o in loud.operands[1:] if isinstance(o, np.ndarray))
    x = draw("calibration", 8, 5, 3)
    largest = simple_rnn.sequences(FRESH, x, constants)[1]
    found = simple_rnn.calibrate(SimpleRnn(power=power), x, *constants).power
    assert found is not None and largest <= 32767 * 2.0**found and (power is None or found >= power)
