"""Operators that never become a layer: the graphs they stand in, which must compute the same without them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from tests import tiny_tflite
from tests.conformance.draws import Draw, activation, scaled, seeds, shape
from tests.conformance.sums import bias, natural, weights
from tests.conformance.trial import Trial, limits, samples
from tinyptq.frontend import load_model
from tinyptq.graph import QParams, Tensor
from tinyptq.lower import lower
from tinyptq.ops.base import Operand, TfliteCode
from tinyptq.ops.copies import int32
from tinyptq.passes import normalize
from tinyptq.program import Program
from tinyptq.ptq.imported import imported_recipe

FLOAT = np.dtype(np.float32)
PLAIN = {"Padding": 1, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}


@dataclass
class File:
    """A .tflite file in the making."""

    tensors: list[Tensor] = field(default_factory=list)
    codes: list[tuple[TfliteCode, list[int], list[int]]] = field(default_factory=list)

    def tensor(self, operand: Operand) -> int:
        index = len(self.tensors)
        dtype = operand.dtype if operand.data is None else operand.data.dtype
        qparams = None if operand.data is not None and operand.data.dtype == np.int32 else operand.qparams
        self.tensors.append(Tensor(f"t{index}", operand.shape, dtype, operand.data, qparams))
        return index

    def constant(self, values: list[int]) -> int:
        self.tensors.append(Tensor(f"t{len(self.tensors)}", (len(values),), np.dtype(np.int32), int32(values)))
        return len(self.tensors) - 1

    def pairs(self, before: list[int], after: list[int]) -> int:
        data = np.array(list(zip(before, after, strict=True)), np.int32)
        self.tensors.append(Tensor(f"t{len(self.tensors)}", data.shape, data.dtype, data))
        return len(self.tensors) - 1


def imported(model: bytes) -> Program:
    """The program a user gets of a quantized file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(model)
        graph = normalize(load_model(path))
    return lower(graph, imported_recipe(graph), "0" * 64)


def dequantize(draw: Draw, dtype: str) -> Trial:
    """RELU, then floats: the integers are the output."""
    file, x = File(), activation(draw, shape(draw), dtype, 1e-3, 1e2)
    source, result = file.tensor(x), file.tensor(x)
    file.tensors.append(Tensor("floats", x.shape, FLOAT))
    file.codes += [
        (TfliteCode("RELU", version=2), [source], [result]),
        (TfliteCode("DEQUANTIZE", version=2), [result], [2]),
    ]
    model = tiny_tflite.model_bytes(file.tensors, file.codes, [source], [2])
    program, values = imported(model), samples(np.random.default_rng(draw(seeds)), x, *limits(x.dtype))
    return Trial(program, model, {program.inputs[0]: values}, (result,))


def dilated(draw: Draw, dtype: str) -> Trial:
    """SPACE_TO_BATCH_ND, CONV_2D, BATCH_TO_SPACE_ND: a dilated convolution, padded before, filled up behind.

    tflite-micro gets the padding as a PAD: its SPACE_TO_BATCH_ND pads with whatever its memory holds.
    """
    block, kernel = ((draw(st.integers(1, 3)), draw(st.integers(1, 3))) for _ in range(2))
    size = [(k - 1) * b + draw(st.integers(1, 4)) for k, b in zip(kernel, block, strict=True)]
    before = [draw(st.integers(0, 2)) for _ in size]
    after = [-(s + b) % k for s, b, k in zip(size, before, block, strict=True)]
    cropped = [draw(st.integers(0, a)) for a in after]
    depth, channels = draw(st.integers(1, 3)), draw(st.integers(1, 4))

    x = activation(draw, (1, *size, depth), dtype, 1e-4, 10.0)
    weight = weights(draw, (channels, *kernel, depth), 0)
    output = scaled(draw, dtype, natural(x, weight, prod(kernel) * depth), 0.1)
    chain = Chain(x, weight, bias(draw, x, weight, channels), output, block, cropped)
    ours, _ = chain.file([0, 0], [0, 0], before, after)
    theirs, place = chain.file(before, after, [0, 0], [0, 0])
    program, values = imported(ours), samples(np.random.default_rng(draw(seeds)), x, *limits(x.dtype))
    return Trial(program, theirs, {program.inputs[0]: values}, (place,))


@dataclass(frozen=True)
class Chain:
    """The convolution in the middle, its input, its output's quantization, and what is cut off behind it."""

    x: Operand
    weight: Operand
    bias: Operand
    output: QParams
    block: tuple[int, int]
    cropped: list[int]

    def file(self, before: list[int], after: list[int], *padding: list[int]) -> tuple[bytes, int]:
        """(the file, the tensor index of its output): PAD by before and after, then the chain with this padding."""
        file, depth, channels = File(), self.x.shape[3], self.bias.shape[0]
        padded = [s + b + a for s, b, a in zip(self.x.shape[1:3], before, after, strict=True)]
        phases = [(s + b + a) // k for s, b, a, k in zip(padded, *padding, self.block, strict=True)]
        left = [p - k + 1 for p, k in zip(phases, self.weight.shape[1:3], strict=True)]
        whole = [n * b - c for n, b, c in zip(left, self.block, self.cropped, strict=True)]
        count, same, result = prod(self.block), self.x.qparams, self.output
        shapes = ((1, *padded, depth), (count, *phases, depth), (count, *left, channels), (1, *whole, channels))
        source = file.tensor(self.x)
        image, middle, convolved, last = (
            file.tensor(Operand(s, q, None, self.x.dtype))
            for s, q in zip(shapes, (same, same, result, result), strict=True)
        )
        parameters = [file.tensor(self.weight), file.tensor(self.bias)]
        edges = file.pairs([0, *before, 0], [0, *after, 0])
        block, border, crops = file.constant(list(self.block)), file.pairs(*padding), file.pairs([0, 0], self.cropped)
        if any((*before, *after)):
            file.codes.append((TfliteCode("PAD", "PadOptions", version=2), [source, edges], [image]))
            source = image
        file.codes += [
            (TfliteCode("SPACE_TO_BATCH_ND", version=2), [source, block, border], [middle]),
            (TfliteCode("CONV_2D", "Conv2DOptions", PLAIN, version=3), [middle, *parameters], [convolved]),
            (TfliteCode("BATCH_TO_SPACE_ND", version=2), [convolved, block, crops], [last]),
        ]
        return tiny_tflite.model_bytes(file.tensors, file.codes, [0], [last]), last


DRAWS = {"batch_to_space_nd": dilated, "dequantize": dequantize, "space_to_batch_nd": dilated}
