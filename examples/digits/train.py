"""Trains the example: a small residual CNN on scikit-learn's handwritten digits (8x8 pixels, shipped with the package).

    pip install keras torch scikit-learn
    KERAS_BACKEND=torch python train.py

Inputs are float32 [8, 8, 1], pixel / 16. A seeded permutation of the 1797 pictures gives 1297 for training and 500
for the test; no test picture is trained on or calibrated with. Writes, beside this file:

    digits_cnn.keras   the trained model, without optimizer state
    calibration.npz    calib: the first 128 training pictures, float32 [128, 8, 8, 1]
    evaluation.npz     pixels: the first 200 test pictures, labels: their classes (uint8)
"""

from __future__ import annotations

import json
import os
import re
import zipfile
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
from keras import Model, layers
from sklearn.datasets import load_digits

HERE = Path(__file__).resolve().parent
SEED = 20
TRAINING = 1297
EPOCHS = 60


def network() -> Model:
    """Convolution, one depthwise-separable residual block, a strided convolution, global average, dense."""
    x = layers.Input((8, 8, 1), name="pixels")
    y = layers.Conv2D(16, 3, padding="same", use_bias=False, name="stem")(x)
    y = layers.BatchNormalization(name="stem_norm")(y)
    stem = layers.ReLU(name="stem_relu")(y)
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(stem)
    y = layers.BatchNormalization(name="depthwise_norm")(y)
    y = layers.ReLU(6.0, name="depthwise_relu")(y)
    y = layers.Conv2D(16, 1, use_bias=False, name="pointwise")(y)
    y = layers.BatchNormalization(name="pointwise_norm")(y)
    y = layers.Add(name="residual")([stem, y])
    y = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu", name="head")(y)
    y = layers.GlobalAveragePooling2D(name="average")(y)
    return Model(x, layers.Dense(10, activation="softmax", name="digit")(y), name="digits_cnn")


def shifted(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every picture moved by up to one pixel in each direction, black coming in."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    corners = rng.integers(0, 3, (len(x), 2))
    return np.stack([p[r : r + 8, c : c + 8] for p, (r, c) in zip(padded, corners, strict=True)])


def train(model: Model, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> None:
    steps = EPOCHS * -(-len(x) // 64)
    schedule = keras.optimizers.schedules.CosineDecay(4e-3, steps)
    model.compile(keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy")
    for _ in range(EPOCHS):
        model.fit(shifted(x, rng), y, batch_size=64, epochs=1, verbose=0)


def accuracy(model: Model, x: np.ndarray, y: np.ndarray) -> float:
    return float((model.predict(x, verbose=0).argmax(axis=1) == y).mean())


def packed(path: Path) -> None:
    """The zip that Keras wrote, deflated (a third of the size), without date and addresses: reproducible."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["metadata.json"] = json.dumps({"keras_version": keras.__version__}).encode()
    members["config.json"] = re.sub(rb', "shared_object_id": \d+', b"", members["config.json"])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)


def main() -> None:
    keras.utils.set_random_seed(SEED)
    rng = np.random.default_rng(SEED)
    digits = load_digits()
    order = rng.permutation(len(digits.images))
    x = (digits.images[order, :, :, None] / 16).astype(np.float32)
    y = digits.target[order].astype(np.uint8)
    trained = network()
    train(trained, x[:TRAINING], y[:TRAINING], rng)
    model = network()  # the same weights without optimizer state
    model.set_weights(trained.get_weights())
    print(f"accuracy: {accuracy(model, x[:TRAINING], y[:TRAINING]):.4f} on {TRAINING} training pictures")
    print(f"accuracy: {accuracy(model, x[TRAINING:], y[TRAINING:]):.4f} on {len(x) - TRAINING} test pictures")
    end = TRAINING + 200
    print(f"accuracy: {accuracy(model, x[TRAINING:end], y[TRAINING:end]):.4f} on the 200 of evaluation.npz")
    model.save(HERE / "digits_cnn.keras")
    packed(HERE / "digits_cnn.keras")
    np.savez_compressed(HERE / "calibration.npz", calib=x[:128])
    np.savez_compressed(HERE / "evaluation.npz", pixels=x[TRAINING:end], labels=y[TRAINING:end])


if __name__ == "__main__":
    main()
