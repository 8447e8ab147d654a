"""GRU: a gated recurrent unit over a sequence, [n, steps, depth] -> [n, steps, units], as Keras has it.

The reset gate acts behind the recurrent product (reset_after) or before it. No TFLite operator computes a GRU:
`gru_arithmetic` is the integer specification, made of steps that TFLite Micro has kernels for; the exported file
holds them one by one. A layer that is not stateful starts every run from zeros.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import quantize_multiplier, quantize_multipliers
from tinyptq.graph import Array, Graph, Node, QParams, Shape
from tinyptq.ops import gru_arithmetic
from tinyptq.ops.base import FREE, Op, Operand, State, TfliteCode, TfliteOperator, elements
from tinyptq.ops.gru_arithmetic import HIDDEN_POWER, INPUT_BITS, ONE, GruInt8
from tinyptq.ops.gru_export import write_steps
from tinyptq.ops.recurrent import float_gates, require_reducing, round_bias, round_weights, sigmoid
from tinyptq.program import Work

GATES = 3
POWERS = range(-12, -4)  # of the gates' scale: from ±8 to ±1024
LARGEST_SHIFT = 7  # of a 64-bit accumulator's rescaling, in TFLite


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
    power = math.ceil(math.log2(max(largest, 1.0) / 32767))
    known = POWERS[0] if attrs.power is None else attrs.power
    return replace(attrs, power=min(max(power, known), POWERS[-1]))


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
    """Weights: symmetric int8, one scale per gate; biases: as int64 as TFLite's 16x8 matrix products have them, in
    units of the 16-bit input, respectively the hidden state, times the weights' scale.
    """
    step = np.float32(2.0**-INPUT_BITS) * x.scale
    weights, recurrent, bias, added = (constants[i * GATES : (i + 1) * GATES] for i in range(4))
    hidden = np.array([2.0**HIDDEN_POWER], np.float32)
    groups = ((weights, bias, step), (recurrent, added, hidden))
    rounded = [[round_weights(w, largest(b, s)) for w, b in zip(ws, bs, strict=True)] for ws, bs, s in groups]
    biases = [
        wide(round_bias(b, s * w[1].scale))
        for (_, bs, s), ws in zip(groups, rounded, strict=True)
        for b, w in zip(bs, ws, strict=True)
    ]
    return (*rounded[0], *rounded[1], *biases)


def largest(bias: Array, step: Array) -> float:
    return float(np.abs(bias).max(initial=0.0)) / float(step[0])


def wide(rounded: tuple[Array, QParams]) -> tuple[Array, QParams]:
    return rounded[0].astype(np.int64), rounded[1]


def lower(attrs: Gru, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> GruInt8:
    x, output = inputs[0].qparams, outputs[0].qparams
    power = POWERS[0] if attrs.power is None else attrs.power
    weights, recurrent, bias, added = (stacked(inputs[first : first + GATES]) for first in (1, 4, 7, 10))
    step = np.float32(2.0**-INPUT_BITS) * x.scale
    input_multiplier, input_shift = multipliers(step, inputs[1:4], power)
    hidden = np.array([2.0**HIDDEN_POWER], np.float32)
    recurrent_multiplier, recurrent_shift = multipliers(hidden, inputs[4:7], power)
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


def stacked(operands: tuple[Operand, ...]) -> Array:
    return np.stack([operand.data for operand in operands if operand.data is not None])


def multipliers(step: Array, weights: tuple[Operand, ...], power: int) -> tuple[Array, Array]:
    """(int16 multipliers, int8 shifts) of s_x · s_w / 2^power per gate, product in float32.

    Source: TFLite GetQuantizedConvolutionMultipler, and the 16 bits a 64-bit accumulator is multiplied with.
    """
    products = np.concatenate([step * weight.qparams.scale for weight in weights]).astype(np.float64)
    wide, shift = quantize_multipliers(products / 2.0**power)
    if shift.max(initial=0) > LARGEST_SHIFT:
        raise TinyptqError("scale-out-of-range", "the weights of a gate are too large", hint="scale the inputs down")
    return np.minimum((wide.astype(np.int64) + (1 << 15)) >> 16, 0x7FFF).astype(np.int16), shift


def prove_accumulators(weights: Array, bias: Array, peak: int) -> None:
    """Refuse weights [gates, units, n] with which Σ x·w + bias, |x| <= peak, can leave 32 bits."""
    reach = int((np.abs(weights.astype(np.int64)).sum(axis=2) * peak + np.abs(bias)).max(initial=0))
    if reach >= 2**31:
        raise TinyptqError(
            "accumulator-overflow",
            f"a gate can reach {reach:.3g}, beyond a 32-bit accumulator",
            hint="fewer units, or an input of fewer features",
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
