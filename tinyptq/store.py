"""Program <-> one .npz file: a JSON document of the dataclasses, and the arrays it refers to. No pickle.

The document is written and read along the dataclasses' type hints, so the file names no classes: what a Layer's
params are follows from its operator. The same program gives the same bytes (fixed timestamps, nothing compressed).
A file is hostile until read: every field must have its declared type, every name must exist.
"""

from __future__ import annotations

import io
import json
import types
import typing
import zipfile
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Union

import numpy as np

from tinyptq.errors import TinyptqError, close_match
from tinyptq.graph import Array
from tinyptq.ops import BY_NAME
from tinyptq.program import Layer, Program, Value

FORMAT = "tinyptq-program"
VERSION = 1
DOCUMENT = "program.json"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold
DTYPES = ("int8", "int16", "int32", "int64", "uint8", "uint32", "float32", "float64", "bool")


class MalformedError(Exception):
    """What is wrong with a document, told to load_program, which knows the file."""


def save_program(program: Program, path: Path) -> None:
    """Write program to path (.npz)."""
    path.write_bytes(program_bytes(program))


def program_bytes(program: Program) -> bytes:
    arrays: dict[bytes, Array] = {}
    document = {"format": FORMAT, "version": VERSION, "program": _encode(program, arrays)}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, DOCUMENT, json.dumps(document, indent=1, allow_nan=False).encode("ascii"))
        for index, array in enumerate(arrays.values()):
            _add(archive, f"{_array_name(index)}.npy", _npy(array))
    return stream.getvalue()


def load_program(path: Path) -> Program:
    """The Program stored at path; TinyptqError names the file and what is wrong with it."""
    try:
        return program_from_bytes(path.read_bytes())
    except OSError as error:
        raise TinyptqError("unreadable-file", f"cannot read: {error.strerror}", where=str(path)) from error
    except MalformedError as error:
        hint = "written by `tinyptq build` of this version"
        raise TinyptqError("bad-program-file", str(error), where=str(path), hint=hint) from error


def program_from_bytes(content: bytes) -> Program:
    """Raises MalformedError and nothing else."""
    try:
        document, arrays = _open(content)
    except (
        zipfile.BadZipFile,
        ValueError,
        EOFError,
        KeyError,
        NotImplementedError,
        RecursionError,
        OSError,
    ) as error:
        raise MalformedError(f"no program file: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise MalformedError("no program file")
    if document.get("version") != VERSION:
        raise MalformedError(f"format version {document.get('version')!r}, this release reads {VERSION}")
    program: Program = _decode(Program, document.get("program"), arrays, "program")
    _check(program)
    return program


# The archive.


def _array_name(index: int) -> str:
    return f"a{index:05}"


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.create_system = 3  # else it differs between operating systems
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)


def _npy(array: Array) -> bytes:
    stream = io.BytesIO()
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    np.lib.format.write_array(stream, little.reshape(array.shape), version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def _open(content: bytes) -> tuple[Any, dict[str, Array]]:
    """(JSON document, {array name: read-only array})."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise MalformedError("compressed entries")  # ours are stored: nothing can unfold into gigabytes
        if sum(entry.file_size for entry in entries) > len(content):
            raise MalformedError("overlapping entries")
        document = json.loads(archive.read(DOCUMENT).decode("ascii"))
        names = [entry.filename for entry in entries if entry.filename.endswith(".npy")]
        return document, {name.removesuffix(".npy"): _parse_npy(archive.read(name)) for name in names}


def _parse_npy(content: bytes) -> Array:
    """The array of a version 1.0 .npy; its header may not promise more than is there."""
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise MalformedError("array of an unknown .npy version")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    body = content[stream.tell() :]
    if dtype.name not in DTYPES or fortran or any(extent < 0 for extent in shape):
        raise MalformedError(f"array of dtype {dtype}")
    count = 1
    for extent in shape:
        count *= extent
    if count * dtype.itemsize != len(body):
        raise MalformedError(f"array of shape {shape} in {len(body)} bytes")
    return np.frombuffer(body, dtype).reshape(shape)


# Python values <-> JSON.


def _encode(value: Any, arrays: dict[bytes, Array]) -> Any:
    """value as JSON; arrays are collected, equal ones once, and stand as "@name"-objects in the document."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _encode(getattr(value, field.name), arrays) for field in fields(value)}
    if isinstance(value, np.ndarray):
        key = f"{value.dtype.name}{value.shape}".encode() + value.tobytes()
        arrays.setdefault(key, value)
        return {"array": _array_name(list(arrays).index(key))}
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, Mapping):
        return {name: _encode(item, arrays) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_encode(item, arrays) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    assert value is None or isinstance(value, bool | int | float | str), f"cannot store a {type(value).__name__}"
    return value


def _decode(hint: Any, value: Any, arrays: Mapping[str, Array], where: str) -> Any:
    """JSON value -> what the type hint says."""
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        return None if value is None else _decode(_not_none(hint), value, arrays, where)
    if is_dataclass(hint):
        return _decode_dataclass(hint, value, arrays, where)
    if origin is tuple:
        return _decode_tuple(typing.get_args(hint), value, arrays, where)
    if hint is np.ndarray or origin is np.ndarray:
        return _decode_array(value, arrays, where)
    if hint is np.dtype or origin is np.dtype:
        _require(isinstance(value, str) and value in DTYPES, f"dtype {value!r}", where)
        return np.dtype(value)
    if origin is Mapping:
        _require(isinstance(value, dict), "not a mapping", where)
        item = typing.get_args(hint)[1]
        return {name: _decode(item, v, arrays, f"{where}.{name}") for name, v in value.items()}
    assert hint in (int, str, bool, float), f"{where}: cannot load a {hint}"
    _require(type(value) is hint, f"{value!r:.40} is no {hint.__name__}", where)
    return value


def _decode_dataclass(cls: Any, value: Any, arrays: Mapping[str, Array], where: str) -> Any:
    names = [field.name for field in fields(cls)]
    _require(isinstance(value, dict) and sorted(value) == sorted(names), f"not the fields of {cls.__name__}", where)
    hints = typing.get_type_hints(cls)
    if cls is Layer:
        op = value["op"]
        _require(isinstance(op, str), "operator name is no text", where)
        _require(op in BY_NAME, f"unknown operator '{op}' ({close_match(op, BY_NAME)})", where)
        hints["params"] = BY_NAME[op].params
    return cls(**{name: _decode(hints[name], value[name], arrays, f"{where}.{name}") for name in names})


def _decode_tuple(hints: tuple[Any, ...], value: Any, arrays: Mapping[str, Array], where: str) -> tuple[Any, ...]:
    _require(isinstance(value, list), "not a list", where)
    repeated = len(hints) == 2 and hints[1] is Ellipsis
    wanted = [hints[0]] * len(value) if repeated else list(hints)
    _require(len(wanted) == len(value), f"{len(value)} items instead of {len(wanted)}", where)
    return tuple(_decode(h, v, arrays, f"{where}[{i}]") for i, (h, v) in enumerate(zip(wanted, value, strict=True)))


def _decode_array(value: Any, arrays: Mapping[str, Array], where: str) -> Array:
    array = arrays.get(str(value.get("array"))) if isinstance(value, dict) else None
    if array is None:
        raise MalformedError(f"{where}: array is missing")
    return array


def _not_none(hint: Any) -> Any:
    (kept,) = (option for option in typing.get_args(hint) if option is not type(None))
    return kept


def _require(condition: bool, complaint: str, where: str) -> None:
    if not condition:
        raise MalformedError(f"{where}: {complaint}")


def _check(program: Program) -> None:
    """Names exist, constants have their declared shape and dtype, every layer reads what was written before."""
    for name, value in program.values.items():
        where = f"program.values.{name}"
        _require(name == value.name, f"calls itself '{value.name}'", where)
        _require(all(extent > 0 for extent in value.shape), f"shape {value.shape}", where)
        _require(value.data is None or _fits(value), "data does not fit the declaration", where)
    constants = {name for name, value in program.values.items() if value.data is not None}
    befores = {variable.before for variable in program.variables}
    known = {*program.inputs, *befores, *constants}
    _require(known <= set(program.values), "an input or variable does not exist", "program")
    for index, layer in enumerate(program.layers):
        where = f"program.layers[{index}]"
        _require(known.issuperset(layer.inputs), "reads a tensor nobody wrote", where)
        _require(constants.issuperset(layer.folded), "folds a tensor that is no constant", where)
        _require(set(layer.outputs) <= set(program.values), "writes an unknown tensor", where)
        known.update(layer.outputs)
    _require(known.issuperset(program.outputs), "an output is never written", "program")
    _check_variables(program, {name for layer in program.layers for name in layer.outputs})


def _check_variables(program: Program, written: set[str]) -> None:
    """Each is read as a value of its own, and ends as one of its type and size that a layer writes."""
    befores = [variable.before for variable in program.variables]
    others = {*program.inputs, *program.outputs, *written}
    own = len(set(befores)) == len(befores) and others.isdisjoint(befores)
    _require(own, "a variable is read as the value of something else", "program")
    for variable in program.variables:
        _require(variable.after in written, "its last value is never written", f"variable '{variable.name:.40}'")
        before, after = program.values[variable.before], program.values[variable.after]
        like = Value("", before.shape, before.dtype, None, variable.initial)
        sizes = before.size_bytes == after.size_bytes and before.dtype == after.dtype
        _require(sizes and _fits(like), "its values differ in type or size", f"variable '{variable.name:.40}'")


def _fits(value: Value) -> bool:
    return value.data is not None and value.data.shape == value.shape and value.data.dtype == value.dtype
