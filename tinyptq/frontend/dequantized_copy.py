"""A .tflite file with its hybrid weights written as floats: what the file means, for an interpreter to run.

An interpreter runs hybrid layers by quantizing their activations on the fly, about 1 % off. With float weights it
computes what the graph computes after `passes.dequantize_constants`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import tflite

from tinyptq.frontend.flatbuffer import guarded, read_root, vector
from tinyptq.frontend.tflite import load_tflite
from tinyptq.graph import Array
from tinyptq.passes.dequantize_constants import dequantize_constants

BUFFER_DATA, TENSOR_TYPE, TENSOR_QUANTIZATION = 4, 6, 12  # places in the schema's vtables
ALIGNMENT = 16


def dequantized_copy(data: bytes, name: str = "model") -> bytes:
    """The same model, its int8 constants of float operators replaced by float32 ones; data itself if it has none."""
    graph = load_tflite(data, name)
    floats = dequantize_constants(graph).tensors
    changed = {
        name: floats[name].data
        for name, tensor in graph.tensors.items()
        if tensor.data is not None and tensor.dtype == np.int8 and floats[name].dtype == np.float32
    }
    with guarded(name):
        return patched(data, changed) if changed else data


def patched(data: bytes, changed: Mapping[str, Array | None]) -> bytes:
    """New contents go behind the old file; offsets in the old tables are pointed at them."""
    copy = bytearray(data)
    model = read_root(data)
    subgraph = model.Subgraphs(0)
    for index in constant_inputs(subgraph):
        table = subgraph.Tensors(index)
        values = changed.get((table.Name() or b"").decode("utf-8", errors="backslashreplace"))
        if values is None:
            continue
        raw = np.ascontiguousarray(values, "<f4").tobytes()
        point(copy, field(model.Buffers(table.Buffer()), BUFFER_DATA), struct.pack("<I", len(raw)) + raw, 4)
        copy[field(table, TENSOR_TYPE)] = tflite.TensorType.FLOAT32
        point(copy, field(table, TENSOR_QUANTIZATION), struct.pack("<HHi", 4, 4, 4), 4)  # an empty table
    return bytes(copy)


def constant_inputs(subgraph: Any) -> list[int]:
    """Indices of all tensors that operators read, each once."""
    read: set[int] = set()
    for index in range(subgraph.OperatorsLength()):
        read.update(vector(subgraph.Operators(index).InputsAsNumpy(), 1 << 20, "inputs").tolist())
    return sorted(read - {-1})


def field(table: Any, slot: int) -> int:
    """Byte position of a field that the table has."""
    return int(table._tab.Pos + table._tab.Offset(slot))


def point(copy: bytearray, position: int, contents: bytes, header: int) -> None:
    """Append contents (its first `header` bytes before an aligned address) and make the offset at position reach it.

    The offset of an empty table reaches behind its 4-byte vtable, the one of a vector its length.
    """
    copy.extend(bytes(-(len(copy) + header) % ALIGNMENT))
    is_table = len(contents) == 8 and contents[:4] == b"\x04\x00\x04\x00"
    struct.pack_into("<I", copy, position, len(copy) + (header if is_table else 0) - position)
    copy.extend(contents)
