"""Calibration sets and observers, against NumPy on the whole set at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, Graph, Tensor
from tinyptq.ptq.calibration import BATCH, batches, open_calibration
from tinyptq.ptq.observers import BINS, MinMax, Percentile
from tinyptq.ptq.ranges import activation_qparams, bias_choice, dequantize_array, quantize_array, weight_choice

SHAPE = (1, 4, 3)


def graph(names: tuple[str, ...] = ("x",)) -> Graph:
    tensors = {n: Tensor(n, SHAPE, np.dtype(np.float32)) for n in names}
    return Graph("g", tensors, (), names, names)


def samples(count: int) -> Array:
    return np.random.default_rng(3).normal(size=(count, *SHAPE[1:])).astype(np.float32)


@pytest.mark.parametrize("kind", ["npy", "npz", "compressed", "folder of singles", "folder of batches", "float64"])
def test_every_form_gives_the_same_samples_in_order(tmp_path: Path, kind: str) -> None:
    data = samples(BATCH * 2 + 5)
    path = tmp_path / "c.npz"
    if kind in ("npy", "float64"):
        path = tmp_path / "c.npy"
        np.save(path, data.astype(np.float64) if kind == "float64" else data)
    elif kind == "npz":
        np.savez(path, calib=data, labels=np.arange(len(data)))
    elif kind == "compressed":
        np.savez_compressed(path, anything=data)
    else:
        path = tmp_path / "folder"
        path.mkdir()
        pieces = data if kind == "folder of singles" else np.array_split(data, 3)
        for i, piece in enumerate(pieces):
            np.save(path / f"{i:03}.npy", piece)
    found = list(batches(open_calibration(path, graph())))
    assert max(len(b["x"]) for b in found) <= BATCH
    np.testing.assert_array_equal(np.concatenate([b["x"] for b in found]), data)


def test_two_inputs_come_from_their_own_keys(tmp_path: Path) -> None:
    data = samples(5)
    np.savez(tmp_path / "c.npz", left=data, right=-data)
    (batch,) = batches(open_calibration(tmp_path / "c.npz", graph(("left", "right"))))
    np.testing.assert_array_equal(batch["right"], -batch["left"])


def bad_file(tmp_path: Path, kind: str) -> Path:
    path, data = tmp_path / "c.npz", samples(3)
    if kind == "shape":
        np.savez(path, calib=data[:, :2])
    elif kind == "dtype":
        np.savez(path, calib=data.astype(np.int32))
    elif kind == "key":
        np.savez(path, a=data, b=data)
    elif kind == "empty":
        np.savez(path, calib=data[:0])
    elif kind == "nan":
        data[2, 0, 0] = np.nan
        np.savez(path, calib=data)
    elif kind == "pickle":
        np.savez(path, calib=np.array([{"a": 1}], dtype=object))
    elif kind == "no zip":
        path.write_bytes(b"PK\x03\x04 not really")
    elif kind == "truncated":
        path = tmp_path / "c.npy"
        np.save(path, data)
        path.write_bytes(path.read_bytes()[:-8])
    elif kind == "scalar":
        np.savez(path, calib=np.float32(1))
    return path


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("shape", "shape is [3, 2, 3]"),
        ("dtype", "dtype is int32"),
        ("key", "keys ['a', 'b']"),
        ("empty", "no samples"),
        ("nan", "sample 2 holds NaN"),
        ("pickle", "pickled"),
        ("no zip", "no readable .npz"),
        ("truncated", "ends within sample 2"),
        ("scalar", "shape is []"),
        ("absent", "does not exist"),
    ],
)
def test_bad_sets_are_refused_with_cause_and_file(tmp_path: Path, kind: str, word: str) -> None:
    path = bad_file(tmp_path, kind)
    with pytest.raises(TinyptqError) as caught:
        list(batches(open_calibration(path, graph())))
    assert word in str(caught.value) and str(path) in str(caught.value)


def test_no_set_says_how_to_give_one() -> None:
    with pytest.raises(TinyptqError, match="--calib"):
        open_calibration(None, graph())


@given(st.lists(st.integers(1, 400), min_size=1, max_size=5), st.floats(1e-3, 1e4), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_percentile_is_within_a_bin_of_numpy(sizes: list[int], scale: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    arrays = [(generator.standard_normal(n) * scale).astype(np.float32) for n in sizes]
    observer, everything = Percentile(90.0), np.concatenate(arrays).astype(np.float64)
    for array in arrays:
        observer.observe(array)
    low, high = observer.range()
    bin_width = 4 * np.abs(everything).max() / BINS
    below, above = np.sort(everything), np.sort(everything)[::-1]
    rank = int(np.floor(0.05 * len(everything)))
    assert low <= below[min(rank, len(below) - 1)] + bin_width
    assert low >= below[max(rank - 1, 0)] - bin_width
    assert high >= above[min(rank, len(above) - 1)] - bin_width
    assert high <= above[max(rank - 1, 0)] + bin_width


def test_min_max_sees_every_batch() -> None:
    observer = MinMax()
    for array in (np.array([1.0, -3.0]), np.array([7.0]), np.array([0.5])):
        observer.observe(array)
    assert observer.range() == (-3.0, 7.0)


def test_activation_scale_on_paper() -> None:
    """[-1, 4]: scale 5/255 = 1/51, zero point -128 + 51 = -77; a positive range is widened to hold zero."""
    qparams = activation_qparams(-1.0, 4.0)
    assert qparams.scale[0] == np.float32(5 / 255)
    assert qparams.zero_point[0] == -77
    assert activation_qparams(2.0, 4.0).zero_point[0] == -128
    assert activation_qparams(0.0, 0.0).scale[0] > 0


def test_input_rounding_ties_away_from_zero() -> None:
    """scale 0.5: 0.25 and -0.25 are ties, TFLite rounds them to 1 and -1 (rint would give 0)."""
    qparams = activation_qparams(-64.0, 63.5)
    assert qparams.scale[0] == np.float32(0.5)
    np.testing.assert_array_equal(quantize_array(np.array([0.25, -0.25, 1000.0, -1000.0]), qparams), [1, -1, 127, -128])


def test_weights_on_paper() -> None:
    """Channel 0 reaches 1.27, scale 0.01; channel 1 is zero but for its bias; -128 is never used."""
    weights = np.array([[1.27, -1.27, 0.005], [0.0, 0.0, 0.0]], np.float32)
    bias = np.array([0.1, 5.0], np.float32)
    choice = weight_choice(weights, bias, 0, 0.1)
    np.testing.assert_allclose(choice.qparams.scale[0], 0.01, rtol=1e-6)
    np.testing.assert_array_equal(choice.values, [[127, -127, 1], [0, 0, 0]])
    integers = bias_choice(bias, choice, 0.1).values
    assert integers[0] == 100
    assert 0 < integers[1] <= 2**29
    assert integers[1] * 0.1 * float(choice.qparams.scale[1]) == pytest.approx(5.0, rel=1e-6)


@given(st.floats(-100, 0), st.floats(0.001, 100))
def test_dequantized_values_are_within_half_a_step(low: float, high: float) -> None:
    qparams = activation_qparams(low, high)
    values = np.linspace(low, high, 97, dtype=np.float32)
    error = np.abs(dequantize_array(quantize_array(values, qparams), qparams) - values)
    assert error.max() <= float(qparams.scale[0]) * 1.001
