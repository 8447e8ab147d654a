"""A GRU as TFLite operators, one set of them per time step: what `gru_arithmetic` computes, spelled out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinyptq.graph import Tensor
from tinyptq.ops.base import TfliteStep, Wire
from tinyptq.ops.gru_arithmetic import CANDIDATE, RESET, UPDATE, GruInt8
from tinyptq.ops.recurrent16 import HIDDEN_POWER, ONE
from tinyptq.ops.recurrent_export import (
    ADD,
    LOGISTIC,
    MUL,
    PRODUCT,
    SUB,
    TANH,
    Sequence16,
    memory,
    results,
    state_tensor,
    steps_of,
    tensor,
)

WEIGHTS, RECURRENT, BIAS, RECURRENT_BIAS, OUTPUT = 1, 4, 7, 10, 13  # where a layer's own tensors begin, a gate each


def write_steps(params: GruInt8) -> Iterator[TfliteStep]:
    """The operators in the order in which they run. Tensors that one step names twice are the same."""
    sequence = Sequence16(params.input_shape, params.input_scale, params.power, params.units)
    seen = yield from steps_of(sequence, gates=3, weights=WEIGHTS, biases=BIAS)
    hidden, remember = yield from memory(params.units, params.stateful)
    states: list[Wire] = []
    for t in range(params.steps):
        after = state_tensor(params.units, f"hidden_{t}")
        yield from one_step(params, sequence, t, [gate[t] for gate in seen], hidden, after)
        hidden = after
        states.append(hidden)
    yield from remember(hidden)
    yield from results(states, params.output_qparams, OUTPUT)


def one_step(
    params: GruInt8, sequence: Sequence16, t: int, seen: list[Wire], hidden: Wire, after: Wire
) -> Iterator[TfliteStep]:
    def gate(name: str) -> Tensor:
        return sequence.gate(f"{name}_{t}")

    def state(name: str) -> Tensor:
        return state_tensor(params.units, f"{name}_{t}")

    def product(index: int, source: Wire) -> TfliteStep:
        return TfliteStep(PRODUCT, (source, RECURRENT + index, RECURRENT_BIAS + index), (gate(f"remembered{index}"),))

    for index, name in ((UPDATE, "update"), (RESET, "reset")):
        yield product(index, hidden)
        yield TfliteStep(ADD, (seen[index], gate(f"remembered{index}")), (gate(f"{name}_sum"),))
        yield TfliteStep(LOGISTIC, (gate(f"{name}_sum"),), (state(name),))
    inner = gate(f"remembered{CANDIDATE}")
    if params.reset_after:
        yield product(CANDIDATE, hidden)
        yield TfliteStep(MUL, (state("reset"), inner), (gate("kept"),))
        inner = gate("kept")
    else:
        yield TfliteStep(MUL, (state("reset"), hidden), (state("kept"),))
        yield product(CANDIDATE, state("kept"))
    yield TfliteStep(ADD, (seen[CANDIDATE], inner), (gate("candidate_sum"),))
    yield TfliteStep(TANH, (gate("candidate_sum"),), (state("candidate"),))
    one = tensor("one", (1, 1, 1), 2.0 ** (HIDDEN_POWER + 1), np.full((1, 1, 1), ONE // 2, np.int16))
    yield TfliteStep(SUB, (one, state("update")), (state("rest"),))
    yield TfliteStep(MUL, (state("update"), hidden), (state("old"),))
    yield TfliteStep(MUL, (state("rest"), state("candidate")), (state("fresh"),))
    yield TfliteStep(ADD, (state("old"), state("fresh")), (after,))
