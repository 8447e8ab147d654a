"""The shared float models with the data they are calibrated and judged on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.data import dataset
from tests.shared import shared_path

# id -> (file below shared/models, dataset)
FLOAT_MODELS: dict[str, tuple[str, str]] = {
    "ic": ("mlperf_tiny/ic/pretrainedResnet.tflite", "ic"),
    "kws": ("mlperf_tiny/kws/kws_ref_model_float32.tflite", "kws"),
    "vww": ("mlperf_tiny/vww/vww_96_float.tflite", "vww"),
    "ad": ("mlperf_tiny/ad/ad01_fp32.tflite", "ad"),
    "ic-h5": ("mlperf_tiny/ic/pretrainedResnet.h5", "ic"),
    "vww-h5": ("mlperf_tiny/vww/vww_96.h5", "vww"),
    "ad-h5": ("mlperf_tiny/ad/ad01.h5", "ad"),
    "sww-h5": ("mlperf_tiny/sww/str_ww_ref_model.h5", "sww"),
    "digits-keras": ("trained_keras/digits_mlp.keras", "digits"),
    "digits-h5": ("trained_keras/digits_mlp.h5", "digits"),
    "mnist-keras": ("trained_keras/mnist_dscnn.keras", "mnist"),
    "har-keras": ("trained_keras/har_conv1d.keras", "har"),
    "gunpoint-keras": ("trained_keras/gunpoint_lstm.keras", "gunpoint"),
    "gunpoint-loop": ("trained_keras/gunpoint_lstm_float.tflite", "gunpoint"),
    "uraich-keras": ("keras3/uraich_hello_world.keras", "hello"),
    "hello": ("tflm/hello_world_float.tflite", "hello"),
}
# Quantized by others, of many makers' tools.
INT8_MODELS = (
    "mlperf_tiny/ic/pretrainedResnet_quant.tflite",
    "mlperf_tiny/kws/kws_ref_model.tflite",
    "mlperf_tiny/vww/vww_96_int8.tflite",
    "mlperf_tiny/ad/ad01_int8.tflite",
    "mlperf_tiny/sww/str_ww_ref_model.tflite",
    "tflm/person_detect.tflite",
    "tflm/micro_speech_quantized.tflite",
    "tflm/hello_world_int8.tflite",
    "tflm/simple_add_model.tflite",
    "keras3/uraich_hello_world_int8.tflite",
    "tflm/trained_lstm_int8.tflite",
    "tflm/keyword_scrambled.tflite",
    "tflm/keyword_scrambled_8bit.tflite",
)
BOARDS = ("cortex-m55", "cortex-m4", "cortex-m0", "riscv32", "host")


def model_path(model: str) -> Path:
    return shared_path("models", *FLOAT_MODELS[model][0].split("/"))


def calibration_file(model: str, folder: Path) -> Path:
    """The model's calibration samples as a user would give them."""
    path = folder / "calibration.npz"
    np.savez(path, calib=dataset(FLOAT_MODELS[model][1])[0])
    return path
