"""GRU: a gated recurrent unit over a sequence, [n, steps, depth] -> [n, steps, units], as Keras has it.

The reset gate acts behind the recurrent product (reset_after) or before it. No TFLite operator computes a GRU:
`gru_arithmetic` is the integer specification, made of steps that TFLite Micro has kernels for; the exported file
holds them one by one (tflite-micro's planner, which takes 1024 tensors, loads 56 steps of them). A layer that is
not stateful starts every run from zeros.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tinyptq.fixedpoint import quantize_multiplier
from tinyptq.graph import Array, Graph, Node, QParams, Shape
from tinyptq.ops import gru_arithmetic, recurrent16
from tinyptq.ops.base import FREE, Op, Operand, State, TfliteCode, TfliteOperator, elements
from tinyptq.ops.gru_arithmetic import GruInt8
from tinyptq.ops.gru_export import write_steps
from tinyptq.ops.recurrent import float_gates, require_reducing, sigmoid
from tinyptq.ops.recurrent16 import (
    HIDDEN_POWER,
    HIDDEN_STEP,
    INPUT_BITS,
    ONE,
    POWERS,
    input_step,
    multipliers,
    power_of,
    prove_accumulators,
    stacked,
)
from tinyptq.program import Work

GATES = 3


@dataclass(frozen=True)
class Gru:
    """power: the gates' scale before their function is 2^power, None while unknown."""

    reset_after: bool = True
    stateful: bool = False
    power: int | None = None


def no_builtin(_: TfliteOperator | GruInt8) -> tuple[TfliteCode, ...]:
    raise AssertionError("no TFLite operator computes a GRU")


def infer_shapes(attrs: Gru, x: Shape, *weights: Shape) -> tuple[Shape, ...]:
    batch, steps, _ = x
    return ((batch, steps, weights[GATES][0]),)


def run_float(attrs: Gru, x: Array, *constants: Array) -> Array:
    return sequences(attrs, x, constants)[0]


def sequences(attrs: Gru, x: Array, constants: Sequence[Array]) -> tuple[Array, float]:
    """(hidden states float32 [n, steps, units], largest |summand of a gate|). Every sample begins with zeros; those
    of a stateful layer are one long sequence.
    """
    if attrs.stateful:
        hidden, largest = scan(attrs, x.reshape(1, -1, x.shape[-1]), constants)
        return hidden.reshape(*x.shape[:2], -1), largest
    return scan(attrs, x, constants)


def scan(attrs: Gru, x: Array, constants: Sequence[Array]) -> tuple[Array, float]:
    seen = np.split(float_gates(x, constants[:3], constants[6:9]), GATES, axis=2)
    recurrent, biases = constants[3:6], constants[9:12]
    hidden = np.zeros((len(x), len(recurrent[0])), np.float32)
    largest, outputs = float(np.abs(seen).max(initial=0.0)), []

    def remembered(gate: int, state: Array) -> Array:
        nonlocal largest
        product: Array = state @ recurrent[gate].T + biases[gate]
        largest = max(largest, float(np.abs(product).max(initial=0.0)))
        return product

    for t in range(x.shape[1]):
        z, r = (sigmoid(seen[gate][:, t] + remembered(gate, hidden)) for gate in (0, 1))
        inner = r * remembered(2, hidden) if attrs.reset_after else remembered(2, r * hidden)
        hidden = z * hidden + (1 - z) * np.tanh(seen[2][:, t] + inner)
        outputs.append(hidden)
    return np.stack(outputs, axis=1), largest


def calibrate(attrs: Gru, x: Array, *constants: Array) -> Gru:
    """The finest power of two that holds every summand of a gate seen, in this batch and in those before."""
    _, largest = sequences(attrs, x, constants)
    return replace(attrs, power=power_of(largest, attrs.power))


def fitting_weights(graph: Graph, node: Node) -> bool:
    """Input is [n, steps, depth]; per gate, weights are [units, depth] and [units, units], and two biases [units]."""
    x, *constants = (graph.tensors[name].shape for name in node.inputs)
    units = constants[GATES][0]
    wanted = [(units, x[-1])] * GATES + [(units, units)] * GATES + [(units,)] * (2 * GATES)
    return len(x) == 3 and constants == wanted


def constant_weights(graph: Graph, node: Node) -> bool:
    """Weights and biases are constants."""
    return all(graph.is_constant(name) for name in node.inputs[1:])


def round_constants(
    attrs: Gru, x: QParams, output: QParams, constants: Sequence[Array]
) -> tuple[tuple[Array, QParams], ...]:
    """Weights: symmetric int8, one scale per gate; biases: int64."""
    weights, recurrent, bias, added = (constants[i * GATES : (i + 1) * GATES] for i in range(4))
    first, first_bias = recurrent16.round_gates(weights, bias, input_step(x))
    second, second_bias = recurrent16.round_gates(recurrent, added, HIDDEN_STEP)
    return (*first, *second, *first_bias, *second_bias)


def lower(attrs: Gru, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> GruInt8:
    x, output = inputs[0].qparams, outputs[0].qparams
    power = POWERS[0] if attrs.power is None else attrs.power
    weights, recurrent, bias, added = (stacked(inputs[first : first + GATES]) for first in (1, 4, 7, 10))
    input_multiplier, input_shift = multipliers(input_step(x), inputs[1:4], power)
    recurrent_multiplier, recurrent_shift = multipliers(HIDDEN_STEP, inputs[4:7], power)
    prove_accumulators(weights, bias, 255 << INPUT_BITS)
    prove_accumulators(recurrent, added, ONE)
    return GruInt8(
        input_shape=inputs[0].shape,
        reset_after=attrs.reset_after,
        stateful=attrs.stateful,
        input_scale=float(x.scale[0]),
        input_zero_point=int(x.zero_point[0]),
        output_scale=float(output.scale[0]),
        output_zero_point=int(output.zero_point[0]),
        power=power,
        weights=weights,
        recurrent=recurrent,
        bias=bias.astype(np.int32),
        recurrent_bias=added.astype(np.int32),
        input_multiplier=input_multiplier,
        input_shift=input_shift,
        recurrent_multiplier=recurrent_multiplier,
        recurrent_shift=recurrent_shift,
        output=require_reducing(quantize_multiplier(2.0**HIDDEN_POWER / float(output.scale[0])), output),
    )


def run_int(params: GruInt8, x: Array) -> Array:
    if params.stateful:
        return run_state(params, {name: s.initial for name, s in state(params).items()}, x)[0]
    return gru_arithmetic.run_sequences(params, x, gru_arithmetic.initial_state(params, len(x)))[0]


def run_state(params: GruInt8, before: Mapping[str, Array], x: Array) -> tuple[Array, Mapping[str, Array]]:
    """Samples are consecutive runs: one long sequence."""
    y, hidden = gru_arithmetic.run_sequences(params, x.reshape(1, -1, params.depth), before["hidden"])
    return y.reshape(*x.shape[:2], params.units), {"hidden": hidden}


def state(params: GruInt8) -> Mapping[str, State]:
    if not params.stateful:
        return {}
    return {"hidden": State(gru_arithmetic.initial_state(params, 1), 2.0**HIDDEN_POWER)}


def scratch(params: GruInt8) -> int:
    """The next hidden state; the present one, unless it is kept elsewhere; what the reset gate leaves of it."""
    return params.hidden_bytes * (1 + (not params.stateful) + (not params.reset_after))


def constants(params: GruInt8) -> Mapping[str, Array]:
    return {
        "weights": params.weights,
        "input_bias": params.input_bias,
        "recurrent": params.recurrent,
        "recurrent_bias": params.recurrent_bias,
        "table": params.table,
    }


def work(params: GruInt8) -> Work:
    weights = params.weights.size + params.recurrent.size
    return Work(
        macs=params.steps * weights,
        weight_bytes=weights + params.bias.nbytes + params.recurrent_bias.nbytes,
        activation_bytes=elements(params.input_shape) + elements(params.output_shape),
    )


OP = Op(
    name="gru",
    summary="GRU over a sequence, reset gate behind or before the recurrent product",
    builtins=(),
    attrs=Gru,
    params=GruInt8,
    operands=None,
    read_tflite=no_builtin,
    write_tflite=no_builtin,
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
