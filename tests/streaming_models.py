"""Models with variables, written by hand: VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE, CALL_ONCE."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.tiny_tflite import Part, Wiring, parts_bytes
from tinyptq.graph import Array, QParams, Shape, Tensor
from tinyptq.ops.base import TfliteCode

RESOURCE = np.dtype("V1")
NO_ACTIVATION = 0
VALID = 1


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

    def conv(self, source: int, weights: Array, bias: Array, name: str, scale: float, output: QParams) -> int:
        """VALID convolution of [1, rows, 1, c] with int8 [out, rows, 1, c]."""
        shape = self.tensors[source].shape
        own = self.tensors[source].qparams
        assert own is not None
        zeros = np.zeros(len(weights), np.int32)
        scales = QParams(np.full(len(weights), scale, np.float32), zeros, 0)
        biases = QParams(np.full(len(weights), scale * float(own.scale[0]), np.float32), zeros, 0)
        operands = [
            self.tensor(f"{name}_weights", weights.shape, weights, qparams=scales),
            self.tensor(f"{name}_bias", bias.shape, bias, qparams=biases),
        ]
        result = self.tensor(name, (1, shape[1] - weights.shape[1] + 1, 1, len(weights)), qparams=output)
        fields = {"Padding": VALID, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
        self.emit("CONV_2D", [source, *operands], [result], "Conv2DOptions", **fields)
        return result

    @property
    def part(self) -> Part:
        return Part(self.tensors, self.wiring, self.inputs, self.outputs)


def file_of(*drafts: Draft) -> bytes:
    return parts_bytes([draft.part for draft in drafts])
