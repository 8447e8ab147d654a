"""The user's float .tflite on LiteRT, beside our float executor: an import fault shows before anything is quantized."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Any

import numpy as np

from tinyptq.float_run import run_float
from tinyptq.frontend.dequantized_copy import dequantized_copy
from tinyptq.graph import Array, Graph
from tinyptq.passes import normalize

TOLERANCE = 1e-3  # relative; sums in another order differ by about 1e-6, a wrong padding by about 1
RUNTIMES = (("ai_edge_litert", "ai-edge-litert"), ("tflite_runtime", "tflite-runtime"))


@dataclass(frozen=True)
class LitertReport:
    """runtime: "ai-edge-litert 2.1". deviation: by output, per sample."""

    runtime: str
    samples: int
    deviation: Mapping[str, tuple[float, ...]]

    @property
    def relative(self) -> float:
        """The largest deviation; NaN when one is."""
        return float(np.max([value for values in self.deviation.values() for value in values]))


def compare_with_litert(model_bytes: bytes, graph: Graph, inputs: Mapping[str, Array]) -> LitertReport | None:
    """graph: what the frontend read from model_bytes; inputs: float32 [n, ...] by name.

    Hybrid weights are compared as the floats they stand for. None when neither ai-edge-litert nor tflite-runtime
    is installed, when the installed one refuses the model, or when the file's own inputs or outputs are integers.
    """
    runtime = find_runtime()
    if runtime is None:
        return None
    compiled = normalize(graph)
    try:
        theirs = run_litert(runtime[1], dequantized_copy(model_bytes, graph.name), [inputs[n] for n in graph.inputs])
    except (RuntimeError, ValueError):
        return None
    if theirs is None:
        return None
    ours = run_float(compiled, inputs, keep=set(graph.outputs).__contains__)
    deviation = {
        name: relative_deviation(ours[name], their)
        for name, their in zip(graph.outputs, theirs, strict=True)
    }
    return LitertReport(runtime[0], len(next(iter(ours.values()))), deviation)


def relative_deviation(ours: Array, theirs: Array) -> tuple[float, ...]:
    """Per sample, max |ours − theirs|, relative to the largest |theirs| of all samples (one sample's may be near 0)."""
    difference = np.abs(ours - theirs).reshape(len(theirs), -1).max(axis=1)
    largest = float(np.max(np.abs(theirs))) or 1.0
    return tuple(float(value) / largest for value in difference)


def find_runtime() -> tuple[str, Any] | None:
    """("ai-edge-litert 2.1", its interpreter module), None when there is none that loads."""
    for module, package in RUNTIMES:
        try:
            return f"{package} {metadata.version(package)}", import_module(f"{module}.interpreter")
        except (ImportError, metadata.PackageNotFoundError):
            continue
    return None


def run_litert(module: Any, model: bytes, inputs: list[Array]) -> list[Array] | None:
    """Outputs [n, ...] in the file's order, one sample at a time; None when the file's ends are not float32."""
    interpreter = module.Interpreter(
        model_content=model,
        num_threads=1,
        experimental_op_resolver_type=module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    ends = (interpreter.get_input_details(), interpreter.get_output_details())
    if any(end["dtype"] != np.float32 for side in ends for end in side):
        return None
    results: list[list[Array]] = [[] for _ in ends[1]]
    for sample in zip(*inputs, strict=True):
        for end, values in zip(ends[0], sample, strict=True):
            interpreter.set_tensor(end["index"], np.asarray(values, np.float32)[np.newaxis])
        interpreter.invoke()
        for end, found in zip(ends[1], results, strict=True):
            found.append(interpreter.get_tensor(end["index"])[0])
    return [np.stack(found) for found in results]
