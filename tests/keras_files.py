"""Small Keras files for the frontend's tests, written with zipfile and h5py alone."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py

from tests.shared import ROOT

FIXTURES = ROOT / "tests" / "fixtures" / "keras"


def small_model(folder: Path, class_name: str, config: Any, shape: list[int], weights: list[Any]) -> Path:
    """A Sequential of one layer as Keras 3 writes it."""
    layers = [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, *shape], "name": "in"}},
        {"class_name": class_name, "config": config},
    ]
    stem = {"DepthwiseConv2D": "depthwise_conv2d", "BatchNormalization": "batch_normalization"}
    stem["LayerNormalization"] = "layer_normalization"
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        group = file.create_group(f"layers/{stem.get(class_name, class_name.lower())}/vars")
        for index, array in enumerate(weights):
            group[str(index)] = array
    return archive(folder, {"class_name": "Sequential", "config": {"name": "m", "layers": layers}}, buffer.getvalue())


def archive(folder: Path, config: Any, weights: bytes) -> Path:
    path = folder / "model.keras"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", config if isinstance(config, (str, bytes)) else json.dumps(config))
        file.writestr("model.weights.h5", weights)
    return path


def parts(name: str) -> tuple[Any, bytes]:
    with zipfile.ZipFile(FIXTURES / name) as file:
        return json.loads(file.read("config.json")), file.read("model.weights.h5")
