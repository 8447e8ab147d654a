"""Keras files that cannot be used: unsupported, damaged, hostile. Each is one line that names file and cause."""

from __future__ import annotations

import copy
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.keras_files import FIXTURES, archive, parts, small_model
from tinyptq.errors import TinyptqError
from tinyptq.frontend.keras import load_keras
from tinyptq.graph import check_graph


def dense(folder: Path, write: Callable[[Any], None], units: int = 2) -> Path:
    """A model of one Dense layer whose weight group `write` fills."""
    path = small_model(folder, "Dense", {"name": "d", "units": units, "use_bias": False}, [3], [])
    with zipfile.ZipFile(path) as file:
        config = file.read("config.json")
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as weights:
        write(weights.create_group("layers/dense/vars"))
    return archive(folder, config, buffer.getvalue())


def complaint(path: Path) -> TinyptqError:
    with pytest.raises(TinyptqError) as caught:
        load_keras(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 1
    return caught.value


def test_unsupported_layers_are_listed_at_once(tmp_path: Path) -> None:
    config, weights = parts("nested.keras")
    layers = {layer["config"]["name"]: layer for layer in config["config"]["layers"]}
    layers["shared_stem"]["config"]["padding"] = "reflect"
    layers["add"]["class_name"] = "Lambda"
    layers["first"]["config"]["activation"] = "sparsemax"
    layers["inner"]["config"]["layers"][1]["config"]["data_format"] = "channels_first"
    error = complaint(archive(tmp_path, config, weights))
    assert error.reference == "unsupported"
    assert error.message.startswith("4 layers are not supported: ")
    assert "layer 'shared_stem' (Conv2D): padding='reflect', only 'valid' or 'same' works" in error.message
    assert "layer 'add' (Lambda): holds Python code, which is never run" in error.message
    assert "layer 'first' (Dense): activation=sparsemax, only linear, relu, relu6, hard_tanh, " in error.message
    assert "layer 'inner/conv2d_1' (Conv2D): data_format='channels_first', only 'channels_last' works" in error.message


MOVES: list[tuple[str, dict[str, object], list[int], str]] = [
    ("Permute", {"dims": [1, 3]}, [4, 3], "dims=[1, 3] do not fit"),
    ("Permute", {"dims": "12"}, [4, 3], "dims='12' do not fit"),
    ("Cropping2D", {"cropping": [[1, 2], [0, 0]]}, [3, 3, 1], "crops all of (1, 3, 3, 1)"),
    ("Cropping1D", {"cropping": [-1, 0]}, [3, 1], "cropping is [-1, 0]"),
    ("UpSampling2D", {"size": [2, 0]}, [3, 3, 1], "size is [2, 0]"),
    ("UpSampling2D", {"interpolation": "bicubic"}, [3, 3, 1], "only 'nearest' or 'bilinear' works"),
    ("UpSampling2D", {"size": [10**6, 10**6]}, [3, 3, 1], "would have the shape"),
    ("Conv2DTranspose", {"filters": 1, "kernel_size": 2, "output_padding": 1}, [3, 3, 1], "output_padding=1"),
    ("Conv2D", {"filters": 3, "kernel_size": 1, "groups": 2}, [3, 3, 4], "groups=2 of 4 channels and 3 filters"),
    ("RepeatVector", {"n": 0}, [3], "n is 0"),
    ("Subtract", {}, [3], "needs two tensors"),
    ("TimeDistributed", {"layer": {"class_name": "TimeDistributed", "config": {}}}, [3, 2], "wraps TimeDistributed"),
    ("TimeDistributed", {"layer": 5}, [3, 2], "wraps nothing"),
]


@pytest.mark.parametrize(("class_name", "config", "shape", "reason"), MOVES)
def test_layers_that_move_refuse_in_words(
    tmp_path: Path, class_name: str, config: dict[str, object], shape: list[int], reason: str
) -> None:
    error = complaint(small_model(tmp_path, class_name, {"name": "it", **config}, shape, []))
    assert "'it'" in str(error)
    assert reason in str(error)


def test_recurrent_model_names_its_layer(tmp_path: Path) -> None:
    error = complaint(small_model(tmp_path, "ConvLSTM1D", {"name": "loop", "filters": 2}, [3, 1, 1], []))
    assert "layer 'loop' (ConvLSTM1D): recurrent" in error.message


def embedding(mask: bool = False) -> dict[str, Any]:
    config = {"name": "e", "input_dim": 9, "output_dim": 4, "mask_zero": mask}
    return {"class_name": "Embedding", "config": config}


LSTM = {"class_name": "LSTM", "config": {"name": "l", "units": 3, "activation": "tanh"}}
AVERAGE = {"class_name": "GlobalAveragePooling1D", "config": {"name": "g"}}
RELU = {"class_name": "ReLU", "config": {"name": "r"}}


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ([embedding(mask=True), LSTM], "layer 'l' (LSTM): skips steps that an Embedding with mask_zero=True hides"),
        ([embedding(mask=True), AVERAGE], "layer 'g' (GlobalAveragePooling1D): skips steps"),
        ([RELU, embedding()], "layer 'e' (Embedding): its indices are no input of the model"),
    ],
)
def test_embeddings_that_mean_something_else(tmp_path: Path, layers: list[dict[str, Any]], reason: str) -> None:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["layers/embedding/vars/0"] = np.zeros((9, 4), np.float32)
    start = {"class_name": "InputLayer", "config": {"batch_shape": [None, 5], "name": "in"}}
    config = {"class_name": "Sequential", "config": {"name": "m", "layers": [start, *layers]}}
    assert reason in str(complaint(archive(tmp_path, config, buffer.getvalue())))


@pytest.mark.parametrize("inner", [{"class_name": "PReLU", "config": {}}, {"class_name": 5}, {}, ["relu"]])
def test_other_objects_as_activation(tmp_path: Path, inner: Any) -> None:
    config = {"name": "d", "units": 2, "activation": inner}
    assert "activation=" in complaint(small_model(tmp_path, "Dense", config, [2], [])).message


def test_a_middle_larger_than_the_image(tmp_path: Path) -> None:
    path = small_model(tmp_path, "CenterCrop", {"name": "c", "height": 4, "width": 2}, [3, 3, 1], [])
    assert "a middle of 4x2" in complaint(path).message


@pytest.mark.parametrize("axes", [[0], [3], ["x"], "x", [[1]]])
def test_shared_axes_of_slopes_must_exist(tmp_path: Path, axes: Any) -> None:
    config = {"name": "p", "shared_axes": axes}
    path = small_model(tmp_path, "PReLU", config, [4, 3], [np.ones((4, 3), np.float32)])
    assert "shared_axes=" in complaint(path).message


def test_unknown_dimensions_ask_for_a_fixed_input(tmp_path: Path) -> None:
    config, weights = parts("images.keras")
    config["config"]["layers"][0]["config"]["batch_shape"] = [None, None, 8, 3]
    error = complaint(archive(tmp_path, config, weights))
    assert error.reference == "unknown-shape"
    assert error.hint is not None
    assert "Input(" in error.hint


def test_hostile_names_stay_raw_in_the_graph_and_printable_in_errors(tmp_path: Path) -> None:
    name = '"*/ ../\n\\é %s{{ x }}'
    weights = np.zeros((3, 2), np.float32)
    config = {"name": name, "units": 2, "use_bias": False}
    graph = load_keras(small_model(tmp_path, "Dense", config, [3], [weights]))
    assert graph.outputs == (name,)
    assert repr(name)[1:-1].split("\\n")[0] in str(complaint(small_model(tmp_path, "Dense", config, [4], [weights])))


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "neither a .keras zip nor an HDF5 file"),
        (bytes(range(256)) * 4, "neither a .keras zip nor an HDF5 file"),
        (b"PK\x03\x04" + b"junk" * 50, "the zip cannot be read"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "the HDF5 data cannot be read"),
    ],
)
def test_files_of_another_kind(tmp_path: Path, content: bytes, cause: str) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    assert cause in complaint(path).message


def test_missing_file_folder_and_foreign_zip(tmp_path: Path) -> None:
    assert complaint(tmp_path / "none.keras").reference == "no-such-file"
    assert complaint(tmp_path).reference == "no-such-file"
    path = tmp_path / "other.keras"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("word/document.xml", "<x/>")
    assert "holds no config.json" in complaint(path).message


def test_weights_without_a_model(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        file.create_group("dense")
    assert "no model_config" in complaint(path).message


@pytest.mark.parametrize("name", ["chain.keras", "chain.h5"])
def test_truncated_files(tmp_path: Path, name: str) -> None:
    data = (FIXTURES / name).read_bytes()
    for length in (9, 100, len(data) // 3, len(data) // 2, len(data) - 20):
        path = tmp_path / name
        path.write_bytes(data[:length])
        assert complaint(path).reference == "bad-keras-file"


def test_zip_bomb(tmp_path: Path) -> None:
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("config.json", b" " * (8 << 20))
    assert "claims to unpack" in complaint(path).message


def test_deep_json(tmp_path: Path) -> None:
    assert complaint(archive(tmp_path, "[" * 100_000 + "]" * 100_000, b"")).reference == "bad-keras-file"
    assert complaint(archive(tmp_path, "[1, 2]", b"")).message == "config.json is no JSON object"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite(tmp_path: Path, bad: float) -> None:
    path = dense(tmp_path, lambda group: group.create_dataset("0", data=np.full((3, 2), bad, np.float32)))
    error = complaint(path)
    assert error.reference == "weights-not-finite"
    assert "layer 'd' (Dense)" in str(error)


def test_half_precision_weights_are_cast(tmp_path: Path) -> None:
    graph = load_keras(dense(tmp_path, lambda group: group.create_dataset("0", data=np.full((3, 2), 0.5, np.float16))))
    assert graph.tensors["d/kernel"].data is not None
    assert graph.tensors["d/kernel"].data.dtype == np.float32


def test_links_out_of_the_file_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = np.ones((3, 2), np.float32)

    def external(group: Any) -> None:
        group["0"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/x")

    def soft(group: Any) -> None:
        group["0"] = h5py.SoftLink("/elsewhere")

    def raw(group: Any) -> None:
        group.create_dataset("0", (3, 2), np.float32, external=[(str(tmp_path / "secret.h5"), 0, 24)])

    assert "is a link to elsewhere (ExternalLink)" in complaint(dense(tmp_path, external)).message
    assert "is a link to elsewhere (SoftLink)" in complaint(dense(tmp_path, soft)).message
    assert "stored in another file" in complaint(dense(tmp_path, raw)).message


def test_declared_sizes_are_checked_before_reading(tmp_path: Path) -> None:
    """2^25 units would be 384 MiB; nothing of it is stored."""
    units = 1 << 25
    contiguous = dense(tmp_path, lambda group: group.create_dataset("0", (3, 64), np.float32), 64)
    assert "declares 768 bytes but stores 0" in complaint(contiguous).message
    chunked = dense(
        tmp_path, lambda group: group.create_dataset("0", (3, units), np.float32, chunks=(3, 1 << 20)), units
    )
    assert complaint(chunked).reference == "model-too-large"
    other = dense(tmp_path, lambda group: group.create_dataset("0", (3, 5), np.float32), 64)
    assert "weight has shape (3, 5), the configuration says (3, 64)" in complaint(other).message


def test_damaged_heaps_are_found_before_libhdf5_reads_them(tmp_path: Path) -> None:
    """Object 0 (free space) of no size hangs libhdf5; a string longer than its object crashes it."""
    good = (FIXTURES / "chain.h5").read_bytes()
    start = good.find(b"GCOL")
    reference = next(i for i in range(4, len(good), 8) if good[i : i + 8] == start.to_bytes(8, "little"))
    for place, junk, cause in (
        (start + 16, bytes(16), "heap never ends"),
        (reference - 1, b"\x7f", "a string is not where"),
    ):
        path = tmp_path / "chain.h5"
        path.write_bytes(good[:place] + junk + good[place + len(junk) :])
        assert cause in complaint(path).message


def test_cycles_and_missing_tensors(tmp_path: Path) -> None:
    config, weights = parts("operators.keras")
    cyclic = copy.deepcopy(config)
    cyclic["config"]["layers"][1]["inbound_nodes"][0]["args"][0]["config"]["keras_history"] = ["multiply_2", 0, 0]
    assert "reads a tensor that no layer computes" in complaint(archive(tmp_path, cyclic, weights)).message
    absent = copy.deepcopy(config)
    absent["config"]["output_layers"] = ["multiply_2", 0, 3]
    assert (
        "tensor 3 of call 0 of layer 'multiply_2' does not exist"
        in complaint(archive(tmp_path, absent, weights)).message
    )


def positions(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [p for key, inner in items for p in positions(inner, (*path, key))]


def graph_or_complaint(path: Path) -> bool:
    """Whether a file gives a well-formed graph or an error that names it; any other exception fails the test."""
    try:
        return check_graph(load_keras(path)) == []
    except TinyptqError as error:
        return str(path) in str(error)


JUNK = (None, True, -1, 0, 3, 1 << 40, 1e308, "", "../x", [], {}, [1], [None], [-1], [99999999, 3], {"class_name": "x"})


@pytest.mark.parametrize("name", ["nested", "sequences", "images", "operators", "chain"])
def test_altered_configurations_load_or_are_refused(tmp_path: Path, name: str) -> None:
    """Any value replaced by junk: a Graph or a TinyptqError, no other exception."""
    config, weights = parts(f"{name}.keras")
    generator = np.random.default_rng(7)
    places = [p for p in positions(config) if "initializer" not in str(p)]
    for place in (places[i] for i in generator.permutation(len(places))[:60]):
        altered = copy.deepcopy(config)
        inner = altered
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = JUNK[generator.integers(len(JUNK))]
        path = archive(tmp_path, altered, weights)
        assert graph_or_complaint(path)


@pytest.mark.parametrize("name", ["nested.h5", "chain.keras"])
def test_altered_bytes_load_or_are_refused(tmp_path: Path, name: str) -> None:
    generator = np.random.default_rng(11)
    for _ in range(60):
        data = bytearray((FIXTURES / name).read_bytes())
        for place in generator.integers(0, len(data), 4):
            data[place] = generator.integers(256)
        path = tmp_path / name
        path.write_bytes(data)
        assert graph_or_complaint(path)


def test_models_inside_models_do_not_multiply_without_bound(tmp_path: Path) -> None:
    """Four levels that each call the next one 20 times: 160,000 calls from a file of a few kilobytes."""
    model = {"class_name": "Sequential", "config": {"name": "m", "layers": [{"class_name": "Dropout", "config": {}}]}}
    for level in range(4):
        calls = [[["in" if call == 0 else "m", max(call - 1, 0), 0, {}]] for call in range(20)]
        layers = [
            {"class_name": "InputLayer", "config": {"batch_shape": [None, 3], "name": "in"}, "name": "in"},
            {**model, "name": "m", "inbound_nodes": calls},
        ]
        ends = {"input_layers": [["in", 0, 0]], "output_layers": [["m", 19, 0]]}
        model = {"class_name": "Functional", "config": {"name": f"level{level}", "layers": layers, **ends}}
    _, weights = parts("chain.keras")
    assert "called more than 10000 times" in complaint(archive(tmp_path, model, weights)).message
