"""GRU: one step on paper, the equations in NumPy, the laws, TFLM on the exported operators, state from run to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.laws import Case, Lowered, assert_same_bytes, c_law, draw, lower_case, parametrize, run_tflm, step_law
from tests.ops.refusals import broken, sentences
from tinyptq.emit.tflite import write_tflite_model
from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, QParams, Shape
from tinyptq.ops import gru, recurrent16
from tinyptq.ops.base import Op, Operand
from tinyptq.ops.gru import Gru
from tinyptq.program import Layer, Program, Value

OP = gru.OP
per_tensor = QParams.per_tensor
AFTER, BEFORE = Gru(), Gru(reset_after=False)


def case(
    name: str,
    steps: int,
    depth: int,
    units: int,
    why: str,
    attrs: Gru = AFTER,
    size: float = 0.5,
    forced: Mapping[int | str, QParams] | None = None,
    count: int = 6,
) -> Case:
    weights = [draw(f"{name}/w{i}", units, depth) * np.float32(size) for i in range(3)]
    recurrent = [draw(f"{name}/r{i}", units, units) * np.float32(size) for i in range(3)]
    biases = [draw(f"{name}/b{i}", units) for i in range(6)]
    operands: list[Shape | Array] = [(1, steps, depth), *weights, *recurrent, *biases]
    return Case(name, attrs, tuple(operands), why, forced or {}, count=count)


CASES = (
    case("after", 9, 5, 7, "reset behind the product"),
    case("before", 9, 5, 7, "reset before the product", BEFORE),
    case("one", 1, 1, 1, "the smallest"),
    case("one-before", 1, 1, 1, "the smallest", BEFORE),
    case("wide", 12, 60, 33, "long sums", size=0.1),
    case("coarse", 6, 5, 7, "gates of scale 2^-8", Gru(power=-8)),
    case("coarsest", 6, 5, 7, "gates of scale 2^-5", replace(BEFORE, power=-5)),
    case("saturated", 10, 6, 5, "gates beyond ±8", size=20.0),
    case("saturated-before", 10, 6, 5, "gates beyond ±8", BEFORE, size=20.0),
    case("zero-points", 6, 4, 5, "127 and -128", forced={0: per_tensor(0.02, 127), "output": per_tensor(0.004, -128)}),
    case("swapped", 6, 4, 5, "-128, 127", BEFORE, forced={0: per_tensor(0.02, -128), "output": per_tensor(0.1, 127)}),
)
STATEFUL = (
    case("stateful", 3, 4, 5, "one long sequence", Gru(stateful=True)),
    case("stateful-before", 1, 2, 9, "a step a run", replace(BEFORE, stateful=True)),
)


def program_of(op: Op, lowered: Lowered) -> Program:
    operands = (*lowered.operands, lowered.output)
    names = tuple(f"t{i}" for i in range(len(operands)))
    values = {n: Value(n, o.shape, dtype_of(o), o.qparams, o.data) for n, o in zip(names, operands, strict=True)}
    layer = Layer("memory", op.name, names[:1], names[-1:], names[1:-1], lowered.params, "operator 0")
    return Program(op.name, "", values, (layer,), names[:1], names[-1:])


def dtype_of(operand: Operand) -> np.dtype[np.int8]:
    return operand.dtype if operand.data is None else operand.data.dtype


def exported_law(op: Op, case: Case) -> None:
    """run_int = tflite-micro on the operators that the exported file has."""
    lowered = lower_case(op, case)
    found = op.run_int(lowered.params, *lowered.inputs)
    assert_same_bytes(run_tflm(write_tflite_model(program_of(op, lowered)), lowered), found, case)


def equations(case: Case, x: Array) -> Array:
    """h = z h + (1 − z) n, one sample and one step at a time, in double."""
    w, r, b, a = (np.array(case.operands[i : i + 3], np.float64) for i in (1, 4, 7, 10))

    def squash(value: Array) -> Array:
        return 1.0 / (1.0 + np.exp(-value))

    samples = []
    for sequence in x.astype(np.float64):
        h, outputs = np.zeros(w.shape[1]), []
        for step in sequence:
            z = squash(w[0] @ step + b[0] + r[0] @ h + a[0])
            gate = squash(w[1] @ step + b[1] + r[1] @ h + a[1])
            inner = gate * (r[2] @ h + a[2]) if case.attrs.reset_after else r[2] @ (gate * h) + a[2]
            h = z * h + (1.0 - z) * np.tanh(w[2] @ step + b[2] + inner)
            outputs.append(h)
        samples.append(outputs)
    return np.array(samples)


@pytest.mark.parametrize("reset_after", [True, False])
def test_on_paper(reset_after: bool) -> None:
    """Weights 1, x = 1, from zeros: z = r = sigmoid(1), n = tanh(1), h = (1 − z) n = 0.26894 · 0.76159 = 0.20482; then
    z = r = sigmoid(1.20482), n = tanh(1 + r · 0.20482).
    """
    ones = [np.ones((1, 1), np.float32)] * 6 + [np.zeros(1, np.float32)] * 6
    forced: dict[int | str, QParams] = {0: per_tensor(1 / 64), "output": per_tensor(1 / 256, -128)}
    params = lower_case(OP, Case("paper", Gru(reset_after), ((1, 2, 1), *ones), "", forced)).params
    first, second = gru.run_int(params, np.full((1, 2, 1), 64, np.int8))[0, :, 0].tolist()
    assert first == round(0.20482 * 256) - 128
    z = 1.0 / (1.0 + np.exp(-1.20482))
    assert abs(second + 128 - 256 * (z * 0.20482 + (1 - z) * np.tanh(1 + z * 0.20482))) < 1.0


@parametrize([c for c in CASES if not c.id.startswith("saturated")])  # whose errors grow from step to step
def test_float_equals_the_equations(case: Case) -> None:
    x = draw(case.id, 3, *case.operands[0][1:])
    constants = [o for o in case.operands[1:] if isinstance(o, np.ndarray)]
    assert np.abs(gru.run_float(case.attrs, x, *constants) - equations(case, x)).max() < 2e-5


@parametrize((*CASES, *STATEFUL))
def test_integers_equal_tflm(case: Case) -> None:
    exported_law(OP, case)


@settings(deadline=None, max_examples=15)
@given(
    steps=st.integers(1, 5),
    depth=st.integers(1, 6),
    units=st.integers(1, 6),
    reset_after=st.booleans(),
    power=st.integers(-12, -5),
    size=st.sampled_from([0.05, 0.5, 3.0]),
    scale=st.floats(1e-4, 3.0),
    zero_point=st.integers(-127, 127),
)
def test_drawn_grus_equal_tflm(
    steps: int, depth: int, units: int, reset_after: bool, power: int, size: float, scale: float, zero_point: int
) -> None:
    result = per_tensor(max(scale, 1e-4) / 2, -zero_point)
    forced: dict[int | str, QParams] = {0: per_tensor(scale, zero_point), "output": result}
    exported_law(OP, case("drawn", steps, depth, units, "drawn", Gru(reset_after, power=power), size, forced))


@parametrize([replace(c, count=40) for c in CASES if c.id in ("after", "before", "wide", "zero-points")])
def test_integers_stay_near_float(case: Case) -> None:
    step_law(OP, case, steps=3.0)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(OP, (*CASES, *STATEFUL), tmp_path)


@parametrize(STATEFUL)
def test_a_run_goes_on_where_the_last_one_ended(case: Case) -> None:
    lowered = lower_case(OP, case)
    (x,) = lowered.inputs
    state: Mapping[str, Array] = {name: s.initial for name, s in OP.state(lowered.params).items()}
    whole = gru.run_int(lowered.params, x)
    for index in range(len(x)):
        y, state = gru.run_state(lowered.params, state, x[index : index + 1])
        assert np.array_equal(y[0], whole[index])
    stateless = replace(lowered.params, stateful=False)
    fresh = gru.run_int(stateless, x)
    assert np.array_equal(fresh[0], whole[0]) and not np.array_equal(fresh[1], whole[1])
    assert not OP.state(stateless)


def test_calibration_finds_the_range_of_the_gates() -> None:
    loud = case("loud", 5, 3, 4, "", size=8.0)
    constants = tuple(o for o in loud.operands[1:] if isinstance(o, np.ndarray))
    x = draw("calibration", 8, 5, 3)
    _, largest = gru.sequences(Gru(), x, constants)
    power = gru.calibrate(Gru(), x, *constants).power
    assert power is not None and 32767 * 2.0 ** (power - 1) < largest <= 32767 * 2.0**power
    assert gru.calibrate(Gru(power=-5), x, *constants).power == -5  # what an earlier batch needed


def test_refusals() -> None:
    fitting = CASES[0].operands
    assert broken(OP, Gru(), *fitting) == []
    assert broken(OP, Gru(), (1, 9, 4), *fitting[1:]) == ["fitting_weights"]
    assert broken(OP, Gru(), *fitting[:-1]) == ["fitting_weights"]
    assert broken(OP, Gru(), *fitting[:4], (7, 7), *fitting[5:]) == ["constant_weights"]
    assert all(sentence.endswith(".") for sentence in sentences(OP))


def test_accumulators_beyond_32_bits_are_refused() -> None:
    with pytest.raises(TinyptqError, match="32-bit accumulator"):
        recurrent16.prove_accumulators(np.full((3, 1, 520), 127, np.int8), np.zeros((3, 1), np.int64), 1 << 15)
