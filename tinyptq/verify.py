"""Byte by byte: every layer of two computations of one program, and the first place where they differ.

Comparing final outputs alone is nearly blind to a wrong rounding; every layer's whole output is compared here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyptq import tflm
from tinyptq.errors import EXIT_MISMATCH, TinyptqError, printable
from tinyptq.graph import Array
from tinyptq.program import Program


@dataclass(frozen=True)
class Checkpoint:
    """A tensor that is compared: output `value` of layer number `layer`, called `name`."""

    layer: int
    name: str
    value: str


@dataclass(frozen=True)
class Mismatch:
    """One layer output that differs.

    index: of the first differing element, the sample first.  expected, actual: its two values.
    differing_bytes: of compared_bytes, how many differ.
    """

    layer: int
    name: str
    value: str
    index: tuple[int, ...]
    expected: int
    actual: int
    differing_bytes: int
    compared_bytes: int

    def __str__(self) -> str:
        return printable(
            f"layer {self.layer} '{self.name}', sample {self.index[0]}, index {self.index[1:]}: "
            f"expected {self.expected}, got {self.actual} "
            f"({self.differing_bytes} of {self.compared_bytes} bytes of this layer differ)"
        )


@dataclass(frozen=True)
class Comparison:
    """What was compared, and every layer output that differs, in program order."""

    layers: int
    samples: int
    compared_bytes: int
    mismatches: tuple[Mismatch, ...]

    @property
    def differing_bytes(self) -> int:
        return sum(mismatch.differing_bytes for mismatch in self.mismatches)

    @property
    def equal(self) -> bool:
        """No byte differs; a comparison of nothing is not equality."""
        return self.compared_bytes > 0 and not self.mismatches


def checkpoints(program: Program) -> tuple[Checkpoint, ...]:
    """Every output of every layer, in program order."""
    return tuple(
        Checkpoint(index, layer.name, value) for index, layer in enumerate(program.layers) for value in layer.outputs
    )


def compare(expected: Mapping[str, Array], actual: Mapping[str, Array], order: Sequence[Checkpoint]) -> Comparison:
    """expected against actual, {value name: integers [n, ...]}, at every checkpoint.

    Values are compared, not shapes: a trace may be flat behind the sample axis. Raises TinyptqError for a tensor
    that one side lacks or that has another size.
    """
    mismatches = []
    compared = 0
    for point in order:
        left, right = expected.get(point.value), actual.get(point.value)
        if left is None or right is None or left.size != right.size or left.dtype != right.dtype:
            raise _incomparable(point, left, right)
        compared += left.nbytes
        mismatch = _first_difference(point, left, right.reshape(left.shape))
        mismatches += [mismatch] if mismatch else []
    samples = len(expected[order[0].value]) if order else 0
    return Comparison(len({point.layer for point in order}), samples, compared, tuple(mismatches))


def verify_against_tflm(program: Program, tensors: Mapping[str, Array]) -> Comparison:
    """The simulator's tensors (inputs included, [n, ...] each) against tflite-micro on the exported model."""
    actual = tflm.run_program(program, {name: tensors[name] for name in program.inputs})
    return compare(tensors, actual, checkpoints(program))


def require_equal(comparison: Comparison, against: str) -> Comparison:
    """comparison itself, or an error (exit code 3) naming the first layer and index that differ."""
    if comparison.equal:
        return comparison
    first = str(comparison.mismatches[0]) if comparison.mismatches else "nothing was compared"
    message = (
        f"{against} differs from the simulator in {comparison.differing_bytes} of {comparison.compared_bytes} bytes"
    )
    raise TinyptqError("mismatch", f"{message}; first: {first}", exit_code=EXIT_MISMATCH)


def _first_difference(point: Checkpoint, expected: Array, actual: Array) -> Mismatch | None:
    differs = expected != actual
    if not differs.any():
        return None
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(differs)), differs.shape))
    itemsize = expected.dtype.itemsize
    differing = int(np.count_nonzero(_bytes(expected) != _bytes(actual))) if itemsize > 1 else int(differs.sum())
    return Mismatch(
        layer=point.layer,
        name=point.name,
        value=point.value,
        index=index,
        expected=int(expected[index]),
        actual=int(actual[index]),
        differing_bytes=differing,
        compared_bytes=expected.nbytes,
    )


def _bytes(array: Array) -> Array:
    return np.frombuffer(array.tobytes(), np.uint8)


def _incomparable(point: Checkpoint, expected: Array | None, actual: Array | None) -> TinyptqError:
    sizes = ["missing" if a is None else f"{a.size} × {a.dtype}" for a in (expected, actual)]
    return TinyptqError(
        "incomparable",
        f"the two sides have different tensors: {sizes[0]} and {sizes[1]}",
        where=f"layer {point.layer} '{point.name}'",
        exit_code=EXIT_MISMATCH,
    )
