"""The integer program: the one record of integers that the simulator computes from and the templates render."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyptq.graph import Array, QParams, Shape, Variable


@dataclass(frozen=True, eq=False)
class Value:
    """An integer tensor. shape carries batch 1 first for activations; data is None unless constant."""

    name: str
    shape: Shape
    dtype: np.dtype[Any]
    qparams: QParams | None
    data: Array | None = None

    @property
    def size_bytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


@dataclass(frozen=True, eq=False)
class Layer:
    """One integer operator.

    inputs:  Values read at run time (constant operands of element-wise operators included).
    folded:  constant Values (weights, bias) whose integers live in params; kept for the .tflite writer.
    params:  the frozen dataclass of this operator: integers and integer arrays only.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    folded: tuple[str, ...]
    params: Any
    source: str


@dataclass(frozen=True, eq=False)
class Program:
    """name: a C identifier. digest: sha256 (hex) of the model file's bytes.

    variables: what is kept between runs beside the states of layers; before and after name Values.
    """

    name: str
    digest: str
    values: Mapping[str, Value]
    layers: tuple[Layer, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    variables: tuple[Variable, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Work:
    """What a layer costs whoever runs it: multiply-accumulates, constant bytes, bytes read and written."""

    macs: int
    weight_bytes: int
    activation_bytes: int
