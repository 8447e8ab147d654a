"""SVDF: a fully connected layer of low rank over time. Every run sees one frame and remembers the last ones.

Each filter multiplies the frame by its feature weights; the products of the last `memory` frames, weighted by its time
weights, are summed; `rank` neighbouring filters and a bias make one output. Source: TFLite Micro svdf_common, whose
reference kernel this equals, state included; its fused ReLU is the lower end of the output's range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier, wrap32
from tinyptq.graph import Array, Graph, Node, QParams, Shape
from tinyptq.ops.activation import NONE, Clamp, read_clamp, tflite_code
from tinyptq.ops.base import FREE, Op, Operand, State, TfliteCode, TfliteOperator, elements
from tinyptq.ops.recurrent import round_bias, round_weights
from tinyptq.ops.requantize import accumulator_bound, exact_matmul, fold_zero_point, prove_no_overflow
from tinyptq.program import Work

OPERANDS = 4
STATE = 4  # where the state stands among the TFLite inputs
STATE_TYPES = ("int8", "int16")


@dataclass(frozen=True)
class Svdf:
    """state_scale, state_zero_point: of the remembered products; the scale is None while unknown."""

    rank: int
    activation: Clamp = NONE
    state_dtype: str = "int16"
    state_scale: float | None = None
    state_zero_point: int = 0


@dataclass(frozen=True, eq=False)
class SvdfInt8:
    """a = clamp(MBQM(Σ (x − zp_x)·f, feature)) + zp_s, remembered; y = clamp(MBQM(Σ (a − zp_s)·t + bias, time) + zp_y).

    As in tflite-micro 0.dev20261023, a wraps around where its zero point leads beyond its type, and the second sum runs
    modulo 2^32. (Its later sources add zp_s before they clamp; a state with zero point 0, any int16 one, has neither.)
    """

    depth: int
    rank: int
    input_zero_point: int
    output_zero_point: int
    state_zero_point: int
    state_dtype: str
    state_scale: float  # only the exported file needs it
    activation_code: int  # TFLite's fused activation
    feature_weights: Array  # int8 [filters, depth]
    time_weights: Array  # int8 or int16 [filters, memory], the newest frame last
    bias: Array  # int32 [units]
    feature: tuple[int, int]  # multiplier and shift
    time: tuple[int, int]

    @property
    def filters(self) -> int:
        return int(self.time_weights.shape[0])

    @property
    def memory(self) -> int:
        return int(self.time_weights.shape[1])

    @property
    def units(self) -> int:
        return self.filters // self.rank

    @property
    def state_size(self) -> int:
        return self.filters * self.memory

    @property
    def newest(self) -> int:
        """Where a filter keeps the newest frame's product."""
        return self.memory - 1

    @property
    def shifted_bytes(self) -> int:
        """All of the state but its oldest element."""
        return (self.state_size - 1) * self.time_weights.itemsize

    @property
    def state_limits(self) -> tuple[int, int]:
        info = np.iinfo(self.state_dtype)
        return int(info.min), int(info.max)

    @property
    def feature_bias(self) -> Array:
        """int32 [filters]: the input's zero point folded in."""
        return fold_zero_point(np.zeros(self.filters, np.int32), self.feature_weights, 0, self.input_zero_point)


def read_tflite(operator: TfliteOperator) -> Svdf:
    options = operator.options
    if options is None or options.Rank() < 1:
        raise TinyptqError("unsupported-svdf", "an SVDF without a rank")
    attrs = Svdf(int(options.Rank()), read_clamp(options.FusedActivationFunction()))
    state = operator.inputs[STATE] if len(operator.inputs) > STATE else None
    if state is None or state.qparams is None:
        return attrs
    weights = operator.inputs[2]
    if str(state.dtype) not in STATE_TYPES or weights is None or weights.dtype != state.dtype:
        raise TinyptqError(
            "unsupported-svdf", f"an SVDF with a state of {state.dtype}", hint="int8 or int16, like its time weights"
        )
    scale, zero_point = float(state.qparams.scale[0]), int(state.qparams.zero_point[0])
    if not (-128 <= zero_point <= 127 if state.dtype == np.int8 else zero_point == 0):
        raise TinyptqError("unsupported-svdf", f"an SVDF with a state of {state.dtype} and zero point {zero_point}")
    return replace(attrs, state_dtype=str(state.dtype), state_scale=scale, state_zero_point=zero_point)


def write_tflite(params: SvdfInt8) -> tuple[TfliteCode, ...]:
    fields = {"Rank": params.rank, "FusedActivationFunction": params.activation_code}
    return (TfliteCode("SVDF", "SVDFOptions", fields, tuple(state(params).values()), version=3),)


def infer_shapes(attrs: Svdf, x: Shape, feature: Shape, time: Shape, bias: Shape | None = None) -> tuple[Shape, ...]:
    return ((x[0], feature[0] // attrs.rank),)


def windows(history: Array, memory: int) -> Array:
    """[time, filters, memory] views of [memory + time, filters]: the state after each frame."""
    view: Array = np.lib.stride_tricks.sliding_window_view(history[1:], memory, axis=0)
    return view


def run_float(attrs: Svdf, x: Array, feature: Array, time: Array, bias: Array) -> Array:
    """Samples are consecutive frames; before the first one there were zeros."""
    filters, memory = time.shape
    history = np.concatenate([np.zeros((memory, filters), np.float32), x @ feature.T])
    sums = (windows(history, memory) * time).sum(axis=2)
    return attrs.activation.apply(sums.reshape(len(x), -1, attrs.rank).sum(axis=2) + bias)


def calibrate(attrs: Svdf, x: Array, feature: Array, time: Array, bias: Array) -> Svdf:
    """A symmetric int16 state that holds every product of a frame with the feature weights seen so far."""
    largest = float(np.abs(x @ feature.T).max(initial=0.0))
    return replace(attrs, state_scale=max(largest / 32767.0, attrs.state_scale or 1e-6))


def round_constants(
    attrs: Svdf, x: QParams, output: QParams, constants: Sequence[Array]
) -> tuple[tuple[Array, QParams], ...]:
    """int8 feature weights, int16 time weights, int32 bias; one scale each, no zero points."""
    feature, time, bias = constants
    state_scale = np.float32(attrs.state_scale or 1.0)
    times = round_weights(time, float(np.abs(bias).max(initial=0.0)) / float(state_scale), 32767)
    return round_weights(feature, 0.0), times, round_bias(bias, state_scale * times[1].scale)


def matching_shapes(graph: Graph, node: Node) -> bool:
    """A frame [n, depth], feature weights [filters, depth], time weights [filters, memory], a bias [filters / rank]."""
    if len(node.inputs) != OPERANDS:
        return False
    x, feature, time, bias = (graph.tensors[name].shape for name in node.inputs)
    if any(len(shape) != 2 for shape in (x, feature, time)) or feature[0] % node.attrs.rank:
        return False
    return feature[1] == x[1] and time[0] == feature[0] and bias == (feature[0] // node.attrs.rank,)


def constant_weights(graph: Graph, node: Node) -> bool:
    """Weights and bias are constants."""
    return all(graph.is_constant(name) for name in node.inputs[1:])


def one_scale(graph: Graph, node: Node) -> bool:
    """Already quantized weights have one scale per tensor and zero point 0."""
    qparams = [graph.tensors[name].qparams for name in node.inputs[1:3]]
    return all(q is None or (len(q.scale) == 1 and not q.zero_point.any()) for q in qparams)


def lower(attrs: Svdf, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> SvdfInt8:
    """Multipliers s_x · s_f / s_state and s_state · s_t / s_y in double, measured. Source: TFLite Micro PrepareSvdf."""
    x, features, times, bias = inputs
    assert features.data is not None and times.data is not None and bias.data is not None
    state_scale = float(np.float32(1.0 if attrs.state_scale is None else attrs.state_scale))
    scale_x, scale_f, scale_t, scale_y = (float(o.qparams.scale[0]) for o in (x, features, times, outputs[0]))
    feature = quantize_multiplier(scale_x * scale_f / state_scale)
    time = quantize_multiplier(state_scale * scale_t / scale_y)
    prove_no_overflow(accumulator_bound(features.data, np.zeros(len(features.data), np.int32), 0), np.array(feature[1]))
    if time[1] >= 0:
        raise TinyptqError("scale-out-of-range", f"the output's scale {scale_y:.3g} is finer than its sums")
    return SvdfInt8(
        depth=x.shape[1],
        rank=attrs.rank,
        input_zero_point=int(x.qparams.zero_point[0]),
        output_zero_point=int(outputs[0].qparams.zero_point[0]),
        state_zero_point=attrs.state_zero_point,
        state_dtype=attrs.state_dtype,
        state_scale=state_scale,
        activation_code=tflite_code(attrs.activation),
        feature_weights=features.data,
        time_weights=times.data,
        bias=bias.data,
        feature=feature,
        time=time,
    )


def run_int(params: SvdfInt8, x: Array) -> Array:
    return run_state(params, {name: s.initial for name, s in state(params).items()}, x)[0]


def run_state(params: SvdfInt8, before: Mapping[str, Array], x: Array) -> tuple[Array, Mapping[str, Array]]:
    """Samples are consecutive frames. The state is [1, filters · memory], a filter's frames side by side."""
    history = before["state"].reshape(params.filters, params.memory).T
    history = np.concatenate([history, products(params, x)])
    centred = windows(history, params.memory).astype(np.int64) - params.state_zero_point
    sums = (centred * params.time_weights).sum(axis=2).reshape(len(x), params.units, params.rank).sum(axis=2)
    scaled = multiply_by_quantized_multiplier(wrap32(sums + params.bias), *params.time)
    y = np.clip(scaled + params.output_zero_point, -128, 127).astype(np.int8)
    after = np.ascontiguousarray(history[len(x) :].T).reshape(1, -1)
    return y, {"state": after}


def products(params: SvdfInt8, x: Array) -> Array:
    """What the state remembers of frames int8 [n, depth]: [n, filters] of the state's type."""
    sums = exact_matmul(x, params.feature_weights.T, peak=128).astype(np.int64) + params.feature_bias
    scaled = multiply_by_quantized_multiplier(sums, *params.feature)
    return (np.clip(scaled, *params.state_limits) + params.state_zero_point).astype(params.state_dtype)


def state(params: SvdfInt8) -> Mapping[str, State]:
    initial = np.full((1, params.state_size), params.state_zero_point, params.state_dtype)
    return {"state": State(initial, params.state_scale)}


def constants(params: SvdfInt8) -> Mapping[str, Array]:
    return {
        "feature_weights": params.feature_weights,
        "feature_bias": params.feature_bias,
        "time_weights": params.time_weights,
        "bias": params.bias,
    }


def work(params: SvdfInt8) -> Work:
    weights = (params.feature_weights, params.time_weights)
    return Work(
        macs=sum(w.size for w in weights),
        weight_bytes=sum(w.nbytes for w in (*weights, params.bias)),
        activation_bytes=elements((params.depth,)) + params.units + params.state_size * params.time_weights.itemsize,
    )


OP = Op(
    name="svdf",
    summary="fully connected layer of low rank over time, one frame a run",
    builtins=("SVDF",),
    attrs=Svdf,
    params=SvdfInt8,
    operands=OPERANDS,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(matching_shapes, constant_weights, one_scale),
    quantization=FREE,
    lower=lower,
    run_int=run_int,
    constants=constants,
    state=state,
    run_state=run_state,
    round_constants=round_constants,
    calibrate=calibrate,
    work=work,
)
