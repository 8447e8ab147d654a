"""Models of int16 activations and int8 weights ("16x8"), written by hand, with scales that use the integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.streaming_models import OPTIONS, RELU, Draft
from tests.tiny_tflite import Part, parts_bytes
from tinyptq.graph import Array, QParams, Shape

SAME = 0
INT16 = np.dtype(np.int16)
SOFTMAX_SCALE = QParams.per_tensor(2.0**-15)


def weighted(
    draft: Draft, builtin: str, source: int, name: str, shape: Shape, weights: Array, bias: Array | None, **fields: Any
) -> int:
    """An operator with weights along `axis`, one scale each; its output's deviation is a third of the int16 range."""
    axis = 3 if builtin == "DEPTHWISE_CONV_2D" else 0
    scale = np.linspace(0.5e-3, 2e-3, weights.shape[axis]).astype(np.float32)
    points = np.zeros(len(scale), np.int32)
    x = draft.tensors[source].qparams
    assert x is not None
    taps = weights.size / weights.shape[axis]
    spread = float(x.scale[0]) * 1e-3 * np.sqrt(taps) * float(np.sqrt((weights.astype(float) ** 2).mean())) * 1.7
    operands = [source, draft.tensor(f"{name}_weights", weights.shape, weights, qparams=QParams(scale, points, axis))]
    if bias is not None:
        steps = QParams(x.scale * scale, points, 0)
        operands.append(draft.tensor(f"{name}_bias", bias.shape, bias, qparams=steps))
    result = draft.tensor(name, shape, qparams=QParams.per_tensor(float(np.float32(spread))))
    if builtin == "TRANSPOSE_CONV":
        size = draft.tensor(f"{name}_size", (4,), np.array(shape, np.int32))
        operands = [size, operands[1], source, *operands[2:]]
    draft.emit(builtin, operands, [result], OPTIONS.get(builtin, "TransposeConvOptions"), **fields)
    return result


def wide_network() -> bytes:
    """Every layer with weights, biases of 64, 32 and 16 bits and none, a pool between them, sums beyond 32 bits."""
    generator = np.random.default_rng(168)
    draft = Draft(INT16, QParams.per_tensor(0.001))

    def weights(*shape: int) -> Array:
        return generator.integers(-127, 128, shape).astype(np.int8)

    def bias(count: int, kind: str = "int64") -> Array:
        return generator.integers(-30000, 30000, count).astype(kind)

    strides = {"StrideH": 2, "StrideW": 2}
    plain = {"Padding": SAME, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    x = draft.input("image", (1, 13, 10, 3))
    image = {**plain, **strides, "FusedActivationFunction": RELU}
    x = weighted(draft, "CONV_2D", x, "conv", (1, 7, 5, 8), weights(8, 3, 3, 3), bias(8), **image)
    deep = {**plain, "DepthMultiplier": 1}
    x = weighted(draft, "DEPTHWISE_CONV_2D", x, "deep", (1, 7, 5, 8), weights(1, 3, 3, 8), bias(8), **deep)
    pooled = draft.tensor("pool", (1, 7, 5, 8), qparams=draft.tensors[x].qparams)
    window = {"FilterHeight": 3, "FilterWidth": 3, "StrideH": 1, "StrideW": 1, "Padding": SAME}
    draft.emit("AVERAGE_POOL_2D", [x], [pooled], "Pool2DOptions", **window)
    points = weights(12, 1, 1, 8)
    x = weighted(draft, "CONV_2D", pooled, "point", (1, 7, 5, 12), points, bias(12, "int32"), **plain)
    up = {"Padding": SAME, **strides}
    x = weighted(draft, "TRANSPOSE_CONV", x, "up", (1, 14, 10, 6), weights(6, 3, 3, 12), bias(6, "int16"), **up)
    heavy = np.where(generator.random((20, 840)) < 0.5, np.int8(-127), np.int8(99))
    x = weighted(draft, "FULLY_CONNECTED", x, "hidden", (1, 20), heavy, None)
    x = weighted(draft, "FULLY_CONNECTED", x, "classes", (1, 10), weights(10, 20), bias(10))
    result = draft.tensor("result", (1, 10), qparams=SOFTMAX_SCALE)
    beta = 4.0 / 32768 / float(draft.tensors[x].qparams.scale[0])  # type: ignore[union-attr]
    draft.emit("SOFTMAX", [x], [result], "SoftmaxOptions", Beta=beta)
    draft.outputs.append(result)
    return parts_bytes([Part(draft.tensors, draft.wiring, draft.inputs, draft.outputs)])


def lstm(draft: Draft, source: int, name: str, units: int, generator: np.random.Generator) -> int:
    """[1, steps, depth] -> [1, steps, units]; states are variables by their names."""
    x = draft.tensors[source]
    assert x.qparams is not None
    depth, hidden = x.shape[-1], QParams.per_tensor(2.0**-15)
    operands = [source, *[-1] * 23]
    for first, inputs in ((1, depth), (5, units)):
        for place in range(first, first + 4):
            drawn = generator.integers(-127, 128, (units, inputs)).astype(np.int8)
            scale = QParams.per_tensor(0.003 + 0.001 * place)
            operands[place] = draft.tensor(f"{name}_weights{place}", drawn.shape, drawn, qparams=scale)
    for gate in range(4):
        step = QParams.per_tensor(float(x.qparams.scale[0]) * (0.004 + 0.001 * gate))
        drawn = generator.integers(-(2**16), 2**16, units)
        operands[12 + gate] = draft.tensor(f"{name}_bias{gate}", (units,), drawn, qparams=step)
    operands[18] = draft.tensor(f"state_{name}_hidden", (1, units), qparams=hidden)
    operands[19] = draft.tensor(f"state_{name}_cell", (1, units), qparams=QParams.per_tensor(2.0**-12))
    result = draft.tensor(name, (*x.shape[:-1], units), qparams=hidden)
    options = "UnidirectionalSequenceLSTMOptions"
    draft.emit("UNIDIRECTIONAL_SEQUENCE_LSTM", operands, [result], options, FusedActivationFunction=4, TimeMajor=False)
    return result


def wide_sequence() -> bytes:
    """A recurrent layer, products of its outputs with each other, and a layer over the last axis."""
    generator = np.random.default_rng(816)
    draft = Draft(INT16, QParams.per_tensor(2.0**-13))
    x = lstm(draft, draft.input("frames", (1, 6, 5)), "memory", 8, generator)
    scores = draft.tensor("scores", (1, 6, 6), qparams=QParams.per_tensor(2.0**-13))
    draft.emit("BATCH_MATMUL", [x, x], [scores], "BatchMatMulOptions", AdjX=False, AdjY=True)
    matrix = generator.integers(-127, 128, (4, 6)).astype(np.int8)
    result = weighted(draft, "FULLY_CONNECTED", scores, "result", (1, 6, 4), matrix, None, KeepNumDims=True)
    draft.outputs.append(result)
    return parts_bytes([Part(draft.tensors, draft.wiring, draft.inputs, draft.outputs)])


def wide_elements() -> bytes:
    """Layers without weights, all of which tflite-micro has in int16: gates, arithmetic, pools, a softmax of roots."""
    draft, fine = Draft(INT16, None), 2.0**-15
    image, small = (1, 8, 6, 4), (1, 4, 3, 4)

    def layer(builtin: str, sources: list[int], shape: Shape, scale: float, *options: str, **fields: Any) -> int:
        result = draft.tensor(f"{builtin.lower()}", shape, qparams=QParams.per_tensor(scale))
        draft.emit(builtin, sources, [result], *options, **fields)
        return result

    def constant(name: str, values: list[int], scale: float) -> int:
        return draft.tensor(name, (len(values),), np.array(values, np.int16), qparams=QParams.per_tensor(scale))

    x = draft.input("image", image, qparams=QParams.per_tensor(2.0**-13))
    bent = layer("LEAKY_RELU", [x], image, 2.0**-13, "LeakyReluOptions", Alpha=0.25)
    gate = layer("LOGISTIC", [x], image, fine)
    y = layer("TANH", [bent], image, fine)
    y = layer("MUL", [gate, y], image, fine, "MulOptions")
    y = layer("ADD", [y, x], image, 5 * fine, "AddOptions", PotScaleInt16=False)
    y = layer("SUB", [y, constant("shift", [9000, -300, 0, 77], 2.0**-14)], image, 6 * fine, "SubOptions")
    y = layer("ABS", [y], image, 6 * fine)
    y = layer("MINIMUM", [y, constant("most", [25000], 6 * fine)], image, 6 * fine, "MaximumMinimumOptions")
    y = layer("MAXIMUM", [y, constant("least", [40, 0, 300, -5], 6 * fine)], image, 6 * fine, "MaximumMinimumOptions")
    y = layer("SQUARED_DIFFERENCE", [y, gate], image, 20 * fine, "SquaredDifferenceOptions")
    y = layer("RELU6", [y], image, 20 * fine)
    window = {"FilterHeight": 2, "FilterWidth": 2, "StrideH": 2, "StrideW": 2, "Padding": SAME}
    pools = [layer(f"{kind}_POOL_2D", [y], small, 20 * fine, "Pool2DOptions", **window) for kind in ("MAX", "AVERAGE")]
    y = layer("CONCATENATION", pools, (1, 4, 3, 8), 20 * fine, "ConcatenationOptions", Axis=3)
    borders = draft.tensor("borders", (4, 2), np.array([[0, 0], [1, 1], [0, 2], [0, 0]], np.int32))
    y = layer("PAD", [y, borders], (1, 6, 5, 8), 20 * fine, "PadOptions")
    axes = draft.tensor("axes", (2,), np.array([1, 2], np.int32))
    y = layer("MEAN", [y, axes], (1, 8), 5 * fine, "ReducerOptions", KeepDims=False)
    y = layer("RSQRT", [y], (1, 8), 2 * fine)
    draft.outputs.append(layer("SOFTMAX", [y], (1, 8), fine, "SoftmaxOptions", Beta=1.0))
    return parts_bytes([Part(draft.tensors, draft.wiring, draft.inputs, draft.outputs)])
