"""UNIDIRECTIONAL_SEQUENCE_LSTM: one step on paper, the laws, state from run to run, and a trained model of TFLM's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.laws import Case, c_law, draw, file_law, float_law, int8_model, int_law, lower_case, parametrize, step_law
from tests.ops.refusals import broken, sentences
from tinyptq import pipeline, verbs
from tinyptq.graph import Array, QParams, Shape
from tinyptq.ops import unidirectional_sequence_lstm as lstm
from tinyptq.ops.lstm_arithmetic import LstmInt
from tinyptq.ops.unidirectional_sequence_lstm import UnidirectionalSequenceLstm

OP = lstm.OP
per_tensor = QParams.per_tensor


def case(
    name: str,
    steps: int,
    depth: int,
    units: int,
    why: str,
    stateful: bool = True,
    power: int = -12,
    clip: float = 0.0,
    size: float = 0.5,
    forced: dict[int | str, QParams] | None = None,
    count: int = 6,
) -> Case:
    weights = [draw(f"{name}/w{i}", units, depth) * np.float32(size) for i in range(4)]
    recurrent = [draw(f"{name}/r{i}", units, units) * np.float32(size) for i in range(4)]
    biases = [draw(f"{name}/b{i}", units) for i in range(4)]
    operands: list[Shape | Array] = [(1, steps, depth), *weights, *recurrent, *biases]
    attrs = UnidirectionalSequenceLstm(stateful, clip, power)
    return Case(name, attrs, tuple(operands), why, forced or {}, count=count)


def quantized(x: QParams, output: QParams) -> dict[int | str, QParams]:
    return {0: x, "output": output}


CASES = (
    case("mnist", 28, 28, 20, "the shape of TFLM's example", size=0.2, count=12),
    case("wide", 20, 90, 40, "sums so long that the last bits of the multipliers show", size=0.1, count=40),
    case("one", 1, 1, 1, "the smallest; one step a run is streaming"),
    case("coarse", 9, 5, 7, "a cell state of scale 2^-9", power=-9),
    case("fine", 9, 5, 7, "of scale 2^-14: the table's argument is shifted right, the state saturates", power=-14),
    case("finest", 5, 3, 4, "of scale 2^-17: a model whose cell state stays within a quarter", power=-17),
    case("clip", 12, 5, 6, "the cell state is clipped", power=-12, clip=0.5, size=1.5),
    case("saturated", 10, 6, 5, "gates beyond ±8", size=20.0),
    case("zero-point", 6, 4, 5, "a hidden state whose zero is 100", forced={"output": per_tensor(0.004, 100)}),
)
FROM_ZEROS = (
    case("stateless", 7, 3, 4, "a Keras layer: each run from zeros", stateful=False),
    case("stateless-clip", 20, 4, 9, "clipped, from zeros", stateful=False, clip=1.0, size=1.0),
)
HEAVY = [np.full((2, 600), w, np.float32) for w in (0.01, -0.01, 0.02, 0.003)]
HEAVY += [np.full((2, 2), 0.5, np.float32)] * 4 + [np.full(2, 0.1, np.float32)] * 4
WIDE = (
    *(replace(c, id=f"int16-{c.id}", dtype="int16", qparams={}) for c in CASES),
    Case("int16-heavy", UnidirectionalSequenceLstm(True, 0.0, -12), ((1, 3, 600), *HEAVY), "beyond 32", dtype="int16"),
)
WIDE_FROM_ZEROS = tuple(replace(c, id=f"int16-{c.id}", dtype="int16") for c in FROM_ZEROS)


def paper_case(forced: dict[int | str, QParams], stateful: bool = True) -> Case:
    """One unit, no recurrence, input weight 127 · 1/127 = 1 for the cell gate, biases open input and output gates."""
    operands: list[Shape | Array] = [(1, 1, 1), *(np.full((1, 1), w, np.float32) for w in (0, 0, 1, 0))]
    operands += [np.zeros((1, 1), np.float32)] * 4 + [np.full(1, b, np.float32) for b in (100, -100, 0, 100)]
    return Case("paper", UnidirectionalSequenceLstm(stateful, 0.0, -12), tuple(operands), "", forced)


def paper_params(stateful: bool = True) -> LstmInt:
    return lower_case(OP, paper_case(quantized(per_tensor(1 / 64), per_tensor(1 / 128)), stateful)).params


def test_on_paper() -> None:
    """x = 1: the cell state is tanh(1) = 0.7616, the output tanh(0.7616) = 0.6421, 82.2 steps of 1/128."""
    zeros = {"hidden": np.zeros((1, 1), np.int8), "cell": np.zeros((1, 1), np.int16)}
    y, state = lstm.run_state(paper_params(), zeros, np.full((1, 1, 1), 64, np.int8))
    assert y.tolist() == [[[82]]]
    assert abs(int(state["cell"][0, 0]) - round(0.7615942 * 4096)) <= 1


def test_int16_on_paper() -> None:
    """In steps of 2^-15 it shows that gates end at sigmoid(8) = 0.99966: the output is 0.6416, 21026 steps."""
    paper = paper_case(quantized(per_tensor(2.0**-14), per_tensor(2.0**-15)))
    params = lower_case(OP, replace(paper, dtype="int16")).params
    zeros = {name: s.initial for name, s in OP.state(params).items()}
    y, state = lstm.run_state(params, zeros, np.full((1, 1, 1), 1 << 14, np.int16))
    assert abs(int(y[0, 0, 0]) - 21026) <= 8  # a step of the Q3.12 cell state
    assert np.array_equal(state["hidden"], y[0])


@parametrize((*CASES, *FROM_ZEROS))
def test_float_equals_litert(case: Case) -> None:
    float_law(OP, case)


@parametrize((*CASES, *WIDE))
def test_integers_equal_tflm(case: Case) -> None:
    int_law(OP, case)


def two_scales(scale: float, zero_point: int, dtype: str = "int8") -> Case:
    """The hidden state's scale is not the output's."""
    fine = 1.0 if dtype == "int8" else 1 / 256
    forced = quantized(per_tensor(0.03 * fine), per_tensor(0.0078125 * fine))
    drawn = case("hidden", 4, 3, 5, "two scales", forced=forced)
    hidden = float(np.float32(scale * fine)), zero_point if dtype == "int8" else 0
    return replace(drawn, dtype=dtype, attrs=replace(drawn.attrs, hidden=hidden))


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize(("scale", "zero_point"), [(0.0035, 0), (0.02, 0), (0.011, 17)])
def test_a_hidden_state_of_another_scale_equals_tflm(scale: float, zero_point: int, dtype: str) -> None:
    """The output's scale is in the file and nowhere in the arithmetic."""
    int_law(OP, two_scales(scale, zero_point, dtype))
    file_law(OP, two_scales(scale, zero_point, dtype))


def test_a_model_whose_lstm_has_two_scales(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(int8_model(OP, lower_case(OP, two_scales(0.011, 17))))
    pipeline.build(path, board="host", output=tmp_path / "out", count=8)
    assert all(found.comparison.equal for found in verbs.verify(tmp_path / "out", against="tflm"))


@settings(deadline=None, max_examples=15)
@given(
    steps=st.integers(1, 5),
    depth=st.integers(1, 6),
    units=st.integers(1, 6),
    power=st.integers(-15, 0),
    clip=st.sampled_from([0.0, 0.01, 1.0, 7.0]),
    size=st.sampled_from([0.05, 0.5, 3.0]),
    scale=st.floats(1e-4, 3.0),
    zero_point=st.integers(-128, 127),
    wide=st.booleans(),
)
def test_drawn_lstms_equal_tflm(
    steps: int, depth: int, units: int, power: int, clip: float, size: float, scale: float, zero_point: int, wide: bool
) -> None:
    """Of int16: its scales are finer, so that inputs reach as far."""
    if wide:
        forced = quantized(per_tensor(scale / 64), per_tensor(max(scale, 3e-3) / 192))
        drawn = case("drawn", steps, depth, units, "drawn", True, power, clip, size, forced)
        int_law(OP, replace(drawn, dtype="int16"))
        return
    forced = quantized(per_tensor(scale, zero_point), per_tensor(scale / 3, -zero_point // 2))
    int_law(OP, case("drawn", steps, depth, units, "drawn", True, power, clip, size, forced))


@pytest.mark.parametrize("steps", [1, 6])
def test_integers_stay_near_float(steps: int) -> None:
    for name in ("near", "nearer"):
        near = case(name, steps, 4, 5, "errors are fed back", stateful=False, size=0.4)
        step_law(OP, near, steps=4.0)
        step_law(OP, replace(near, dtype="int16"), steps=16.0)  # a step of a Q3.12 gate is eight or more


@parametrize((*CASES, *WIDE))
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(OP, [c for c in (*CASES, *FROM_ZEROS, *WIDE, *WIDE_FROM_ZEROS) if c.id != "wide"], tmp_path)


def test_a_run_goes_on_where_the_last_one_ended() -> None:
    lowered = lower_case(OP, CASES[0])
    (x,) = lowered.inputs
    state: Mapping[str, Array] = {name: s.initial for name, s in OP.state(lowered.params).items()}
    whole = lstm.run_int(lowered.params, x)
    for index in range(len(x)):
        y, state = lstm.run_state(lowered.params, state, x[index : index + 1])
        assert np.array_equal(y[0], whole[index])
    stateless = replace(lowered.params, stateful=False)
    fresh = lstm.run_int(stateless, x)
    assert np.array_equal(fresh[0], whole[0]) and not np.array_equal(fresh[1], whole[1])
    assert not OP.state(stateless)


def test_calibration_finds_the_cell_states_range() -> None:
    long = case("long", 30, 2, 3, "", stateful=False)
    constants = tuple(o for o in long.operands[1:] if isinstance(o, np.ndarray))
    x = draw("calibration", 8, 30, 2)
    attrs = UnidirectionalSequenceLstm()
    _, largest = lstm.sequences(attrs, x, constants)
    power = lstm.calibrate(attrs, x, *constants).cell_power
    assert power is not None and 32767 * 2.0 ** (power - 1) < largest <= 32767 * 2.0**power
    assert lstm.calibrate(replace(attrs, cell_power=-3), x, *constants).cell_power == -3  # what an earlier batch needed


def test_refusals() -> None:
    fitting = next(c for c in CASES if c.id == "coarse").operands
    attrs = UnidirectionalSequenceLstm()
    assert broken(OP, attrs, *fitting) == []
    assert broken(OP, attrs, (1, 9, 4), *fitting[1:]) == ["three_axes"]
    assert broken(OP, attrs, *fitting[:-1]) == ["three_axes"]
    assert broken(OP, attrs, *fitting[:5], (7, 7), *fitting[6:]) == ["constant_weights"]
    assert all(sentence.endswith(".") for sentence in sentences(OP))


def test_types_of_quantized_constants() -> None:
    attrs, shapes = UnidirectionalSequenceLstm(), [(7, 5)] * 4 + [(7, 7)] * 4
    for activations, fitting in (("int8", "int32"), ("int16", "int64")):
        for kind in ("int32", "int64"):
            constants = [*(np.ones(shape, np.int8) for shape in shapes), *(np.ones(7, kind) for _ in range(4))]
            rules = [] if kind == fitting else ["integer_types"]
            assert broken(OP, attrs, (1, 9, 5), *constants, activations=activations) == rules
