"""Integer inputs to verify on, the golden tensors, and how far integers are from floats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from tinyptq.float_run import first_values, iterate_float
from tinyptq.graph import Array, Graph
from tinyptq.ops import BY_NAME
from tinyptq.program import Program
from tinyptq.ptq.calibration import FLOATS, CalibrationSet, batches, first_samples, open_samples
from tinyptq.ptq.ranges import dequantize_array, quantize_array
from tinyptq.simulate import BATCH, initial_memory, run_batch, simulate

DEFAULT_COUNT = 16
ACCURACY_SAMPLES = 64
Progress = Callable[[str, int, int], None]


def verification_inputs(program: Program, calibration: CalibrationSet, count: int) -> dict[str, Array]:
    """`count` integer samples per input: half real ones, half random over the full range, the extremes among them."""
    real = quantize_inputs(program, first_samples(calibration, (count + 1) // 2))
    found = len(next(iter(real.values())))
    random = random_inputs(program, count - found)
    return {name: np.concatenate([real[name], random[name]]) for name in program.inputs}


def random_inputs(program: Program, count: int) -> dict[str, Array]:
    """Integer samples, uniform over the range of their type; the first is the smallest, the second the largest."""
    generator = np.random.default_rng(0)
    samples = {}
    for name in program.inputs:
        value = program.values[name]
        low, high = input_range(program, name)
        shape = (count, *value.shape[1:])
        samples[name] = generator.integers(low, high, shape, value.dtype, endpoint=True)
        samples[name][:1] = low
        samples[name][1:2] = high
    return samples


def input_range(program: Program, name: str) -> tuple[int, int]:
    """Smallest and largest integer of an input: of its type, or those that name a row where it holds indices."""
    for layer in program.layers:
        limits = BY_NAME[layer.op].index_range
        if limits is not None and layer.inputs[0] == name:
            return limits(layer.params)
    info = np.iinfo(program.values[name].dtype)
    return int(info.min), int(info.max)


def quantize_inputs(program: Program, reals: Mapping[str, Array]) -> dict[str, Array]:
    """float32 samples -> integers by each input's scale; samples that are integers pass."""
    result = {}
    for name in program.inputs:
        value = program.values[name]
        assert value.qparams is not None
        given = reals[name]
        result[name] = given if given.dtype == value.dtype else quantize_array(given, value.qparams, value.dtype)
    return result


def read_inputs(program: Program, path: Path) -> dict[str, Array]:
    """Integer samples for every program input from a user's file: float32 (quantized here), or of the input's type."""
    shapes = {name: program.values[name].shape for name in program.inputs}
    integers = sorted({str(program.values[name].dtype) for name in program.inputs})
    found = open_samples(path, shapes, (*FLOATS, *integers))
    return quantize_inputs(program, first_samples(found, found.count))


def array_keys(program: Program) -> dict[str, str]:
    """value name -> key in golden.npz: "input", "layer0_conv_2d", ...: names from the model are hostile."""
    many = len(program.inputs) > 1
    keys = {name: f"input{i}" if many else "input" for i, name in enumerate(program.inputs)}
    for index, layer in enumerate(program.layers):
        for position, name in enumerate(layer.outputs):
            suffix = f"_{position}" if len(layer.outputs) > 1 else ""
            keys[name] = f"layer{index}_{layer.op}{suffix}"
    return keys


def save_golden(program: Program, inputs: Mapping[str, Array], path: Path) -> None:
    """Inputs and every layer's tensors as the simulator computes them."""
    tensors = simulate(program, inputs)
    np.savez_compressed(path, allow_pickle=False, **{key: tensors[name] for name, key in array_keys(program).items()})


def layer_sqnr(program: Program, graph: Graph, calibration: CalibrationSet, progress: Progress) -> dict[str, float]:
    """Signal to quantization noise in dB per tensor: integer program against float graph on calibration data.

    SQNR = 10 log10(Σ float² / Σ (float − dequantized)²) over at most 64 samples; infinite when they are equal.
    Variables run on through all of them.
    """
    signal = dict.fromkeys(program.values, 0.0)
    noise = dict.fromkeys(program.values, 0.0)
    total, done = min(ACCURACY_SAMPLES, calibration.count), 0
    memory, reals = initial_memory(program), first_values(graph)
    for batch in batches(calibration):
        for start in range(0, len(next(iter(batch.values()))), BATCH):
            part = {name: values[start : start + BATCH][: total - done] for name, values in batch.items()}
            memory.layers = initial_memory(program).layers  # run_float of an operator begins anew with every part
            integers = run_batch(program, quantize_inputs(program, part), memory)
            for name, real in iterate_float(graph, part, reals):
                difference = real - dequantized(program, integers, name)
                signal[name] += float(np.vdot(real, real))
                noise[name] += float(np.vdot(difference, difference))
            done += len(next(iter(part.values())))
            progress("measure", done, total)
            if done >= total:
                return {name: ratio_db(signal[name], noise[name]) for name in integers}
    return {name: ratio_db(signal[name], noise[name]) for name in integers}


def dequantized(program: Program, integers: Mapping[str, Array], name: str) -> Array:
    qparams = program.values[name].qparams
    assert qparams is not None
    return dequantize_array(integers[name], qparams)


def ratio_db(signal: float, noise: float) -> float:
    if noise == 0.0:
        return float("inf")
    return float(10.0 * np.log10(signal / noise)) if signal > 0.0 else float("-inf")
