"""GATHER of constant rows by integers known at run time is an embedding lookup, whatever the indices come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tinyptq.frontend.subgraphs import FileOperator
from tinyptq.graph import Array, QParams, Tensor
from tinyptq.ops.base import TfliteOperator

LOOKUP = "EMBEDDING_LOOKUP"
INT32 = np.dtype(np.int32)


@dataclass(eq=False)
class Walk:
    """Where the walk through the operators is; a running state."""

    tensors: dict[str, Tensor]
    producers: Mapping[str, TfliteOperator]
    readers: Mapping[str, int]


def read_lookups(
    operators: tuple[FileOperator, ...], tensors: Mapping[str, Tensor]
) -> tuple[tuple[FileOperator, ...], dict[str, Tensor]]:
    """EMBEDDING_LOOKUP and such GATHERs under one name, their operands in one order: the table first.

    Before: x → CAST → GATHER, where Keras casts an input it takes for floats. After: x → GATHER, x being int32.
    Before: x int8 → DEQUANTIZE → CAST → GATHER. After: x → GATHER, from the 256 rows that the bytes of x stand for.
    """
    producers = {tensor.name: item.operator for item in operators for tensor in item.operator.outputs}
    readers: dict[str, int] = {}
    for item in operators:
        for tensor in item.operator.inputs:
            if tensor is not None:
                readers[tensor.name] = readers.get(tensor.name, 0) + 1
    walk = Walk(dict(tensors), producers, readers)
    return tuple(as_lookup(walk, item) for item in operators), walk.tensors


def as_lookup(walk: Walk, item: FileOperator) -> FileOperator:
    operator = item.operator
    if operator.builtin not in (LOOKUP, "GATHER") or len(operator.inputs) != 2:
        return item
    table, indices = operator.inputs if operator.builtin == "GATHER" else operator.inputs[::-1]
    options = operator.options if operator.builtin == "GATHER" else None
    table = undequantized(walk, table)
    leading = options is None or (options.Axis() == 0 and options.BatchDims() == 0)
    if not leading or table is None or indices is None or table.data is None or indices.data is not None:
        return item
    table, indices = through_cast(walk, table, indices)
    return replace(item, operator=replace(operator, builtin=LOOKUP, options=None, inputs=(table, indices)))


def undequantized(walk: Walk, table: Tensor | None) -> Tensor | None:
    """A constant table of float16 or int8 that a DEQUANTIZE makes float: the constant; a later pass does the rest."""
    maker = walk.producers.get(table.name) if table is not None else None
    source = maker.inputs[0] if maker is not None and maker.builtin == "DEQUANTIZE" and maker.inputs else None
    return table if source is None or source.data is None else source


def through_cast(walk: Walk, table: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
    """(table, indices) without the CAST that makes the indices, where that is possible."""
    cast = walk.producers.get(indices.name)
    source = cast.inputs[0] if cast is not None and cast.builtin == "CAST" and cast.inputs else None
    if source is None or source.data is not None:
        return table, indices
    maker = walk.producers.get(source.name)
    if maker is None and walk.readers[source.name] == 1 and source.qparams is None:
        walk.tensors[source.name] = replace(source, dtype=INT32)
        return table, walk.tensors[source.name]
    byte = maker.inputs[0] if maker is not None and maker.builtin == "DEQUANTIZE" and maker.inputs else None
    if byte is None or byte.data is not None or byte.dtype != np.int8 or byte.qparams is None or table.shape[0] < 1:
        return table, indices
    rows = replace(table, name=fresh(walk, table.name), data=rows_of_bytes(table, byte.qparams))
    walk.tensors[rows.name] = replace(rows, shape=(256, *table.shape[1:]))
    return walk.tensors[rows.name], byte


def rows_of_bytes(table: Tensor, qparams: QParams) -> Array:
    """[256, …]: the rows that −128 … 127 name once dequantized and cast, which drops the fraction."""
    assert table.data is not None
    steps = np.arange(-128, 128) - int(qparams.zero_point[0])
    reals = (steps * float(qparams.scale[0])).astype(np.float32)
    return table.data[np.clip(np.trunc(reals).astype(np.int64), 0, len(table.data) - 1)]


def fresh(walk: Walk, name: str) -> str:
    name += "_by_byte"
    while name in walk.tensors:
        name += "_"
    return name
