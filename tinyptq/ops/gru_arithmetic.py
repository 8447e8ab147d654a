"""The integers of a GRU: int8 input and output, int16 gates and hidden state; every step is one of TFLite Micro's.

Gates are in Keras' order: update z, reset r, candidate n. Gates before their function have the scale 2^power, hidden
state and gates the scale 2^-15; M64 is the rescaling of 64-bit accumulators, half(a, b) = MBQM(a · b, 2^30, −14). For
every step, each result limited to int16:
  seen[g]       = M64(128 · Σ (x − zp)·w[g] + bias[g])                     QUANTIZE, FULLY_CONNECTED
  remembered[g] = M64(Σ h·r[g] + recurrent bias[g])                        FULLY_CONNECTED
  z, r          = sigmoid(seen[g] + remembered[g])                         ADD, LOGISTIC
  n             = tanh(seen[n] + half(r, remembered[n])), reset after      MUL, ADD, TANH
                  tanh(seen[n] + M64(Σ half(r, h)·r[n] + bias)), before    MUL, FULLY_CONNECTED, ADD, TANH
  h             = half(z, h) + half(1 − z, n)                              MUL, SUB, MUL, ADD
  y             = MBQM(h) + zp, int8                                       QUANTIZE
No TFLite operator computes a GRU. The exported file holds these operators once per step, and TFLite Micro computes the
same integers from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.fixedpoint import multiply_by_quantized_multiplier
from tinyptq.graph import Array, QParams, Shape
from tinyptq.ops import sigmoid_int16
from tinyptq.ops.recurrent16 import ONE, clamp16, folded_bias, remembered, seen, to_output
from tinyptq.ops.sigmoid_int16 import sigmoid, tanh

GATES = ("update", "reset", "candidate")
UPDATE, RESET, CANDIDATE = range(3)
HALF = (1 << 30, -14)  # multiplier and shift of a product of two numbers of scale 2^-15


@dataclass(frozen=True, eq=False)
class GruInt8:
    """Everything the kernels read; arrays have the gates in the order of GATES. The scales serve the exported file."""

    input_shape: Shape  # [1, steps, depth]
    reset_after: bool  # the reset gate acts behind the recurrent product, else before it
    stateful: bool  # the hidden state outlives the run, else every run starts from zeros
    input_scale: float
    input_zero_point: int
    output_scale: float
    output_zero_point: int
    power: int  # gates before their function have the scale 2^power
    weights: Array  # int8 [3, units, depth]
    recurrent: Array  # int8 [3, units, units]
    bias: Array  # int32 [3, units]
    recurrent_bias: Array  # int32 [3, units]
    input_multiplier: Array  # int16 [3]
    input_shift: Array  # int8 [3]
    recurrent_multiplier: Array  # int16 [3]
    recurrent_shift: Array  # int8 [3]
    output: tuple[int, int]  # multiplier and shift from the hidden state to the output

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
    def output_qparams(self) -> QParams:
        return QParams.per_tensor(self.output_scale, self.output_zero_point)

    @property
    def input_bias(self) -> Array:
        """int32 [3, units]: the input's zero point folded in."""
        return folded_bias(self.bias, self.weights, self.input_zero_point)

    @property
    def hidden_bytes(self) -> int:
        return 2 * self.units

    @property
    def argument_scale(self) -> int:
        """Steps of the sigmoid table's argument per step of a gate."""
        return 3 << (self.power + 12)

    @property
    def table(self) -> Array:
        """int16 [256]"""
        return sigmoid_int16.CENTRED_TABLE


def initial_state(params: GruInt8, count: int) -> Array:
    """int16 [n, units]"""
    return np.zeros((count, params.units), np.int16)


def run_sequences(params: GruInt8, x: Array, hidden: Array) -> tuple[Array, Array]:
    """n sequences: x int8 [n, steps, depth], hidden int16 [n, units] -> (int8 [n, steps, units], hidden behind it)."""
    gates = seen(params, x)
    outputs = []
    for t in range(x.shape[1]):
        hidden = step(params, gates[:, t], hidden)
        outputs.append(hidden)
    return to_output(np.stack(outputs, axis=1), params.output, params.output_zero_point), hidden


def step(params: GruInt8, inputs: Array, hidden: Array) -> Array:
    """One time step of n sequences; inputs: what `seen` gave for it, [n, 3, units] -> hidden state int16 [n, units]."""
    both = clamp16(inputs[:, :CANDIDATE] + remembered(params, hidden, UPDATE, CANDIDATE))
    z, r = (sigmoid(both[:, gate], params.power) for gate in (UPDATE, RESET))
    if params.reset_after:
        inner = half(r, remembered(params, hidden, CANDIDATE, 3)[:, 0])
    else:
        inner = remembered(params, half(r, hidden), CANDIDATE, 3)[:, 0]
    n = tanh(clamp16(inputs[:, CANDIDATE] + inner), params.power)
    return clamp16(half(z, hidden) + half(clamp16(ONE - z), n)).astype(np.int16)


def half(a: Array, b: Array) -> Array:
    """a · b / 2^15 with gemmlowp's two roundings."""
    return clamp16(multiply_by_quantized_multiplier(a.astype(np.int64) * b, *HALF))
