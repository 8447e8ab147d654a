"""Operators with a memory: SVDF, LSTM, GRU and simple RNN; consecutive samples are consecutive runs."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tests.conformance.draws import Draw, activation, clamp, numbers, qparams, scaled, scales, seeds
from tests.conformance.trial import Single
from tinyptq.graph import QParams, Shape
from tinyptq.ops.base import Operand
from tinyptq.ops.gru import Gru
from tinyptq.ops.simple_rnn import SimpleRnn
from tinyptq.ops.svdf import Svdf
from tinyptq.ops.unidirectional_sequence_lstm import UnidirectionalSequenceLstm

small = st.integers(1, 6)


def matrix(draw: Draw, shape: Shape, scale: float, dtype: str = "int8") -> Operand:
    """Symmetric weights with one scale."""
    return Operand(shape, QParams.per_tensor(scale), numbers(draw, shape, dtype, -np.iinfo(dtype).max))


def vector(draw: Draw, size: int, scale: float, reach: int, dtype: str = "int32") -> Operand:
    """A bias."""
    data = np.random.default_rng(draw(seeds)).integers(-reach, reach + 1, size).astype(dtype)
    return Operand((size,), QParams.per_tensor(float(np.float32(scale))), data, data.dtype)


def svdf(draw: Draw, dtype: str) -> Single:
    """int16 states, symmetric, or int8 ones with a zero point."""
    depth, units, rank, memory = draw(st.integers(1, 20)), draw(small), draw(st.integers(1, 3)), draw(small)
    state = draw(st.sampled_from(["int8", "int16"]))
    x, scale = activation(draw, (1, depth), dtype, 1e-4, 1.0), draw(scales(1e-3, 1.0))
    zero = draw(st.integers(-128, 127)) if state == "int8" else 0
    finest = float(x.qparams.scale[0]) * scale * 100.0 * depth**0.5 / (1.0 if state == "int8" else 256.0)
    state_scale = float(np.float32(finest * draw(scales(0.1, 10.0))))
    time_scale = draw(scales(1e-3, 1.0)) / (1.0 if state == "int8" else 256.0)
    operands = (
        x,
        matrix(draw, (units * rank, depth), scale),
        matrix(draw, (units * rank, memory), time_scale, state),
        vector(draw, units, state_scale * time_scale, 1 << 14),
    )
    natural = state_scale * time_scale * 100.0 * np.sqrt(memory * rank) * (1.0 if state == "int8" else 256.0**2)
    output = scaled(draw, dtype, natural, 0.3)
    return Single(Svdf(rank, clamp(draw), state, state_scale, zero), operands, output, seed=draw(seeds))


def lstm(draw: Draw, dtype: str) -> Single:
    """States of every scale, clipped or not, kept from run to run or not."""
    steps, depth, units = draw(small), draw(small), draw(small)
    clip = draw(st.sampled_from([0.0, 0.0, 0.01, 1.0, 7.0]))
    attrs = UnidirectionalSequenceLstm(draw(st.booleans()), clip, draw(st.integers(-15, 0)))
    x, output = activation(draw, (1, steps, depth), dtype, 1e-4, 3.0), qparams(draw, dtype, 1e-4, 0.5)
    weight_scales = [draw(scales(1e-4, 0.2)) for _ in range(8)]
    operands = [matrix(draw, (units, depth), scale) for scale in weight_scales[:4]]
    operands += [matrix(draw, (units, units), scale) for scale in weight_scales[4:]]
    bias = "int64" if dtype == "int16" else "int32"
    operands += [vector(draw, units, float(x.qparams.scale[0]) * scale, 1 << 12, bias) for scale in weight_scales[:4]]
    return Single(attrs, (x, *operands), output, seed=draw(seeds))


def gru(draw: Draw, dtype: str) -> Single:
    """The reset gate behind or before the recurrent product; tflite-micro gets the operators it is exported as."""
    attrs = Gru(draw(st.booleans()), draw(st.booleans()), powers(draw))
    x, weights, biases = gates(draw, 3, dtype)
    return Single(attrs, (x, *weights, *biases), qparams(draw, dtype, 1e-4, 0.5), seed=draw(seeds))


def simple_rnn(draw: Draw, dtype: str) -> Single:
    """One gate, whose only bias is the input's; exported as the operators it is made of."""
    x, weights, (bias, _) = gates(draw, 1, dtype)
    attrs = SimpleRnn(draw(st.booleans()), powers(draw))
    return Single(attrs, (x, *weights, bias), qparams(draw, dtype, 1e-4, 0.5), seed=draw(seeds))


def powers(draw: Draw) -> int:
    """Of the scale of a gate before its function."""
    return int(draw(st.integers(-12, -5)))


def gates(draw: Draw, count: int, dtype: str) -> tuple[Operand, list[Operand], list[Operand]]:
    """(input, weights of input and hidden state, biases of both) of gates that compute in int16: there the input is
    2^7 times finer, the hidden state lies in ±1.
    """
    steps, depth, units = draw(small), draw(small), draw(small)
    x = activation(draw, (1, steps, depth), dtype, 1e-4, 1.0)
    step = [float(x.qparams.scale[0]) * 2.0**-7] * count + [2.0**-15] * count
    scale = [draw(scales(1e-4, 0.1)) for _ in step]
    weights = [matrix(draw, (units, depth), w) for w in scale[:count]]
    weights += [matrix(draw, (units, units), w) for w in scale[count:]]
    return x, weights, [vector(draw, units, s * w, 1 << 20, "int64") for s, w in zip(step, scale, strict=True)]


DRAWS = {"gru": gru, "simple_rnn": simple_rnn, "svdf": svdf, "unidirectional_sequence_lstm": lstm}
