"""The facts of a build as one JSON document: what report.json holds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tinyptq.board import limits
from tinyptq.emit.c import weights_bytes
from tinyptq.emit.state import state_bytes
from tinyptq.fit import Fitted, Goal
from tinyptq.kernels import candidates
from tinyptq.kernels.base import Kernel
from tinyptq.kernels.selection import option
from tinyptq.ops import BY_NAME
from tinyptq.program import Layer, Program, Value
from tinyptq.prove import Verification
from tinyptq.version import VERSION

Report = dict[str, Any]


def make_report(
    program: Program,
    made: Fitted,
    goal: Goal,
    verification: Verification,
    litert: Mapping[str, Any] | None,
    sqnr: Mapping[str, float],
    source: str,
) -> Report:
    """Keys are stable; bytes and counts are integers, ratios in dB, null where nothing could be measured.

    source: file name of the model. litert: deviation of the float executor from LiteRT, None when not installed.
    """
    plan, sizes, isa = made.plan, made.images.sizes, made.board.isa
    return {
        "tinyptq": VERSION,
        "model": program.name,
        "source": source,
        "digest": program.digest,
        "board": made.board.name,
        "goal": asdict(goal),
        "arena_bytes": plan.arena_size,
        "state_bytes": state_bytes(program),
        "weights_bytes": weights_bytes(program, plan),
        "code_bytes": sizes.code_bytes,
        "flash_bytes": sizes.flash_bytes,
        "ram_bytes": sizes.ram_bytes + (state_bytes(program) if made.board.is_host else 0),  # there it is the caller's
        "stack_bytes": verification.stack_bytes,
        "limits": limits(made.board),
        "macs": sum(BY_NAME[layer.op].work(layer.params).macs for layer in program.layers),
        "inputs": [port(program.values[name]) for name in program.inputs],
        "outputs": [port(program.values[name]) for name in program.outputs],
        "layers": [
            layer_facts(program, layer, kernel, sqnr) | {"candidates": candidate_facts(layer, isa)}
            for layer, kernel in zip(program.layers, plan.kernels, strict=True)
        ],
        "litert": dict(litert) if litert is not None else None,
        "verification": verification.as_json(),
        "warnings": list(program.warnings),
    }


def layer_facts(program: Program, layer: Layer, kernel: Kernel, sqnr: Mapping[str, float]) -> Report:
    inputs = [program.values[name] for name in layer.inputs]
    outputs = [program.values[name] for name in layer.outputs]
    return {
        "name": layer.name,
        "op": layer.op,
        "kernel": kernel.name,
        "shapes": {"inputs": [list(v.shape) for v in inputs], "outputs": [list(v.shape) for v in outputs]},
        "macs": BY_NAME[layer.op].work(layer.params).macs,
        "scales": {"inputs": [scale(v) for v in inputs], "outputs": [scale(v) for v in outputs]},
        "sqnr_db": finite(sqnr.get(layer.outputs[0])),
    }


def candidate_facts(layer: Layer, isa: Sequence[str]) -> list[Report]:
    """What the choice of a layer's kernel was made from: every kernel that could run it, by predicted instructions."""
    found = [option(kernel, [layer]) for kernel in candidates(layer, isa)]
    return [
        {
            "kernel": one.kernel.name,
            "predicted_instructions": one.instructions,
            "predicted_flash_bytes": one.flash_bytes,
            "scratch_bytes": one.scratch_bytes,
        }
        for one in sorted(found, key=lambda one: one.instructions)
    ]


def port(value: Value) -> Report:
    return {"name": value.name, "shape": list(value.shape), "dtype": str(value.dtype), **scale(value)}


def scale(value: Value) -> Report:
    assert value.qparams is not None
    return {"scale": float(value.qparams.scale[0]), "zero_point": int(value.qparams.zero_point[0])}


def finite(value: float | None) -> float | None:
    """JSON has no infinity: null where integers equal floats exactly or nothing was measured."""
    return round(value, 2) if value is not None and math.isfinite(value) else None


def write_report(report: Report, path: Path) -> None:
    """report.json; its key "files" lists the folder, so that a later build knows what it may replace."""
    folder = path.parent
    files = {path.name, *(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir())}
    text = json.dumps({**report, "files": sorted(files)}, indent=1, ensure_ascii=True)
    path.write_text(text + "\n", newline="\n")


def read_report(directory: Path) -> Report:
    report: Report = json.loads((directory / "report.json").read_text())
    return report
