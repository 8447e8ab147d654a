"""Calibration and evaluation arrays of the shared models, read in place; same recipe as shared/data/prepare.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.shared import shared_path

Array = np.ndarray[Any, np.dtype[Any]]
Dataset = tuple[Array, Array, Array | None]


def load(name: str) -> Any:
    return np.load(shared_path("data", f"{name}.npz"), allow_pickle=False)


def kws() -> Dataset:
    """MFCC values, dequantized. [200, 49, 10, 1]"""
    file = load("kws_mfcc")

    def mfcc(key: str) -> Array:
        return (file[key].astype(np.float32) - float(file["zero_point"])) * float(file["scale"])

    return mfcc("calib_q"), mfcc("eval_q"), file["eval_y"]


def ic() -> Dataset:
    """CIFAR-10 pixels 0..255: the model takes raw pixels. [300, 32, 32, 3]"""
    file = load("cifar10")
    return file["calib_x"], file["eval_x"], file["eval_y"]


def vww() -> Dataset:
    """Unlabelled crops, pixels / 255. [n, 96, 96, 3]"""
    x = load("natural_crops_96")["x"] / np.float32(255)
    return x[:128], x[128:], None


def ad() -> Dataset:
    """Windows of 5 frames of 128 log-mel bands from one normal recording. [n, 640]"""
    frames = load("ad_toycar_normal_one_file")["logmel"]
    windows = np.stack([frames[i : i + 5].ravel() for i in range(len(frames) - 4)])
    return windows[:150], windows[155:], None


def sww() -> Dataset:
    """Spectrograms; the labels are those of the calibration clips, no disjoint set exists. [45, 30, 1, 40]"""
    file = load("sww_calibration")
    return file["specs"], file["specs"], file["labels"]


def digits() -> Dataset:
    """scikit-learn's digits, pixels / 16. [n, 8, 8]"""
    file = load("sklearn_small")
    order = np.random.default_rng(5).permutation(1797)
    x = file["digits_x"] / np.float32(16)
    return x[order[:200]], x[order[1297:]], file["digits_y"][order[1297:]]


def mnist() -> Dataset:
    """Pixels / 255. [n, 28, 28, 1]"""
    file = load("mnist_t10k_part")
    calib, evaluation = (file[key][..., None] / np.float32(255) for key in ("train_x", "eval_x"))
    return calib[:200], evaluation, file["eval_y"]


def har() -> Dataset:
    """Raw accelerometer and gyroscope values. [40, 100, 6]"""
    file = load("timeseries")
    return file["BasicMotions_train_x"], file["BasicMotions_test_x"], file["BasicMotions_test_y"]


def gunpoint() -> Dataset:
    file = load("timeseries")
    return file["GunPoint_train_x"], file["GunPoint_test_x"], file["GunPoint_test_y"]


def hello() -> Dataset:
    """x in [0, 2π). [n, 1]"""
    grid = np.linspace(0, 2 * np.pi, 401, dtype=np.float32).reshape(-1, 1)
    return grid[::2], grid[1::2], None


DATASETS: dict[str, Callable[[], Dataset]] = {
    recipe.__name__: recipe for recipe in (kws, ic, vww, ad, sww, digits, mnist, har, gunpoint, hello)
}


def dataset(name: str) -> Dataset:
    """(calibration, evaluation, labels | None) of one model: kws ic vww ad sww digits mnist har gunpoint hello."""
    calib, evaluation, labels = DATASETS[name]()
    return np.asarray(calib, np.float32), np.asarray(evaluation, np.float32), labels
