"""Simple RNN: h = tanh(W x + U h + b) over a sequence, [n, steps, depth] -> [n, steps, units].

TFLite's UNIDIRECTIONAL_SEQUENCE_RNN keeps its hidden state from run to run; a Keras layer that is not stateful begins
every run with zeros. TFLite Micro has no such kernel, so the integers are made of steps that it has, and the exported
file holds them one by one (tflite-micro's planner, which takes 1024 tensors, loads 202 steps of them). For every step,
each result limited to int16, M64 the rescaling of 64-bit accumulators:
  seen       = M64(128 · Σ (x − zp)·w + bias)     QUANTIZE, FULLY_CONNECTED
  remembered = M64(Σ h·r)                         FULLY_CONNECTED
  h          = tanh(seen + remembered)            ADD, TANH
  y          = MBQM(h) + zp, int8                 QUANTIZE
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import quantize_multiplier
from tinyptq.graph import Array, Graph, Node, QParams, Shape
from tinyptq.ops import recurrent16, sigmoid_int16
from tinyptq.ops.base import FREE, Op, Operand, State, TfliteCode, TfliteOperator, TfliteStep, Wire, elements
from tinyptq.ops.recurrent import float_gates, require_reducing
from tinyptq.ops.recurrent16 import (
    HIDDEN_POWER,
    HIDDEN_STEP,
    INPUT_BITS,
    ONE,
    POWERS,
    clamp16,
    folded_bias,
    input_step,
    multipliers,
    power_of,
    prove_accumulators,
    stacked,
)
from tinyptq.ops.recurrent_export import ADD, PRODUCT, TANH, Sequence16, memory, results, state_tensor, steps_of
from tinyptq.program import Work

TANH_CODE = 4  # tflite.ActivationFunctionType


@dataclass(frozen=True)
class SimpleRnn:
    """power: the scale of tanh's argument is 2^power, None while unknown."""

    stateful: bool = False
    power: int | None = None


@dataclass(frozen=True, eq=False)
class SimpleRnnInt8:
    """Everything the kernels read; arrays have one row for the one gate. The scales serve the exported file."""

    input_shape: Shape  # [1, steps, depth]
    stateful: bool  # the hidden state outlives the run, else every run starts from zeros
    input_scale: float
    input_zero_point: int
    output_scale: float
    output_zero_point: int
    power: int  # tanh's argument has the scale 2^power
    weights: Array  # int8 [1, units, depth]
    recurrent: Array  # int8 [1, units, units]
    bias: Array  # int32 [1, units]
    input_multiplier: Array  # int16 [1]
    input_shift: Array  # int8 [1]
    recurrent_multiplier: Array  # int16 [1]
    recurrent_shift: Array  # int8 [1]
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
    def input_bias(self) -> Array:
        return folded_bias(self.bias, self.weights, self.input_zero_point)

    @property
    def recurrent_bias(self) -> Array:
        return np.zeros_like(self.bias)

    @property
    def hidden_bytes(self) -> int:
        return 2 * self.units

    @property
    def argument_scale(self) -> int:
        """Steps of the table's argument per step of tanh's argument."""
        return 3 << (self.power + 12)


def read_tflite(operator: TfliteOperator) -> SimpleRnn:
    options = operator.options
    if options is None or options.FusedActivationFunction() != TANH_CODE:
        raise TinyptqError("unsupported-rnn", "an RNN whose activation is not tanh")
    if options.TimeMajor():
        raise TinyptqError("unsupported-rnn", "an RNN over [steps, n, depth]", hint="time_major=False")
    return SimpleRnn(stateful=True)


def write_tflite(params: SimpleRnnInt8) -> tuple[TfliteCode, ...]:
    """The float operator, which LiteRT has; an int8 file holds `write_steps`."""
    fields = {"FusedActivationFunction": TANH_CODE, "TimeMajor": False}
    states = tuple(state(replace(params, stateful=True)).values())
    return (TfliteCode("UNIDIRECTIONAL_SEQUENCE_RNN", "SequenceRNNOptions", fields, states),)


def write_steps(params: SimpleRnnInt8) -> Iterator[TfliteStep]:
    """The operators in the order in which they run."""
    sequence = Sequence16(params.input_shape, params.input_scale, params.power, params.units)
    seen = yield from steps_of(sequence, gates=1, weights=1, biases=3)
    hidden, remember = yield from memory(params.units, params.stateful)
    states: list[Wire] = []
    for t in range(params.steps):
        product, total = sequence.gate(f"product_{t}"), sequence.gate(f"sum_{t}")
        yield TfliteStep(PRODUCT, (hidden, 2), (product,))
        yield TfliteStep(ADD, (seen[0][t], product), (total,))
        hidden = state_tensor(params.units, f"hidden_{t}")
        yield TfliteStep(TANH, (total,), (hidden,))
        states.append(hidden)
    yield from remember(hidden)
    yield from results(states, QParams.per_tensor(params.output_scale, params.output_zero_point), output=4)


def infer_shapes(attrs: SimpleRnn, x: Shape, *weights: Shape) -> tuple[Shape, ...]:
    batch, steps, _ = x
    return ((batch, steps, weights[1][0]),)


def run_float(attrs: SimpleRnn, x: Array, *constants: Array) -> Array:
    return sequences(attrs, x, constants)[0]


def sequences(attrs: SimpleRnn, x: Array, constants: Sequence[Array]) -> tuple[Array, float]:
    """(hidden states float32 [n, steps, units], largest |summand of tanh's argument|)."""
    if attrs.stateful:
        hidden, largest = scan(x.reshape(1, -1, x.shape[-1]), constants)
        return hidden.reshape(*x.shape[:2], -1), largest
    return scan(x, constants)


def scan(x: Array, constants: Sequence[Array]) -> tuple[Array, float]:
    weights, recurrent, bias = constants
    seen = float_gates(x, [weights], [bias])
    hidden = np.zeros((len(x), len(recurrent)), np.float32)
    largest, outputs = float(np.abs(seen).max(initial=0.0)), []
    for t in range(x.shape[1]):
        remembered = hidden @ recurrent.T
        largest = max(largest, float(np.abs(remembered).max(initial=0.0)))
        hidden = np.tanh(seen[:, t] + remembered)
        outputs.append(hidden)
    return np.stack(outputs, axis=1), largest


def calibrate(attrs: SimpleRnn, x: Array, *constants: Array) -> SimpleRnn:
    """The finest power of two that holds every summand seen, in this batch and in those before."""
    return replace(attrs, power=power_of(sequences(attrs, x, constants)[1], attrs.power))


def fitting_weights(graph: Graph, node: Node) -> bool:
    """Input is [n, steps, depth], weights are [units, depth] and [units, units], the bias [units]."""
    x, *constants = (graph.tensors[name].shape for name in node.inputs)
    units = constants[1][0]
    return len(x) == 3 and constants == [(units, x[-1]), (units, units), (units,)]


def constant_weights(graph: Graph, node: Node) -> bool:
    """Weights and bias are constants."""
    return all(graph.is_constant(name) for name in node.inputs[1:])


def round_constants(
    attrs: SimpleRnn, x: QParams, output: QParams, constants: Sequence[Array]
) -> tuple[tuple[Array, QParams], ...]:
    """Weights: symmetric int8, one scale each; bias: int64."""
    weights, recurrent, bias = constants
    first, added = recurrent16.round_gates([weights], [bias], input_step(x))
    second, _ = recurrent16.round_gates([recurrent], [np.zeros_like(bias)], HIDDEN_STEP)
    return (*first, *second, *added)


def lower(attrs: SimpleRnn, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> SimpleRnnInt8:
    x, output = inputs[0].qparams, outputs[0].qparams
    power = POWERS[0] if attrs.power is None else attrs.power
    weights, recurrent, bias = (stacked(inputs[place : place + 1]) for place in (1, 2, 3))
    input_multiplier, input_shift = multipliers(input_step(x), inputs[1:2], power)
    recurrent_multiplier, recurrent_shift = multipliers(HIDDEN_STEP, inputs[2:3], power)
    prove_accumulators(weights, bias, 255 << INPUT_BITS)
    prove_accumulators(recurrent, np.zeros_like(bias), ONE)
    return SimpleRnnInt8(
        input_shape=inputs[0].shape,
        stateful=attrs.stateful,
        input_scale=float(x.scale[0]),
        input_zero_point=int(x.zero_point[0]),
        output_scale=float(output.scale[0]),
        output_zero_point=int(output.zero_point[0]),
        power=power,
        weights=weights,
        recurrent=recurrent,
        bias=bias.astype(np.int32),
        input_multiplier=input_multiplier,
        input_shift=input_shift,
        recurrent_multiplier=recurrent_multiplier,
        recurrent_shift=recurrent_shift,
        output=require_reducing(quantize_multiplier(2.0**HIDDEN_POWER / float(output.scale[0])), output),
    )


def run_int(params: SimpleRnnInt8, x: Array) -> Array:
    if params.stateful:
        return run_state(params, {name: s.initial for name, s in state(params).items()}, x)[0]
    return run_sequences(params, x, np.zeros((len(x), params.units), np.int16))[0]


def run_sequences(params: SimpleRnnInt8, x: Array, hidden: Array) -> tuple[Array, Array]:
    """n sequences: x int8 [n, steps, depth], hidden int16 [n, units] -> (int8 [n, steps, units], hidden behind it)."""
    seen, outputs = recurrent16.seen(params, x)[:, :, 0], []
    for t in range(x.shape[1]):
        remembered = recurrent16.remembered(params, hidden, 0, 1)[:, 0]
        hidden = sigmoid_int16.tanh(clamp16(seen[:, t] + remembered), params.power).astype(np.int16)
        outputs.append(hidden)
    return recurrent16.to_output(np.stack(outputs, axis=1), params.output, params.output_zero_point), hidden


def run_state(params: SimpleRnnInt8, before: Mapping[str, Array], x: Array) -> tuple[Array, Mapping[str, Array]]:
    """Samples are consecutive runs: one long sequence."""
    y, hidden = run_sequences(params, x.reshape(1, -1, params.depth), before["hidden"])
    return y.reshape(*x.shape[:2], params.units), {"hidden": hidden}


def state(params: SimpleRnnInt8) -> Mapping[str, State]:
    if not params.stateful:
        return {}
    return {"hidden": State(np.zeros((1, params.units), np.int16), 2.0**HIDDEN_POWER)}


def scratch(params: SimpleRnnInt8) -> int:
    """The next hidden state; the present one, unless it is kept elsewhere."""
    return params.hidden_bytes * (1 + (not params.stateful))


def constants(params: SimpleRnnInt8) -> Mapping[str, Array]:
    return {
        "weights": params.weights,
        "input_bias": params.input_bias,
        "recurrent": params.recurrent,
        "recurrent_bias": params.recurrent_bias,
        "table": sigmoid_int16.CENTRED_TABLE,
    }


def work(params: SimpleRnnInt8) -> Work:
    weights = params.weights.size + params.recurrent.size
    return Work(
        macs=params.steps * weights,
        weight_bytes=weights + params.bias.nbytes,
        activation_bytes=elements(params.input_shape) + params.steps * params.units,
    )


OP = Op(
    name="simple_rnn",
    summary="simple recurrent layer over a sequence, tanh of a sum of matrix products",
    builtins=("UNIDIRECTIONAL_SEQUENCE_RNN",),
    attrs=SimpleRnn,
    params=SimpleRnnInt8,
    operands=None,
    operand_order=(0, 1, 2, 3),
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    write_steps=write_steps,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(fitting_weights, constant_weights),
    quantization=FREE,
    lower=lower,
    run_int=run_int,
    constants=constants,
    scratch=scratch,
    state=state,
    run_state=run_state,
    round_constants=round_constants,
    calibrate=calibrate,
    work=work,
)
