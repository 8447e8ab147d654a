"""Models with variables, written by hand: VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE, CALL_ONCE."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.tiny_tflite import Part, Wiring, parts_bytes
from tinyptq.graph import Array, QParams, Shape, Tensor
from tinyptq.ops.base import TfliteCode

RESOURCE = np.dtype("V1")
NO_ACTIVATION, RELU = 0, 1
VALID = 1
OPTIONS = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
}


@dataclass
class Draft:
    """A subgraph being written, an operator a line. dtype and qparams: of tensors unless said otherwise."""

    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.int8))
    qparams: QParams | None = field(default_factory=lambda: QParams.per_tensor(0.05, 3))
    tensors: list[Tensor] = field(default_factory=list)
    wiring: Wiring = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def tensor(self, name: str, shape: Shape, data: Array | None = None, **changes: Any) -> int:
        dtype = self.dtype if data is None else data.dtype
        own = self.qparams if dtype == self.dtype else None
        self.tensors.append(Tensor(name, shape, changes.get("dtype", dtype), data, changes.get("qparams", own)))
        return len(self.tensors) - 1

    def input(self, name: str, shape: Shape, **changes: Any) -> int:
        self.inputs.append(self.tensor(name, shape, **changes))
        return self.inputs[-1]

    def emit(
        self, builtin: str, inputs: list[int], outputs: list[int], options: str | None = None, **fields: Any
    ) -> None:
        self.wiring.append((TfliteCode(builtin, options, fields), inputs, outputs))

    def unary(self, builtin: str, source: int, name: str, shape: Shape, **changes: Any) -> int:
        result = self.tensor(name, shape, **changes)
        self.emit(builtin, [source], [result])
        return result

    def reshape(self, source: int, name: str, shape: Shape) -> int:
        target = self.tensor(f"{name}_shape", (len(shape),), np.array(shape, np.int32))
        result = self.tensor(name, shape)
        self.emit("RESHAPE", [source, target], [result])
        return result

    def halves(self, source: int, name: str) -> list[int]:
        """The channels in two parts of equal size."""
        shape = self.tensors[source].shape
        half = shape[-1] // 2
        sizes = self.tensor(f"{name}_sizes", (2,), np.array([half, half], np.int32))
        axis = self.tensor(f"{name}_axis", (), np.array(len(shape) - 1, np.int32))
        results = [self.tensor(f"{name}_half{i}", (*shape[:-1], half)) for i in range(2)]
        self.emit("SPLIT_V", [source, sizes, axis], results, "SplitVOptions", NumSplits=2)
        return results

    def handle(self, shared_name: str, container: str | None = None) -> int:
        named = {"SharedName": shared_name, **({} if container is None else {"Container": container})}
        result = self.tensor(f"handle{len(self.tensors)}", (), dtype=RESOURCE, qparams=None)
        self.emit("VAR_HANDLE", [], [result], "VarHandleOptions", **named)
        return result

    def read(self, handle: int, name: str, shape: Shape, **changes: Any) -> int:
        result = self.tensor(name, shape, **changes)
        self.emit("READ_VARIABLE", [handle], [result], "ReadVariableOptions")
        return result

    def assign(self, handle: int, value: int) -> None:
        self.emit("ASSIGN_VARIABLE", [handle, value], [], "AssignVariableOptions")

    def call_once(self, subgraph: int) -> None:
        self.emit("CALL_ONCE", [], [], "CallOnceOptions", InitSubgraphIndex=subgraph)

    def add(self, first: int, second: int, name: str) -> int:
        result = self.tensor(name, self.tensors[first].shape)
        self.emit("ADD", [first, second], [result], "AddOptions", FusedActivationFunction=NO_ACTIVATION)
        return result

    def concat(self, parts: list[int], name: str, axis: int = 1) -> int:
        first = self.tensors[parts[0]].shape
        size = sum(self.tensors[part].shape[axis] for part in parts)
        result = self.tensor(name, (*first[:axis], size, *first[axis + 1 :]))
        options = {"Axis": axis, "FusedActivationFunction": NO_ACTIVATION}
        self.emit("CONCATENATION", parts, [result], "ConcatenationOptions", **options)
        return result

    def last_rows(self, source: int, count: int, name: str) -> int:
        """x[:, -count:]"""
        shape = self.tensors[source].shape
        axes = len(shape)
        ends = [np.array(v, np.int32) for v in ([0, -count, *[0] * (axes - 2)], [0] * axes, [1] * axes)]
        parts = zip(("begin", "end", "step"), ends, strict=True)
        operands = [self.tensor(f"{name}_{what}", (axes,), v) for what, v in parts]
        result = self.tensor(name, (shape[0], count, *shape[2:]))
        masks = {"BeginMask": 2**axes - 3, "EndMask": 2**axes - 1}
        self.emit("STRIDED_SLICE", [source, *operands], [result], "StridedSliceOptions", **masks)
        return result

    def weighted(self, source: int, name: str, shapes: tuple[Shape, Shape], builtin: str, **fields: Any) -> int:
        """A layer with random int8 weights of shapes[0], a bias, a scale per output channel; shapes[1]: its output."""
        rng = np.random.default_rng(len(self.tensors))
        own, (shape, result) = self.tensors[source].qparams, shapes
        assert own is not None
        axis = shape.index(result[-1], -1 if builtin == "DEPTHWISE_CONV_2D" else 0)
        scale = (rng.uniform(0.5, 1.0, result[-1]) / 40 / np.sqrt(np.prod(shape) / result[-1])).astype(np.float32)
        zeros = np.zeros(len(scale), np.int32)
        weights = rng.integers(-127, 128, shape).astype(np.int8)
        bias = rng.integers(-500, 500, len(scale)).astype(np.int32)
        operands = [
            self.tensor(f"{name}_weights", shape, weights, qparams=QParams(scale, zeros, axis)),
            self.tensor(f"{name}_bias", bias.shape, bias, qparams=QParams(scale * own.scale[0], zeros, 0)),
        ]
        target = self.tensor(name, result)
        self.emit(builtin, [source, *operands], [target], OPTIONS[builtin], **fields)
        return target

    def newest(self, source: int, count: int, name: str) -> int:
        """The last rows of a window, the whole of it where it has no more."""
        return source if self.tensors[source].shape[1] == count else self.last_rows(source, count, name)

    def conv(self, source: int, channels: int, name: str, stride: int = 1) -> int:
        """VALID convolution over all rows of [1, rows, 1, c]."""
        _, rows, _, depth = self.tensors[source].shape
        window = {"Padding": VALID, "StrideH": stride, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
        shapes = (channels, rows, 1, depth), (1, 1, 1, channels)
        return self.weighted(source, name, shapes, "CONV_2D", **window, FusedActivationFunction=RELU)

    def depthwise(self, source: int, name: str) -> int:
        """VALID depthwise convolution over all rows of [1, rows, 1, c]."""
        _, rows, _, depth = self.tensors[source].shape
        window = {"Padding": VALID, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
        shapes = (1, rows, 1, depth), (1, 1, 1, depth)
        return self.weighted(source, name, shapes, "DEPTHWISE_CONV_2D", **window, DepthMultiplier=1)

    def ring(self, source: int, rows: int, name: str) -> int:
        """The last `rows` rows of a stream of [1, n, 1, c]: those kept, then the new ones; the last ones are kept."""
        _, new, _, depth = self.tensors[source].shape
        handle = self.handle(name)
        kept = self.read(handle, f"{name}_kept", (1, rows - new, 1, depth))
        window = self.concat([kept, source], f"{name}_window")
        self.assign(handle, self.last_rows(window, rows - new, f"{name}_next"))
        return window

    @property
    def part(self) -> Part:
        return Part(self.tensors, self.wiring, self.inputs, self.outputs)


def file_of(*drafts: Draft) -> bytes:
    return parts_bytes([draft.part for draft in drafts])


def counter() -> bytes:
    """y = s + x; s becomes y; z = (s as it is now) + x: the order of the file decides what each read sees."""
    model = Draft()
    x, handle = model.input("x", (1, 4)), model.handle("sum")
    before = model.read(handle, "before", (1, 4))
    total = model.add(before, x, "total")
    model.assign(handle, total)
    model.outputs = [model.add(model.read(handle, "now", (1, 4)), x, "next")]
    return file_of(model)


def wake_word(stem: int = 16, width: int = 16) -> bytes:
    """A streaming wake word of random weights, shaped like those of microWakeWord: three frames of 40 features in, a
    strided convolution of `stem` filters, blocks of depthwise convolutions (of two lengths, each over half of the
    channels, or of one) and of `width` 1x1 filters, a dense layer over the last steps, a probability out as uint8. Each
    convolution over time keeps a ring of the frames before, as many as it is longer than its stride.
    """
    model = Draft(qparams=QParams.per_tensor(0.1, -128))
    frames = model.input("frames", (1, 3, 40))
    model.call_once(1)
    x = model.conv(model.ring(model.reshape(frames, "rows", (1, 3, 1, 40)), 5, "stem"), stem, "stem_conv", 3)
    for block, lengths in enumerate(((5,), (7, 11), (9, 15), (23,))):
        window = model.ring(x, max(lengths), f"block{block}")
        parts = [window] if len(lengths) == 1 else model.halves(window, f"block{block}")
        mixed = [
            model.depthwise(model.newest(part, rows, f"block{block}_{rows}"), f"block{block}_{rows}_conv")
            for part, rows in zip(parts, lengths, strict=True)
        ]
        joined = mixed[0] if len(mixed) == 1 else model.concat(mixed, f"block{block}_mixed", axis=3)
        x = model.conv(joined, width, f"block{block}_point")
    flat = model.reshape(model.ring(x, 6, "head"), "flat", (1, 6 * width))
    model.qparams = QParams.per_tensor(0.05, 5)
    shapes = (1, 6 * width), (1, 1)
    score = model.weighted(flat, "score", shapes, "FULLY_CONNECTED", FusedActivationFunction=NO_ACTIVATION)
    model.qparams = QParams.per_tensor(1 / 256, -128)
    probability = model.unary("LOGISTIC", score, "probability", (1, 1))
    changes = {"dtype": np.dtype(np.uint8), "qparams": QParams.per_tensor(1 / 256, 0)}
    model.outputs = [model.unary("QUANTIZE", probability, "byte", (1, 1), **changes)]
    return file_of(model, first_values(model))


def first_values(model: Draft, fill: int = -128) -> Draft:
    """What CALL_ONCE runs: every variable that `model` assigns is first assigned a constant."""
    first = Draft()
    shared = {
        outputs[0]: str(code.fields["SharedName"]) for code, _, outputs in model.wiring if code.builtin == "VAR_HANDLE"
    }
    for code, inputs, _ in model.wiring:
        if code.builtin == "ASSIGN_VARIABLE":
            value = np.full(model.tensors[inputs[1]].shape, fill, np.int8)
            first.assign(
                first.handle(shared[inputs[0]]), first.tensor(f"first{len(first.tensors)}", value.shape, value)
            )
    return first
