"""Calibration sets: .npy, .npz or a folder of them, read in batches so that memory stays bounded."""

from __future__ import annotations

import tokenize
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, Graph, Shape, is_quantized
from tinyptq.ops import BY_NAME

BATCH = 32
RANDOM_SAMPLES = 64
DEFAULT_KEY = "calib"
RANDOM_WARNING = (
    "calibrated on random numbers: scales do not fit real data and accuracy is meaningless; pass --calib FILE"
)
FLOATS = ("float16", "float32", "float64")
ACCEPTED = "a .npy or .npz of float32 [n, ...], or a folder of such files"


@dataclass(frozen=True)
class Source:
    """Where one input's samples lie: an array in a file (key None for .npy)."""

    path: Path
    key: str | None
    count: int
    single: bool  # the array is one sample without a batch axis

    @property
    def where(self) -> str:
        return f"{self.path}" if self.key is None else f"{self.path}, key '{self.key}'"


@dataclass(frozen=True)
class CalibrationSet:
    """Samples for every graph input, in order. indices: of inputs that are indices, how many there are.

    random: without files, for --calib random.
    """

    sources: Mapping[str, tuple[Source, ...]]
    shapes: Mapping[str, Shape]
    count: int
    random: bool = False
    indices: Mapping[str, int] = field(default_factory=dict)


def open_calibration(spec: Path | str | None, graph: Graph) -> CalibrationSet:
    """The samples of a graph. spec: a path, "random", or None: an error that says how to give one, unless the graph
    is quantized already and needs none (the set is then empty).
    """
    shapes = {name: graph.tensors[name].shape for name in graph.inputs}
    if spec is None and is_quantized(graph):
        return CalibrationSet({}, shapes, 0)
    if spec is None:
        raise TinyptqError(
            "no-calibration",
            "a float model needs calibration samples to choose its integer ranges",
            hint=f"--calib with {ACCEPTED}; --calib random only to try the tool",
        )
    if str(spec) == "random":
        return CalibrationSet({}, shapes, RANDOM_SAMPLES, random=True, indices=index_counts(graph))
    integers = {str(graph.tensors[name].dtype) for name in graph.inputs} - set(FLOATS)
    return open_samples(Path(spec), shapes, (*FLOATS, *sorted(integers)))


def index_counts(graph: Graph) -> dict[str, int]:
    """Graph inputs that are read as indices, and the rows of the tables they choose from."""
    readers = [node for node in graph.nodes if BY_NAME[node.op].index_dtypes and node.inputs[0] in graph.inputs]
    return {node.inputs[0]: graph.tensors[node.inputs[1]].shape[0] for node in readers}


def open_samples(path: Path, shapes: Mapping[str, Shape], dtypes: tuple[str, ...]) -> CalibrationSet:
    """Samples for every named input from a file or folder; everything is checked but the values themselves."""
    if not path.exists():
        raise TinyptqError("no-file", "file does not exist", where=str(path), hint=ACCEPTED)
    files = sorted(p for p in path.iterdir() if p.suffix in (".npy", ".npz")) if path.is_dir() else [path]
    if not files:
        raise TinyptqError("bad-calibration", "folder holds no .npy or .npz", where=str(path), hint=ACCEPTED)
    sources = {name: tuple(source_of(f, name, shapes, dtypes, path.is_dir()) for f in files) for name in shapes}
    counts = {name: sum(s.count for s in found) for name, found in sources.items()}
    if len(set(counts.values())) != 1:
        raise TinyptqError("bad-calibration", f"inputs have unequal sample counts: {counts}", where=str(path))
    count = next(iter(counts.values()))
    if count == 0:
        raise TinyptqError("bad-calibration", "holds no samples", where=str(path), hint=ACCEPTED)
    return CalibrationSet(sources, shapes, count)


def source_of(
    path: Path, name: str, shapes: Mapping[str, Shape], dtypes: tuple[str, ...], in_folder: bool
) -> Source:
    key = choose_key(path, name, len(shapes)) if path.suffix == ".npz" else None
    if path.suffix == ".npy" and len(shapes) > 1:
        raise TinyptqError(
            "bad-calibration",
            f"the model has {len(shapes)} inputs, a .npy holds one",
            where=str(path),
            hint=f"a .npz with keys {', '.join(shapes)}",
        )
    with array_stream(path, key) as (shape, dtype, _):
        source = Source(path, key, 1, single=in_folder and shape == shapes[name][1:])
        check_array(source, shape, dtype, shapes[name], dtypes)
        return source if source.single else Source(path, key, shape[0], single=False)


def check_array(
    source: Source, shape: Shape, dtype: np.dtype[Any], wanted: Shape, dtypes: tuple[str, ...]
) -> None:
    kind = " or ".join(["float32", *(d for d in dtypes if d not in FLOATS)])
    accepted = f"{kind} [n, {', '.join(map(str, wanted[1:]))}]"
    if dtype.name not in dtypes:
        raise TinyptqError(
            "bad-calibration", f"dtype is {dtype}", where=source.where, hint=f"{accepted}, scaled as in training"
        )
    if not source.single and (len(shape) != len(wanted) or shape[1:] != wanted[1:]):
        raise TinyptqError("bad-calibration", f"shape is {list(shape)}", where=source.where, hint=accepted)


def choose_key(path: Path, name: str, inputs: int) -> str:
    """The input's own name, else (one input only) 'calib', else the file's only array."""
    try:
        with zipfile.ZipFile(path) as archive:
            keys = [n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")]
    except (zipfile.BadZipFile, OSError) as error:
        raise TinyptqError("bad-calibration", f"no readable .npz: {error}", where=str(path), hint=ACCEPTED) from error
    if name in keys:
        return name
    if inputs == 1 and DEFAULT_KEY in keys:
        return DEFAULT_KEY
    if inputs == 1 and len(keys) == 1:
        return keys[0]
    raise TinyptqError(
        "bad-calibration",
        f"no array for input '{name}' among keys {keys}",
        where=str(path),
        hint=f"name the array '{name}'" + (f" or '{DEFAULT_KEY}'" if inputs == 1 else ""),
    )


@contextmanager
def array_stream(path: Path, key: str | None) -> Iterator[tuple[Shape, np.dtype[Any], IO[bytes]]]:
    """(shape, dtype, stream at the first element) of a .npy or a member of a .npz; never unpickles."""
    where = str(path) if key is None else f"{path}, key '{key}'"
    try:
        if key is None:
            with path.open("rb") as stream:
                yield (*read_header(stream), stream)
        else:
            with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as stream:
                yield (*read_header(stream), stream)
    except (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile, SyntaxError, tokenize.TokenError) as error:
        raise TinyptqError("bad-calibration", f"not a readable array: {error}", where=where, hint=ACCEPTED) from error


def read_header(stream: IO[bytes]) -> tuple[Shape, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if reader is None:
        raise ValueError(f"array format version {version}")
    shape, fortran, dtype = reader(stream)
    if dtype.hasobject:
        raise ValueError("pickled objects are refused")
    if fortran and len(shape) > 1:
        raise ValueError("column-major order; save np.ascontiguousarray(x)")
    return tuple(shape), dtype


def batches(calibration: CalibrationSet) -> Iterator[dict[str, Array]]:
    """Consecutive batches of at most 32 samples, float32 [n, ...] by input name."""
    if calibration.random:
        yield from random_batches(calibration)
        return
    streams = {name: samples(calibration, name) for name in calibration.shapes}
    for start in range(0, calibration.count, BATCH):
        size = min(BATCH, calibration.count - start)
        yield {name: np.stack([next(stream) for _ in range(size)]) for name, stream in streams.items()}


def random_batches(calibration: CalibrationSet) -> Iterator[dict[str, Array]]:
    generator = np.random.default_rng(0)
    for _ in range(calibration.count // BATCH):
        yield {
            name: random_samples(generator, (BATCH, *shape[1:]), calibration.indices.get(name))
            for name, shape in calibration.shapes.items()
        }


def random_samples(generator: np.random.Generator, shape: Shape, indices: int | None) -> Array:
    if indices is not None:
        return generator.integers(0, indices, shape).astype(np.float32)
    return generator.standard_normal(shape).astype(np.float32)


def samples(calibration: CalibrationSet, name: str) -> Iterator[Array]:
    """One sample after the other, float32 (or integers where accepted), read from disk as it is needed."""
    shape = calibration.shapes[name][1:]
    for source in calibration.sources[name]:
        with array_stream(source.path, source.key) as (_, dtype, stream):
            size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
            for index in range(source.count):
                data = stream.read(size)
                if len(data) != size:
                    raise TinyptqError("bad-calibration", f"ends within sample {index}", where=source.where)
                sample = np.frombuffer(data, dtype).reshape(shape)
                sample = sample.astype(np.float32) if dtype.kind == "f" else sample
                if not np.isfinite(sample).all():
                    raise TinyptqError(
                        "bad-calibration", f"sample {index} holds NaN or infinity", where=source.where
                    )
                yield sample


def first_samples(calibration: CalibrationSet, count: int) -> dict[str, Array]:
    """Up to `count` samples [n, ...] by input name."""
    parts: list[dict[str, Array]] = []
    for batch in batches(calibration):
        parts.append(batch)
        if sum(len(next(iter(p.values()))) for p in parts) >= count:
            break
    nothing = {name: [np.empty((0, *shape[1:]), np.float32)] for name, shape in calibration.shapes.items()}
    return {name: np.concatenate([p[name] for p in parts] or nothing[name])[:count] for name in calibration.shapes}
