"""EMBEDDING_LOOKUP, and GATHER of constant rows: the row of a table that each integer of the input names.

Row i − first of the table for index i; first is 0, or −128 where bytes are the indices of 256 rows. An index outside
the table, undefined in TFLite Micro, takes the nearest row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinyptq.graph import Array, Graph, Node, QParams, Shape
from tinyptq.ops.base import TABLE, Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.element import SCALED, element, limits, width
from tinyptq.program import Work
from tinyptq.ptq.ranges import quantize_array

INDICES = ("int32", "int8")


@dataclass(frozen=True)
class EmbeddingLookup:
    """first: the index of the first row. The axes of a row follow those of the indices."""

    first: int = 0


@dataclass(frozen=True, eq=False)
class EmbeddingLookupInt:
    """y[…] = table[clamp(x[…] − first, 0, rows − 1)]: nothing is rescaled."""

    input_shape: Shape  # [1, ...]
    output_shape: Shape  # [1, ..., *row]
    first: int
    index: str  # type of the input's elements
    element: str  # of table and output
    table: Array  # [rows, elements of a row]

    @property
    def rows(self) -> int:
        return len(self.table)

    @property
    def row(self) -> int:
        """Elements of a row."""
        return int(self.table.shape[1])

    @property
    def count(self) -> int:
        """Indices of a sample."""
        return elements(self.input_shape)


def read_tflite(operator: TfliteOperator) -> EmbeddingLookup:
    """Operands are table, indices; bytes as indices exist only where our own frontend makes them."""
    indices = operator.inputs[1]
    return EmbeddingLookup(-128 if indices is not None and indices.dtype == np.int8 else 0)


def write_tflite(params: EmbeddingLookupInt) -> tuple[TfliteCode, ...]:
    """As GATHER, whose indices TFLite Micro reads as int32 from zero."""
    gather = TfliteCode("GATHER", "GatherOptions", {"Axis": 0, "BatchDims": 0}, version=2)
    if params.index == "int32":
        return (gather,)
    int32, shape = np.dtype(np.int32), params.input_shape
    offset = (np.array([-params.first], np.int32),)
    cast = TfliteCode("CAST", shape=shape, dtype=int32)
    return cast, TfliteCode("ADD", "AddOptions", {"PotScaleInt16": False}, offset, shape, dtype=int32), gather


def infer_shapes(attrs: EmbeddingLookup, indices: Shape, table: Shape) -> tuple[Shape, ...]:
    return ((*indices, *table[1:]),)


def run_float(attrs: EmbeddingLookup, indices: Array, table: Array) -> Array:
    rows: Array = table[np.clip(indices.astype(np.int64) - attrs.first, 0, len(table) - 1)]
    return rows


def constant_table(graph: Graph, node: Node) -> bool:
    """The table is a constant with at least one row."""
    table = graph.tensors[node.inputs[1]]
    return graph.is_constant(table.name) and len(table.shape) >= 1 and table.shape[0] > 0


def round_constants(
    attrs: EmbeddingLookup, indices: QParams, rows: QParams, floats: tuple[Array, ...]
) -> tuple[tuple[Array, QParams], ...]:
    """The table in the scale of the rows taken from it."""
    return tuple((quantize_array(table, rows), rows) for table in floats)


def lower(attrs: EmbeddingLookup, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> EmbeddingLookupInt:
    indices, table = inputs
    assert table.data is not None
    return EmbeddingLookupInt(
        input_shape=indices.shape,
        output_shape=outputs[0].shape,
        first=attrs.first,
        index=element(indices),
        element=element(outputs[0]),
        table=table.data.reshape(len(table.data), -1),
    )


def run_int(params: EmbeddingLookupInt, x: Array) -> Array:
    rows = params.table[np.clip(x.astype(np.int64) - params.first, 0, params.rows - 1)]
    return rows.reshape(len(x), *params.output_shape[1:])


def constants(params: EmbeddingLookupInt) -> Mapping[str, Array]:
    return {"table": params.table}


def index_range(params: EmbeddingLookupInt) -> tuple[int, int]:
    """Smallest and largest index that names a row."""
    return params.first, min(params.first + params.rows - 1, limits(params.index)[1])


def work(params: EmbeddingLookupInt) -> Work:
    moved = 2 * width(params.element) * elements(params.output_shape)
    return Work(0, params.table.nbytes, moved + width(params.index) * params.count)


OP = Op(
    name="embedding_lookup",
    summary="rows of a constant table, picked by the integers of the input (an Embedding layer)",
    builtins=("EMBEDDING_LOOKUP",),
    attrs=EmbeddingLookup,
    params=EmbeddingLookupInt,
    operands=2,
    operand_order=(1, 0),
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(constant_table,),
    quantization=TABLE,
    dtypes=SCALED,
    index_dtypes=INDICES,
    round_constants=round_constants,
    lower=lower,
    run_int=run_int,
    constants=constants,
    index_range=index_range,
    work=work,
)
