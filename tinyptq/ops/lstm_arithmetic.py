"""The integers of an LSTM: input and hidden state of int8 or int16, int16 gates and cell state, as TFLite Micro's.

Gates are in the order input, forget, cell, output. For every step, with clamp16 the limits of int16:
  gate[g]  = f(clamp16(clamp16(MBQM(Σ (x − zp_x)·w[g] + bias[g])) + clamp16(MBQM(Σ (h − zp_h)·r[g])))), f on Q3.12
  cell     = clip(clamp16(clamp16(MBQM(forget · cell)) + clamp16(MBQM(input · cell gate))))
  h        = clamp(MBQM(tanh(cell) · output gate) + zp_h)
Of int16 input the sums of the gates have 64 bits, and their MBQM 16 bits of the multiplier; there are no zero points.
Source: TFLite Micro's unidirectional_sequence_lstm, integer cases (16-bit cell).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.fixedpoint import multiply_by_quantized_multiplier, multiply_by_reduced_multiplier, reduce_multipliers
from tinyptq.graph import Array, Shape
from tinyptq.ops import sigmoid_int16
from tinyptq.ops.element import limits, width
from tinyptq.ops.requantize import exact_matmul, fold_zero_point
from tinyptq.ops.sigmoid_int16 import INT16_MAX, INT16_MIN, sigmoid, tanh

GATES = ("input", "forget", "cell", "output")
INPUT, FORGET, CELL, OUTPUT = range(4)
GATE_POWER = -12  # gates before their function are Q3.12


@dataclass(frozen=True, eq=False)
class LstmInt:
    """Everything the kernels read; arrays have the gates in the order of GATES."""

    input_shape: Shape  # [1, steps, depth]
    element: str  # of input and hidden state: "int8" or "int16"
    accumulator: str  # type that holds every sum of a gate: "int32" or "int64"
    stateful: bool  # hidden and cell state outlive the run, else every run starts from zeros
    input_zero_point: int
    hidden_zero_point: int
    hidden_scale: float  # only the exported file needs it
    cell_power: int  # scale of the cell state is 2^cell_power
    cell_limit: int  # the cell state stays within ±limit, 0: no limit but int16
    weights: Array  # int8 [4, units, depth]
    recurrent: Array  # int8 [4, units, units]
    bias: Array  # int32 [4, units], int64 of int16 input
    input_multiplier: Array  # int32 [4]
    input_shift: Array  # int8 [4]
    recurrent_multiplier: Array  # int32 [4]
    recurrent_shift: Array  # int8 [4]
    forget: tuple[int, int]  # multiplier and shift of forget gate · cell state
    update: tuple[int, int]  # of input gate · cell gate
    hidden: tuple[int, int]  # of tanh(cell state) · output gate

    @property
    def steps(self) -> int:
        return self.input_shape[1]

    @property
    def depth(self) -> int:
        return self.input_shape[2]

    @property
    def units(self) -> int:
        return int(self.recurrent.shape[1])

    @property
    def output_shape(self) -> Shape:
        return (1, self.steps, self.units)

    @property
    def input_bias(self) -> Array:
        """[4, units]: the input's zero point folded in."""
        gates = zip(self.bias, self.weights, strict=True)
        return np.stack([fold_zero_point(bias, weights, 0, self.input_zero_point) for bias, weights in gates])

    @property
    def recurrent_bias(self) -> Array:
        """[4, units]: the hidden state's zero point folded in."""
        zeros = np.zeros(self.units, self.bias.dtype)
        return np.stack([fold_zero_point(zeros, r, 0, self.hidden_zero_point) for r in self.recurrent])

    @property
    def reduced(self) -> bool:
        """Are gates rescaled by 16 bits of the multiplier?"""
        return self.element == "int16"

    @property
    def limits(self) -> tuple[int, int]:
        """Of input and hidden state."""
        return limits(self.element)

    @property
    def hidden_bytes(self) -> int:
        return width(self.element) * self.units

    @property
    def cell_bytes(self) -> int:
        return 2 * self.units

    @property
    def low_limit(self) -> int:
        return -self.cell_limit if self.cell_limit else INT16_MIN

    @property
    def high_limit(self) -> int:
        return self.cell_limit or INT16_MAX

    @property
    def cell_scale(self) -> int:
        """Steps of the sigmoid table's argument per step of the cell state, when its scale is 2^-12 or coarser."""
        return 3 << max(self.cell_power - GATE_POWER, 0)

    @property
    def cell_shift(self) -> int:
        """How far the argument is shifted right, when the cell state's scale is finer than 2^-12."""
        return max(GATE_POWER - self.cell_power, 0)

    @property
    def cell_half(self) -> int:
        return (1 << self.cell_shift) >> 1

    @property
    def table(self) -> Array:
        """int16 [256]"""
        return sigmoid_int16.CENTRED_TABLE


@dataclass(frozen=True, eq=False)
class LstmState:
    """hidden: int8 or int16 [n, units]. cell: int16 [n, units]."""

    hidden: Array
    cell: Array


def initial_state(params: LstmInt, count: int) -> LstmState:
    """Real zeros: the hidden state's is its zero point."""
    hidden = np.full((count, params.units), params.hidden_zero_point, params.element)
    return LstmState(hidden, np.zeros((count, params.units), np.int16))


def run_sequences(params: LstmInt, x: Array, state: LstmState) -> tuple[Array, LstmState]:
    """n sequences: x [n, steps, depth] -> (hidden states [n, steps, units], state behind them)."""
    gates = input_gates(params, x)
    outputs = []
    for t in range(x.shape[1]):
        state = step(params, gates[:, t], state)
        outputs.append(state.hidden)
    return np.stack(outputs, axis=1), state


def input_gates(params: LstmInt, x: Array) -> Array:
    """What the input adds to every gate at every step: int64 [n, steps, 4, units] in int16 range."""
    flat = params.weights.reshape(-1, params.depth)
    product = exact_matmul(x.reshape(-1, params.depth), flat.T, peak=-params.limits[0])
    sums = product.reshape(*x.shape[:2], 4, params.units).astype(np.int64) + params.input_bias
    return rescale_gates(params, sums, params.input_multiplier, params.input_shift)


def recurrent_gates(params: LstmInt, hidden: Array) -> Array:
    """What the hidden state [n, units] adds to every gate: int64 [n, 4, units] in int16 range."""
    flat = params.recurrent.reshape(-1, params.units)
    product = exact_matmul(hidden, flat.T, peak=-params.limits[0])
    sums = product.reshape(len(hidden), 4, params.units).astype(np.int64) + params.recurrent_bias
    return rescale_gates(params, sums, params.recurrent_multiplier, params.recurrent_shift)


def rescale_gates(params: LstmInt, sums: Array, multiplier: Array, shift: Array) -> Array:
    if params.reduced:
        reduced, right = reduce_multipliers(multiplier, shift)
        return clamp16(multiply_by_reduced_multiplier(sums, reduced[:, None], right[:, None]))
    return clamp16(multiply_by_quantized_multiplier(sums, multiplier[:, None], shift[:, None]))


def step(params: LstmInt, inputs: Array, state: LstmState) -> LstmState:
    """One time step of n sequences; inputs: what input_gates gave for it, [n, 4, units]."""
    gates = clamp16(inputs + recurrent_gates(params, state.hidden))
    kept = product16(sigmoid(gates[:, FORGET]), state.cell, params.forget)
    added = product16(sigmoid(gates[:, INPUT]), tanh(gates[:, CELL]), params.update)
    cell = np.clip(clamp16(kept + added), params.low_limit, params.high_limit)
    raw = tanh(cell, params.cell_power) * sigmoid(gates[:, OUTPUT])
    hidden = multiply_by_quantized_multiplier(raw, *params.hidden)
    hidden = np.clip(hidden + params.hidden_zero_point, *params.limits)
    return LstmState(hidden.astype(params.element), cell.astype(np.int16))


def product16(a: Array, b: Array, factor: tuple[int, int]) -> Array:
    return clamp16(multiply_by_quantized_multiplier(a * b.astype(np.int64), *factor))


def clamp16(x: Array) -> Array:
    limited: Array = np.clip(x, INT16_MIN, INT16_MAX)
    return limited
