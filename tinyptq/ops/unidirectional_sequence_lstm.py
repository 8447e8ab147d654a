"""UNIDIRECTIONAL_SEQUENCE_LSTM: a long short-term memory over a sequence, [n, steps, depth] -> [n, steps, units].

Without peepholes, projection and layer normalization, as Keras' LSTM is. The operator of a .tflite file keeps its
hidden and cell state from run to run; a Keras layer that is not stateful starts every run from zeros.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import quantize_multiplier, quantize_multipliers, reduce_multipliers
from tinyptq.graph import Array, Graph, Node, QParams, Shape
from tinyptq.ops import lstm_arithmetic
from tinyptq.ops.base import FREE, Op, Operand, State, TfliteCode, TfliteOperator, elements
from tinyptq.ops.channels import INT8_REACH, INT16_REACH
from tinyptq.ops.element import SCALED, scaled_element, width
from tinyptq.ops.lstm_arithmetic import GATE_POWER, LstmInt, LstmState
from tinyptq.ops.recurrent import (
    float_gates,
    require_reducing,
    round_gates,
    sigmoid,
)
from tinyptq.ops.requantize import accumulator_bound, prove_no_overflow, prove_reducible
from tinyptq.program import Work

# Where the operands stand among the 24 of TFLite, and what each of the others would be.
OPERANDS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 14, 15)
PLACES = {1: "its input gate (CIFG)", 9: "peepholes", 10: "peepholes", 11: "peepholes", 16: "a projection"}
PLACES |= {17: "a projection", 20: "layer normalization"}
HIDDEN_STATE, CELL_STATE = 18, 19
TANH = 4  # tflite.ActivationFunctionType
POWERS = range(-22, 3)  # of the cell state's scale: from ±1/128 to what the table's argument can hold
DEFAULT_POWER = -11  # ±16


@dataclass(frozen=True)
class UnidirectionalSequenceLstm:
    """cell_clip: limit of the cell state, 0 for none. cell_power: its scale is 2^cell_power, None while unknown.

    hidden: (scale, zero point) of the hidden state where they are not the output's, which then has the same integers
    and means other numbers by them; TFLite Micro copies them, too.
    """

    stateful: bool = False
    cell_clip: float = 0.0
    cell_power: int | None = None
    hidden: tuple[float, int] | None = None


def read_tflite(operator: TfliteOperator) -> UnidirectionalSequenceLstm:
    options = operator.options
    if options is None or options.FusedActivationFunction() != TANH:
        raise TinyptqError("unsupported-lstm", "an LSTM whose activation is not tanh")
    if options.TimeMajor():
        raise TinyptqError("unsupported-lstm", "an LSTM over [steps, n, depth]", hint="time_major=False")
    present = [index < len(operator.inputs) and operator.inputs[index] is not None for index in range(24)]
    for place, what in PLACES.items():
        if present[place] != (place in OPERANDS):
            kind = "without" if place in OPERANDS else "with"
            raise TinyptqError("unsupported-lstm", f"an LSTM {kind} {what}", hint="Keras' LSTM layer has none of it")
    return UnidirectionalSequenceLstm(True, float(options.CellClip()), read_power(operator), read_hidden(operator))


def read_hidden(operator: TfliteOperator) -> tuple[float, int] | None:
    """None where the output has the hidden state's scale, and in a float model."""
    hidden, output = operator.inputs[HIDDEN_STATE], operator.outputs[0].qparams
    if hidden is None or hidden.qparams is None or output is None or hidden.qparams.same_as(output):
        return None
    if len(hidden.qparams.scale) != 1:
        raise TinyptqError("unsupported-lstm", "an LSTM whose hidden state has a scale per channel")
    return float(hidden.qparams.scale[0]), int(hidden.qparams.zero_point[0])


def read_power(operator: TfliteOperator) -> int | None:
    """The power of two that is the cell state's scale; None in a float model."""
    hidden, cell = operator.inputs[HIDDEN_STATE], operator.inputs[CELL_STATE]
    if cell is None or cell.qparams is None or hidden is None or hidden.qparams is None:
        return None
    output = operator.outputs[0].qparams
    if output is None or hidden.dtype != operator.outputs[0].dtype:
        raise TinyptqError("unsupported-lstm", "an LSTM whose output has another type than its hidden state")
    fraction, exponent = math.frexp(float(cell.qparams.scale[0]))
    if cell.dtype != np.int16 or fraction != 0.5 or exponent - 1 not in POWERS:
        raise TinyptqError(
            "unsupported-lstm",
            f"a cell state of {cell.dtype} with scale {float(cell.qparams.scale[0]):.6g}",
            hint="int16, a power of two from 2^-22 to 4",
        )
    return exponent - 1


def write_tflite(params: LstmInt) -> tuple[TfliteCode, ...]:
    states = tuple(state(replace(params, stateful=True)).values())
    clip = params.cell_limit * 2.0**params.cell_power
    fields = {"FusedActivationFunction": TANH, "CellClip": clip, "TimeMajor": False}
    operands = (None, None, None, None, None, *states, None, None, None, None)  # peepholes, projection; normalization
    return (TfliteCode("UNIDIRECTIONAL_SEQUENCE_LSTM", "UnidirectionalSequenceLSTMOptions", fields, operands),)


def infer_shapes(attrs: UnidirectionalSequenceLstm, x: Shape, *weights: Shape) -> tuple[Shape, ...]:
    batch, steps, _ = x
    return ((batch, steps, weights[4][0]),)


def run_float(attrs: UnidirectionalSequenceLstm, x: Array, *constants: Array) -> Array:
    return sequences(attrs, x, constants)[0]


def sequences(attrs: UnidirectionalSequenceLstm, x: Array, constants: tuple[Array, ...]) -> tuple[Array, float]:
    """(hidden states float32 [n, steps, units], largest |cell state|). Every sample begins with zeros; those of a
    stateful layer are one long sequence.
    """
    if attrs.stateful:
        hidden, largest = scan(attrs, x.reshape(1, -1, x.shape[-1]), constants)
        return hidden.reshape(*x.shape[:2], -1), largest
    return scan(attrs, x, constants)


def scan(attrs: UnidirectionalSequenceLstm, x: Array, constants: tuple[Array, ...]) -> tuple[Array, float]:
    inputs, recurrent = float_gates(x, constants[:4], constants[8:12]), np.concatenate(constants[4:8]).T
    units = len(constants[4])
    hidden = np.zeros((len(x), units), np.float32)
    cell, largest, outputs = hidden, 0.0, []
    for t in range(x.shape[1]):
        i, f, c, o = np.split(inputs[:, t] + hidden @ recurrent, 4, axis=1)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(c)
        if attrs.cell_clip > 0.0:
            cell = np.clip(cell, -attrs.cell_clip, attrs.cell_clip)
        hidden = sigmoid(o) * np.tanh(cell)
        largest = max(largest, float(np.abs(cell).max(initial=0.0)))
        outputs.append(hidden)
    return np.stack(outputs, axis=1), largest


def calibrate(attrs: UnidirectionalSequenceLstm, x: Array, *constants: Array) -> UnidirectionalSequenceLstm:
    """The finest power of two that holds every cell state seen, in this batch and in those before."""
    _, largest = sequences(attrs, x, constants)
    power = math.ceil(math.log2(max(largest, 2.0**-20) / 32767))
    known = POWERS[0] if attrs.cell_power is None else attrs.cell_power
    return replace(attrs, cell_power=min(max(power, known), POWERS[-1]))


def three_axes(graph: Graph, node: Node) -> bool:
    """Input is [n, steps, depth], weights are [units, depth] and [units, units], biases [units], for all four gates."""
    if len(node.inputs) != len(OPERANDS):
        return False
    x, *constants = (graph.tensors[name].shape for name in node.inputs)
    units = constants[4][0] if constants[4] else 0
    wanted = [(units, x[-1])] * 4 + [(units, units)] * 4 + [(units,)] * 4
    return len(x) == 3 and constants == wanted


def constant_weights(graph: Graph, node: Node) -> bool:
    """Weights and biases are constants."""
    return all(graph.is_constant(name) for name in node.inputs[1:])


def one_scale(graph: Graph, node: Node) -> bool:
    """Already quantized weights have one scale per tensor and zero point 0."""
    qparams = [graph.tensors[name].qparams for name in node.inputs[1:9]]
    return all(q is None or (len(q.scale) == 1 and not q.zero_point.any()) for q in qparams)


def integer_types(graph: Graph, node: Node) -> bool:
    """Already quantized weights are int8, biases int32; beside int16 activations they are int64."""
    x, *constants = (graph.tensors[name].dtype for name in node.inputs)
    wanted = [np.dtype(np.int8)] * 8 + [np.dtype(np.int64 if x == np.int16 else np.int32)] * 4
    return x.kind == "f" or constants == wanted


def lower(attrs: UnidirectionalSequenceLstm, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> LstmInt:
    """Scales of the gates are 2^-12, of their functions 2^-15. Source: TFLite Micro PrepareGateParametersInteger."""
    x, hidden = inputs[0], outputs[0].qparams if attrs.hidden is None else QParams.per_tensor(*attrs.hidden)
    weights, recurrent, bias = (stacked(inputs[first : first + 4]) for first in (1, 5, 9))
    input_multiplier, input_shift = gate_multipliers(x.qparams, inputs[1:5])
    recurrent_multiplier, recurrent_shift = gate_multipliers(hidden, inputs[5:9])
    element = scaled_element(x, outputs[0])
    largest = max(
        prove_gates(element, weights, bias, input_multiplier, input_shift),
        prove_gates(element, recurrent, np.zeros_like(bias), recurrent_multiplier, recurrent_shift),
    )
    power = DEFAULT_POWER if attrs.cell_power is None else attrs.cell_power
    cell_scale = 2.0**power
    return LstmInt(
        input_shape=x.shape,
        element=element,
        accumulator="int32" if largest < 2.0**31 else "int64",
        stateful=attrs.stateful,
        input_zero_point=int(x.qparams.zero_point[0]),
        hidden_zero_point=int(hidden.zero_point[0]),
        hidden_scale=float(hidden.scale[0]),
        cell_power=power,
        cell_limit=int(min(attrs.cell_clip / cell_scale, 32767.0)),
        weights=weights,
        recurrent=recurrent,
        bias=bias,
        input_multiplier=input_multiplier,
        input_shift=input_shift,
        recurrent_multiplier=recurrent_multiplier,
        recurrent_shift=recurrent_shift,
        forget=quantize_multiplier(2.0**-15),
        update=quantize_multiplier(2.0**-30 / cell_scale),
        hidden=require_reducing(quantize_multiplier(2.0**-30 / float(hidden.scale[0])), hidden),
    )


def prove_gates(element: str, weights: Array, bias: Array, multiplier: Array, shift: Array) -> float:
    """The largest sum of any gate, which can be rescaled. weights [4, units, inputs], bias [4, units]."""
    reach = INT16_REACH if element == "int16" else INT8_REACH
    bounds = [accumulator_bound(w, b, 0, reach) for w, b in zip(weights, bias, strict=True)]
    for bound, factor, left in zip(bounds, multiplier, shift, strict=True):
        if element == "int16":
            prove_reducible(bound, np.full(len(bound), factor), np.full(len(bound), left))
        else:
            prove_no_overflow(bound, left)
    return float(np.max(bounds))


def stacked(operands: tuple[Operand, ...]) -> Array:
    return np.stack([operand.data for operand in operands if operand.data is not None])


def gate_multipliers(x: QParams, weights: tuple[Operand, ...]) -> tuple[Array, Array]:
    """s_x · s_w / 2^-12 per gate, in double: measured, where FULLY_CONNECTED itself multiplies in float32."""
    scales = np.array([float(weight.qparams.scale[0]) for weight in weights])
    return quantize_multipliers(float(x.scale[0]) * scales / 2.0**GATE_POWER)


def run_int(params: LstmInt, x: Array) -> Array:
    if params.stateful:
        return run_state(params, {name: s.initial for name, s in state(params).items()}, x)[0]
    return lstm_arithmetic.run_sequences(params, x, lstm_arithmetic.initial_state(params, len(x)))[0]


def run_state(params: LstmInt, before: Mapping[str, Array], x: Array) -> tuple[Array, Mapping[str, Array]]:
    """Samples are consecutive runs: one long sequence."""
    if not params.stateful:
        return run_int(params, x), {}
    sequence = x.reshape(1, -1, params.depth)
    y, after = lstm_arithmetic.run_sequences(params, sequence, LstmState(before["hidden"], before["cell"]))
    return y.reshape(*x.shape[:2], params.units), {"hidden": after.hidden, "cell": after.cell}


def state(params: LstmInt) -> Mapping[str, State]:
    if not params.stateful:
        return {}
    zeros = lstm_arithmetic.initial_state(params, 1)
    return {"hidden": State(zeros.hidden, params.hidden_scale), "cell": State(zeros.cell, 2.0**params.cell_power)}


def scratch(params: LstmInt) -> int:
    """Cell and hidden state, unless they are kept elsewhere."""
    return 0 if params.stateful else params.cell_bytes + params.hidden_bytes


def constants(params: LstmInt) -> Mapping[str, Array]:
    factors = [params.input_multiplier, params.input_shift, params.recurrent_multiplier, params.recurrent_shift]
    if params.reduced:
        pairs = (*reduce_multipliers(*factors[:2]), *reduce_multipliers(*factors[2:]))
        factors = [part.astype(factor.dtype) for part, factor in zip(pairs, factors, strict=True)]
    return {
        "weights": params.weights,
        "input_bias": params.input_bias.astype(params.accumulator),
        "recurrent": params.recurrent,
        "recurrent_bias": params.recurrent_bias.astype(params.accumulator),
        "input_multiplier": factors[0],
        "input_shift": factors[1],
        "recurrent_multiplier": factors[2],
        "recurrent_shift": factors[3],
        "table": params.table,
    }


def work(params: LstmInt) -> Work:
    weights = params.weights.size + params.recurrent.size
    return Work(
        macs=params.steps * weights,
        weight_bytes=weights + params.bias.nbytes,
        activation_bytes=width(params.element) * (elements(params.input_shape) + elements(params.output_shape)),
    )


OP = Op(
    name="unidirectional_sequence_lstm",
    summary="LSTM over a sequence, without peepholes, projection and layer normalization",
    builtins=("UNIDIRECTIONAL_SEQUENCE_LSTM",),
    attrs=UnidirectionalSequenceLstm,
    params=LstmInt,
    operands=None,
    operand_order=OPERANDS,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(three_axes, constant_weights, one_scale, integer_types),
    quantization=FREE,
    lower=lower,
    run_int=run_int,
    dtypes=SCALED,
    constants=constants,
    scratch=scratch,
    state=state,
    run_state=run_state,
    round_constants=round_gates,
    calibrate=calibrate,
    work=work,
)
