"""Guarded access to the bytes of a .tflite file; the flatbuffers package checks nothing itself."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tflite

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array

# What flatbuffers, NumPy and the readers of options raise on damaged bytes.
BROKEN = (
    struct.error,
    ValueError,
    LookupError,
    ArithmeticError,
    TypeError,
    AttributeError,
    AssertionError,
    MemoryError,
)
MAX_OPERATORS = 4096
MAX_TENSORS = 32768
MAX_RANK = 8

BUILTINS = {code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)}
OPTIONS = {code: name for name, code in vars(tflite.BuiltinOptions).items() if isinstance(code, int)}


class DamagedError(ValueError):
    """A finding of ours; becomes TinyptqError in `guarded`, which knows the place."""


def require(holds: bool, complaint: str) -> None:
    if not holds:
        raise DamagedError(complaint)


@contextmanager
def guarded(where: str) -> Iterator[None]:
    """Every way in which damaged bytes can fail becomes one error."""
    try:
        yield
    except DamagedError as problem:
        raise TinyptqError("bad-tflite", f"damaged model: {problem}", where=where) from problem
    except BROKEN as problem:
        message = f"damaged model: {type(problem).__name__}: {problem}"
        raise TinyptqError("bad-tflite", message, where=where) from problem


def read_root(data: bytes) -> Any:
    require(len(data) >= 8 and data[4:8] == b"TFL3", "'TFL3' is not at byte 4")
    model = tflite.Model.GetRootAs(data, 0)
    require(model.SubgraphsLength() >= 1, "no subgraph")
    return model


def bounded(length: int, limit: int, what: str) -> range:
    """range(length), when the file can hold that many: hostile lengths reach 2^32."""
    require(length <= limit, f"{length} {what}, at most {limit} possible")
    return range(length)


def vector(values: Any, limit: int, what: str) -> Array:
    """A vector as the schema package gives it (the number 0 when absent), as an array of at most `limit`."""
    array = np.atleast_1d(values) if isinstance(values, np.ndarray) else np.zeros(0, np.int32)
    bounded(len(array), limit, what)
    return array


def text(raw: bytes | None, limit: int) -> str:
    """A string of the file; bytes that are no UTF-8 stay readable as \\xNN."""
    raw = raw or b""
    bounded(len(raw), limit, "bytes in a name")
    return raw.decode("utf-8", errors="backslashreplace")


def buffer_bytes(data: bytes, buffer: Any) -> Array:
    """Contents of one buffer, uint8, a view; files beyond 2 GB keep them behind the flatbuffer."""
    offset, size = buffer.Offset(), buffer.Size()
    if offset > 1:
        require(offset + size <= len(data), "a buffer ends beyond the file")
        return np.frombuffer(data, np.uint8, size, offset)
    return vector(buffer.DataAsNumpy(), len(data), "bytes in a buffer")


def builtin_name(model: Any, operator: Any) -> tuple[str, str]:
    """(builtin, name to show): ("CONV_2D", "CONV_2D"), ("CUSTOM", "custom operator 'X'")."""
    index = operator.OpcodeIndex()
    require(index < model.OperatorCodesLength(), f"operator code {index} does not exist")
    code = model.OperatorCodes(index)
    # Old files have only the byte, new ones keep 127 there for codes that do not fit.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    builtin = BUILTINS.get(number, f"builtin operator {number}")
    if builtin == "CUSTOM":
        return builtin, f"custom operator '{text(code.CustomCode(), 1024)}'"
    return builtin, builtin


def options_table(operator: Any) -> Any:
    """The operator's options as the schema class its type names; None when the file has none."""
    table = operator.BuiltinOptions()
    name = OPTIONS.get(operator.BuiltinOptionsType(), "NONE")
    if table is None or name == "NONE":
        return None
    options = getattr(tflite, name)()
    options.Init(table.Bytes, table.Pos)
    return options
