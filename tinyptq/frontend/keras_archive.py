"""The containers Keras writes: a `.keras` zip or an `.h5` file. Bytes in, configuration and weight arrays out.

Nothing in such a file is trusted: sizes are checked before memory is taken, links that leave the file are refused,
no Python code stored in it is ever looked at. Sources: Keras `saving_lib` (zip) and `legacy_h5_format` (h5).
"""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.frontend.hdf5_heap import damaged_heap
from tinyptq.graph import Array, Shape

METADATA = "metadata.json"
CONFIG_LIMIT = 16 << 20  # bytes of JSON
WEIGHTS_LIMIT = 256 << 20  # bytes of one weight file or array: far beyond any microcontroller
ZIP_RATIO_LIMIT = 200  # unpacked bytes per packed byte; Keras stores without compression
ZIP, H5_ROOT, H5_GROUP = "zip", "h5-root", "h5-group"
HDF5_ERRORS = (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, OverflowError, MemoryError)
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError)


@dataclass(frozen=True, eq=False)
class Store:
    """Where the weights of one layer, or of one (nested) model, lie.

    group:  the h5 group, None when the file has none for it.
    layout: ZIP, groups by class and position; H5_ROOT, groups by layer name; H5_GROUP, one flat list of weights.
    layer:  in an H5_GROUP that belongs to a nested model, the name of the layer inside.
    first, count: in an H5_GROUP shared by two layers, which of its weights are meant; None: all that follow.
    """

    group: Any
    layout: str
    layer: str | None = None
    first: int = 0
    count: int | None = None


def bad_file(message: str, hint: str | None = None) -> TinyptqError:
    return TinyptqError("bad-keras-file", message, hint=hint)


def open_archive(path: Path) -> tuple[Mapping[str, Any], Store, int]:
    """(model configuration, weights, major version of Keras) of a file; its kind is told by its first bytes."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise TinyptqError("no-such-file", error.strerror or str(error)) from error
    if head.startswith(b"PK"):
        return open_zip(path)
    if head == b"\x89HDF\r\n\x1a\n":
        return open_legacy(path)
    raise bad_file("neither a .keras zip nor an HDF5 file", "save the model with model.save('model.keras')")


def open_zip(path: Path) -> tuple[Mapping[str, Any], Store, int]:
    """Without metadata.json the file is taken for one of Keras 3."""
    try:
        with zipfile.ZipFile(path) as archive:
            metadata = zip_member(archive, METADATA, CONFIG_LIMIT) if METADATA in archive.namelist() else b"{}"
            config = parse_json(zip_member(archive, "config.json", CONFIG_LIMIT), "config.json")
            weights = zip_member(archive, "model.weights.h5", WEIGHTS_LIMIT)
    except ZIP_ERRORS as error:
        raise bad_file(f"the zip cannot be read: {error}") from error
    version = parse_json(metadata, METADATA).get("keras_version")
    return config, Store(open_h5(weights), ZIP), major(version, 3)


def major(version: object, default: int) -> int:
    """2 of "2.15.0"."""
    first = str(version).partition(".")[0]
    return int(first) if first in ("1", "2", "3", "4") else default


def zip_member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """One member, never more than limit bytes of it."""
    if name not in archive.namelist():
        raise bad_file(f"the zip holds no {name}", "a .keras file has config.json and model.weights.h5")
    info = archive.getinfo(name)
    if info.file_size > limit or info.file_size > ZIP_RATIO_LIMIT * max(info.compress_size, 1 << 10):
        raise bad_file(f"{name} claims to unpack from {info.compress_size} to {info.file_size} bytes")
    with archive.open(info) as member:
        data = member.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise bad_file(f"{name} is {len(data)} bytes, the zip says {info.file_size}")
    return data


def open_legacy(path: Path) -> tuple[Mapping[str, Any], Store, int]:
    """Without an attribute keras_version the file is taken for one of Keras 2."""
    if path.stat().st_size > WEIGHTS_LIMIT:
        raise bad_file(f"the file is larger than {WEIGHTS_LIMIT >> 20} MiB")
    file = open_h5(path.read_bytes())
    config = "".join(attribute(file, "model_config"))
    if not config:
        raise bad_file("holds weights but no model_config", "save the whole model: model.save('model.h5')")
    group = child(file, "model_weights")
    if group is None:
        raise bad_file("has no group model_weights", "save the whole model: model.save('model.h5')")
    version = "".join(attribute(file, "keras_version"))
    return parse_json(config, "model_config"), Store(group, H5_ROOT), major(version, 2)


def open_h5(data: bytes) -> Any:
    damage = damaged_heap(data)
    if damage:
        raise bad_file(f"the HDF5 data is damaged: {damage}")
    try:
        return h5py.File(io.BytesIO(data), "r")
    except HDF5_ERRORS as error:
        raise bad_file(f"the HDF5 data cannot be read: {error}") from error


def parse_json(text: str | bytes, name: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise bad_file(f"{name} is nested too deeply") from error
    except ValueError as error:  # malformed JSON and malformed UTF-8
        raise bad_file(f"{name} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise bad_file(f"{name} is no JSON object")
    return value


def child(group: Any, path: str) -> Any:
    """The group or data set at path below group; None when absent. Only hard links: nothing outside is reached."""
    try:
        for part in (p for p in path.split("/") if p):
            link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
            if link is None:
                return None
            if not isinstance(link, h5py.HardLink):
                raise bad_file(f"'{part}' is a link to elsewhere ({type(link).__name__})")
            group = group[part]
    except HDF5_ERRORS as error:
        raise bad_file(f"group '{path}' cannot be read: {error}") from error
    return group


def members(group: Any) -> list[str]:
    """Names in a group; none when it is absent or no group."""
    try:
        return [str(name) for name in group] if isinstance(group, h5py.Group) else []
    except HDF5_ERRORS as error:
        raise bad_file(f"a group cannot be listed: {error}") from error


def attribute(group: Any, name: str, limit: int = CONFIG_LIMIT) -> list[str]:
    """The strings of an attribute, in order; Keras cuts long lists into name0, name1, … Empty when absent."""
    try:
        pieces = takewhile(group.attrs.__contains__, (f"{name}{i}" for i in count()))
        names = [name] if name in group.attrs else list(pieces)
        return [text for piece in names for text in strings(group.attrs, piece, limit)]
    except HDF5_ERRORS as error:
        raise bad_file(f"attribute '{name}' cannot be read: {error}") from error


def strings(attributes: Any, name: str, limit: int) -> Iterator[str]:
    stored = attributes.get_id(name)
    if h5py.check_string_dtype(stored.dtype) is None:
        raise bad_file(f"attribute '{name}' holds {stored.dtype}, expected strings")
    if int(np.prod(stored.shape, dtype=np.float64)) * max(stored.dtype.itemsize, 1) > limit:
        raise bad_file(f"attribute '{name}' claims {stored.shape} elements")
    for value in np.ravel(np.asarray(attributes[name], dtype=object)):
        yield value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def layer_stores(store: Store, layers: Sequence[tuple[str, str]]) -> tuple[Store, ...]:
    """The Store of every (class name, layer name) of a model whose own Store is given."""
    if store.layout == ZIP:
        return zip_stores(store, [class_name for class_name, _ in layers])
    if store.layout == H5_ROOT:
        return tuple(Store(child(store.group, name), H5_GROUP) for _, name in layers)
    return tuple(Store(store.group, H5_GROUP, name) for _, name in layers)


def zip_stores(store: Store, classes: Sequence[str]) -> tuple[Store, ...]:
    """Keras numbers groups per class in container order: conv2d, conv2d_1, …; TF-Keras 2.12 leaves gaps."""
    container = child(store.group, "layers") if store.group is not None else None
    if container is None and store.group is not None:
        container = child(store.group, "_layer_checkpoint_dependencies")
    names = members(container)
    queues = {stem: numbered(stem, names) for stem in {snake_case(c) for c in classes}}
    found = []
    for class_name in classes:
        queue = queues[snake_case(class_name)]
        found.append(Store(child(container, queue.pop(0)) if queue else None, ZIP))
    return tuple(found)


def numbered(stem: str, names: Sequence[str]) -> list[str]:
    """stem, stem_1, stem_2, … as far as they are in names, in numeric order."""
    pattern = re.compile(re.escape(stem) + r"(?:_(\d{1,9}))?")
    matches = [(int(m[1] or 0), name) for name in names if (m := pattern.fullmatch(name))]
    return [name for _, name in sorted(matches)]


def snake_case(class_name: str) -> str:
    """Keras' own rule (`naming.to_snake_case`): "DepthwiseConv2D" -> "depthwise_conv2d"."""
    name = re.sub(r"\W+", "", class_name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def datasets(store: Store) -> list[Any]:
    """The layer's arrays as h5 data sets, in Keras' order (trainable first); nothing is read yet."""
    if store.group is None:
        return []
    if store.layout == ZIP:
        group = child(store.group, "vars")
        names = sorted((n for n in members(group) if n.isdecimal()), key=int)
        return [child(group, name) for name in names]
    names = attribute(store.group, "weight_names")
    if store.layer is not None:
        names = weights_of(names, store.layer)
    end = None if store.count is None else store.first + store.count
    return [child(store.group, name) for name in names[store.first : end]]


def weights_of(names: list[str], layer: str) -> list[str]:
    """Those of one layer: "model/conv2d/kernel:0" is one of "conv2d", "model/lstm/lstm_cell/kernel:0" of "lstm"."""
    own = [name for name in names if ("/" + name.rpartition("/")[0]).endswith("/" + layer)]
    return own or [name for name in names if f"/{layer}/" in "/" + name]


def read_array(dataset: Any, shape: Shape) -> Array:
    """float32 array of the expected shape; everything declared is checked before a byte is read."""
    try:
        problem = objection(dataset, shape)
        if problem:
            raise bad_file(problem)
        values = np.asarray(dataset[()])
    except HDF5_ERRORS as error:
        raise bad_file(f"weights cannot be read: {error}") from error
    with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite, and is refused
        array: Array = values.astype(np.float32)
    if not np.isfinite(array).all():
        raise TinyptqError("weights-not-finite", "weights hold NaN or infinity", hint="train the model again")
    return array


def objection(dataset: Any, shape: Shape) -> str | None:
    if not isinstance(dataset, h5py.Dataset):
        return "a weight named in the file is missing"
    if dataset.shape != shape:
        return f"weight has shape {dataset.shape}, the configuration says {shape}"
    if dataset.dtype.kind != "f":
        return f"weight has type {dataset.dtype}, expected a float type"
    if dataset.nbytes > WEIGHTS_LIMIT:
        return f"weight of {dataset.nbytes} bytes is beyond {WEIGHTS_LIMIT}"
    if dataset.external or dataset.is_virtual:
        return "weight is stored in another file"
    if dataset.chunks is None and dataset.nbytes and dataset.id.get_storage_size() < dataset.nbytes:
        return f"weight declares {dataset.nbytes} bytes but stores {dataset.id.get_storage_size()}"
    return None
