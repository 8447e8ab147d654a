"""Measures every shared model on every board of the test matrix: `python scripts/measure.py > docs/measurements.md`.

Needs the folder `shared` beside the repository, LiteRT and tflite-micro. Progress goes to stderr.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.data import dataset
from tests.models import BOARDS, FLOAT_MODELS, calibration_file, model_path
from tinyptq import pipeline, samples, store, tflm, verbs
from tinyptq.emit.tflite import write_tflite_model
from tinyptq.errors import TinyptqError
from tinyptq.float_run import run_float
from tinyptq.frontend import load_model
from tinyptq.passes import normalize
from tinyptq.ptq.ranges import dequantize_array
from tinyptq.simulate import simulate_outputs

SCORED = ("kws", "ic", "digits-keras", "mnist-keras", "har-keras", "vww", "ad", "sww-h5")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        print("# Measurements\n\nSimulated in QEMU: instructions are retired instructions, not cycles.\n")
        print_builds(Path(folder))
        print_accuracy(Path(folder))
        print_speed(Path(folder))


def print_builds(folder: Path) -> None:
    """Bytes that differ between firmware and simulator, sizes, instructions; TFLM once per model."""
    head = ("model", "board", "build s", "layers", "bytes compared", "differing", "TFLM differing")
    print_row(*head, "arena B", "weights B", "code B", "flash B", "RAM B", "stack B", "instructions", "per MAC")
    print_row(*["---"] * 15)
    for model in FLOAT_MODELS:
        for board in BOARDS:
            print(f"{model} on {board}", file=sys.stderr)
            output = folder / f"{model}-{board}"
            start = time.perf_counter()
            calibration = calibration_file(model, folder)
            report = pipeline.build(model_path(model), board=board, calibration=calibration, output=output).report
            seconds = time.perf_counter() - start
            checked, counts = report["verification"], profiled(output)
            tflm_result = verbs.verify(output, against="tflm")[-1] if board == "host" else None
            against = tflm_result.comparison.differing_bytes if tflm_result else None
            sizes = (report[k] for k in ("arena_bytes", "weights_bytes", "code_bytes", "flash_bytes", "ram_bytes"))
            print_row(
                *(model, board, f"{seconds:.1f}", checked["layers"], checked["bytes"], checked["differing_bytes"]),
                *(against, *sizes, report["stack_bytes"]),
                *(counts.get("instructions"), counts.get("instructions_per_mac")),
            )


def profiled(directory: Path) -> dict[str, Any]:
    try:
        return verbs.profile(directory)
    except TinyptqError:
        return {}


def print_accuracy(folder: Path) -> None:
    """Float and int8 on the evaluation splits, default options."""
    print("\n## Accuracy\n")
    print_row("model", "inputs", "float", "int8", "agreement", "mean absolute error")
    print_row(*["---"] * 6)
    for model in SCORED:
        _, evaluation, labels = dataset(FLOAT_MODELS[model][1])
        program = store.load_program(folder / f"{model}-host" / "program.npz")
        graph = normalize(load_model(model_path(model)))
        name, output = graph.inputs[0], graph.outputs[0]
        reals = evaluation.reshape(len(evaluation), *graph.tensors[name].shape[1:])
        parts = np.array_split(reals, -(-len(reals) // 32))
        floats = np.concatenate([run_float(graph, {name: p}, keep=lambda t, o=output: t == o)[output] for p in parts])
        integers = simulate_outputs(program, samples.quantize_inputs(program, {program.inputs[0]: reals}))
        qparams = program.values[program.outputs[0]].qparams
        assert qparams is not None
        found = dequantize_array(integers[program.outputs[0]], qparams)
        scores = [f"{(a.argmax(-1) == labels).mean():.4f}" if labels is not None else "" for a in (floats, found)]
        agreement = (floats.argmax(-1) == found.argmax(-1)).mean()
        print_row(model, len(reals), *scores, f"{agreement:.4f}", f"{np.abs(floats - found).mean():.5f}")


def print_speed(folder: Path) -> None:
    """200 KWS inputs through the simulator and through TFLM's interpreter, in turn, outputs only."""
    program = store.load_program(folder / "kws-host" / "program.npz")
    inputs = samples.random_inputs(program, 200)
    model, name = write_tflite_model(program), program.inputs[0]
    simulator, interpreter = [], []
    for _ in range(5):
        simulator.append(seconds(lambda: simulate_outputs(program, inputs)))
        interpreter.append(seconds(lambda: tflm.run_tensors(model, [inputs[name]], [])))
    print("\n## Simulator beside TFLM's interpreter: 200 KWS inputs, one run, medians of 5\n")
    ours, theirs = float(np.median(simulator)), float(np.median(interpreter))
    print(f"simulator {ours:.2f} s, tflite-micro {theirs:.2f} s, ratio {theirs / ours:.2f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"\nPeak memory of this whole process: {peak} MB.")


def seconds(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def print_row(*cells: Any) -> None:
    print("| " + " | ".join("" if c is None else f"{c:,}" if isinstance(c, int) else str(c) for c in cells) + " |")


if __name__ == "__main__":
    main()
