"""The facts of a build as one JSON document: what report.json holds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinyptq.board import Board, limits
from tinyptq.emit.c import weights_bytes
from tinyptq.ops import BY_NAME
from tinyptq.plan.types import Plan
from tinyptq.program import Layer, Program, Value
from tinyptq.prove import Verification
from tinyptq.toolchain import Images
from tinyptq.version import VERSION

Report = dict[str, Any]


def make_report(
    program: Program,
    plan: Plan,
    board: Board,
    images: Images,
    verification: Verification,
    litert: Mapping[str, Any] | None,
    sqnr: Mapping[str, float],
    source: str,
) -> Report:
    """Keys are stable; bytes and counts are integers, ratios in dB, null where nothing could be measured.

    source: file name of the model. litert: deviation of the float executor from LiteRT, None when not installed.
    """
    return {
        "tinyptq": VERSION,
        "model": program.name,
        "source": source,
        "digest": program.digest,
        "board": board.name,
        "arena_bytes": plan.arena_size,
        "weights_bytes": weights_bytes(program, plan),
        "code_bytes": images.sizes.code_bytes,
        "flash_bytes": images.sizes.flash_bytes,
        "ram_bytes": images.sizes.ram_bytes,
        "stack_bytes": verification.stack_bytes,
        "limits": limits(board),
        "macs": sum(BY_NAME[layer.op].work(layer.params).macs for layer in program.layers),
        "inputs": [port(program.values[name]) for name in program.inputs],
        "outputs": [port(program.values[name]) for name in program.outputs],
        "layers": [
            layer_facts(program, layer, plan.kernels[i].isa, sqnr) for i, layer in enumerate(program.layers)
        ],
        "litert": dict(litert) if litert is not None else None,
        "verification": verification.as_json(),
        "warnings": list(program.warnings),
    }


def layer_facts(program: Program, layer: Layer, kernel: str, sqnr: Mapping[str, float]) -> Report:
    inputs = [program.values[name] for name in layer.inputs]
    outputs = [program.values[name] for name in layer.outputs]
    return {
        "name": layer.name,
        "op": layer.op,
        "kernel": kernel,
        "shapes": {"inputs": [list(v.shape) for v in inputs], "outputs": [list(v.shape) for v in outputs]},
        "macs": BY_NAME[layer.op].work(layer.params).macs,
        "scales": {"inputs": [scale(v) for v in inputs], "outputs": [scale(v) for v in outputs]},
        "sqnr_db": finite(sqnr.get(layer.outputs[0])),
    }


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
