"""Model bytes -> Graph; which reader is decided by the content, never by the file's name alone."""

from __future__ import annotations

from pathlib import Path

from tinyptq.errors import TinyptqError
from tinyptq.graph import Graph

ACCEPTED = "a float .tflite, a Keras 3 .keras or a Keras .h5 file is needed"
CONVERTIBLE = {".pb": "a TensorFlow GraphDef or SavedModel", ".onnx": "an ONNX model", ".pt": "a PyTorch file"}
MAX_BYTES = 1 << 30  # far beyond any microcontroller


def load_model(path: str | Path) -> Graph:
    """The graph as the file has it; operators this compiler lacks are kept with attrs obstacles.Foreign."""
    path = Path(path)
    kind = model_kind(path)
    if kind == "tflite":
        from tinyptq.frontend.tflite import load_tflite

        return load_tflite(path.read_bytes(), path.stem, path.name)
    from tinyptq.frontend.keras import load_keras

    return load_keras(path)


def model_kind(path: Path) -> str:
    """'tflite' or 'keras', from the first bytes."""
    head = first_bytes(path)
    if head[4:8] == b"TFL3":
        return "tflite"
    if head.startswith((b"PK\x03\x04", b"\x89HDF\r\n\x1a\n")):
        return "keras"
    if path.suffix == ".tflite":
        raise TinyptqError("bad-tflite", "not a TensorFlow Lite file: 'TFL3' is not at byte 4", where=path.name)
    if path.suffix in (".keras", ".h5", ".hdf5"):
        raise TinyptqError("bad-keras", "neither a zip archive nor an HDF5 file", where=path.name, hint=ACCEPTED)
    raise TinyptqError("unknown-model", unknown(path), where=path.name, hint=ACCEPTED)


def first_bytes(path: Path) -> bytes:
    if path.is_dir():
        what = "a SavedModel folder" if (path / "saved_model.pb").exists() else "a folder"
        raise TinyptqError("unknown-model", f"{what}, not a model file", where=path.name, hint=ACCEPTED)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TinyptqError("unknown-model", "larger than 1 GiB", where=path.name, hint=ACCEPTED)
        with path.open("rb") as file:
            return file.read(8)
    except FileNotFoundError:
        raise TinyptqError("missing-file", "no such file", where=str(path)) from None
    except (OSError, ValueError) as problem:
        raise TinyptqError("unreadable-file", f"cannot be read: {problem}", where=path.name) from None


def unknown(path: Path) -> str:
    if path.suffix in CONVERTIBLE:
        return f"{CONVERTIBLE[path.suffix]} cannot be read"
    return "neither TensorFlow Lite, a zip archive, nor HDF5" if path.stat().st_size else "the file is empty"
