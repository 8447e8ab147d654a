"""What the commands show, as rows and text: tables of a build, a verification, a profile, boards, operators."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size

from tinyptq.board import Board, limits
from tinyptq.errors import printable
from tinyptq.frontend.variable_facts import ASSIGN, HANDLE, ONCE, READ
from tinyptq.inspection import Inspection
from tinyptq.ops.base import Op
from tinyptq.prove import Verification

Cell = str | int | float | None
Row = Sequence[Cell]
WIDEST = 72  # cells; names in models can be a page long
ABSENT = "–"


def text_table(headers: Sequence[str], rows: Sequence[Row]) -> str:
    """Columns two spaces apart below a rule; columns of numbers are flush right."""
    texts = [list(headers), *([cell_text(cell) for cell in row] for row in rows)]
    widths = [max(cell_len(row[i]) for row in texts) for i in range(len(headers))]
    numeric = [bool(rows) and not any(isinstance(row[i], str) for row in rows) for i in range(len(headers))]
    lines = ["  ".join(pad(t, w, n) for t, w, n in zip(row, widths, numeric, strict=True)).rstrip() for row in texts]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def pad(text: str, width: int, right: bool) -> str:
    return " " * (width - cell_len(text)) + text if right else text + " " * (width - cell_len(text))


def cell_text(cell: Cell) -> str:
    """1,234 for integers, three significant places or more for ratios, one line of bounded width for names."""
    if cell is None:
        return ABSENT
    if isinstance(cell, str):
        text = printable(cell)
        return text if cell_len(text) <= WIDEST else set_cell_size(text, WIDEST - 1).rstrip() + "…"
    return f"{cell:,}" if isinstance(cell, int) else f"{cell:.{1 if abs(cell) >= 10 else 3}f}"


def markdown_table(headers: Sequence[str], rows: Iterable[Row]) -> str:
    """The same rows for README.md."""
    lines = [list(headers), ["---"] * len(headers), *([str(cell or ABSENT) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def shape_text(shape: Sequence[int]) -> str:
    """"1x49x10x8"."""
    return "x".join(map(str, shape)) or "scalar"


def build_text(report: dict[str, Any]) -> str:
    """The closing table of `tinyptq build`."""
    title = f"{report['model']} for {report['board']}"
    headers = ("layer", "operator", "kernel", "output", "MACs", "SQNR dB")
    rows = [layer_row(layer) for layer in report["layers"]]
    figures = text_table(("", "bytes", "of", ""), size_rows(report))
    return "\n\n".join([printable(title), text_table(headers, rows), figures, *closing_lines(report)])


def layer_row(layer: dict[str, Any]) -> Row:
    output = shape_text(layer["shapes"]["outputs"][0])
    return (layer["name"], layer["op"], layer["kernel"], output, layer["macs"], layer["sqnr_db"])


def size_rows(report: dict[str, Any]) -> list[Row]:
    """(what, bytes, limit, remark) of everything that takes memory."""
    room = report["limits"]
    state = [("state", report["state_bytes"], None, "in RAM: what is kept between runs")]
    return [
        ("arena", report["arena_bytes"], None, "in RAM"),
        *(state if report["state_bytes"] else []),
        ("weights", report["weights_bytes"], None, "in flash"),
        ("code", report["code_bytes"], None, "in flash: the model's functions"),
        ("flash", report["flash_bytes"], room["flash_bytes"], "whole image"),
        ("RAM", report["ram_bytes"], room["ram_bytes"], "arena, state, data, reserved stack"),
        ("stack", report["stack_bytes"], room["stack_bytes"], "deepest, measured"),
    ]


def closing_lines(report: dict[str, Any]) -> list[str]:
    litert = report["litert"]
    lines = []
    if litert is not None:
        lines.append(f"float import: {litert['relative_deviation']:.1e} away from LiteRT ({litert['samples']} samples)")
    lines += [f"WARNING: {printable(warning)}" for warning in report["warnings"]]
    lines.append(verdict(report["verification"]))
    return lines


def verdict(facts: dict[str, Any]) -> str:
    """One sentence about one comparison; an emulator is never called a device."""
    where = runner_text(facts["runner"])
    if facts["bytes"] and not facts["differing_bytes"]:
        return (
            f"verified: {where} equals the simulator in all {facts['bytes']:,} bytes "
            f"({facts['layers']} layers, {facts['inputs']} inputs)"
        )
    return f"MISMATCH: {where} differs from the simulator in {facts['differing_bytes']:,} of {facts['bytes']:,} bytes"


def runner_text(runner: str) -> str:
    if runner.startswith("qemu"):
        return f"firmware simulated in QEMU ({runner})"
    return {
        "host": "the generated C, run as a process of this machine,",
        "golden.npz": "golden.npz, stored when the model was built,",
        "tflite-micro": "the tflite-micro interpreter on the exported .tflite",
        "nothing": "nothing (the board file names no command that runs an image); it",
    }.get(runner, runner)


def verify_text(results: Sequence[Verification]) -> str:
    return "\n".join(verdict(result.as_json()) for result in results)


def profile_text(profile: dict[str, Any]) -> str:
    """Instructions are counted in QEMU: not cycles, and not silicon."""
    headers = ("layer", "operator", "instructions", "MACs", "instr/MAC")
    keys = ("name", "op", "instructions", "macs", "instructions_per_mac")
    rows: list[Row] = [[layer[key] for key in keys] for layer in profile["layers"]]
    rows.append(("one inference", "", *(profile[key] for key in keys[2:])))
    note = "retired instructions, counted in QEMU; not cycles, and not silicon"
    return f"{profile['model']} on {profile['board']}\n\n{text_table(headers, rows)}\n\n{note}"


def inspection_text(found: Inspection) -> str:
    ports = [(kind, name, shape_text(shape)) for kind, name, shape in found.ports]
    layers = [(layer.name, layer.op, shape_text(layer.shape), layer.parameters) for layer in found.layers]
    parts = [
        f"{printable(found.name)}: {found.kind}, {found.parameters:,} parameters, {len(found.layers)} layers",
        text_table(("", "tensor", "shape"), ports),
        text_table(("layer", "operator", "output", "parameters"), layers),
        *(f"warning: {printable(warning)}" for warning in found.warnings),
        *(f"unsupported: {printable(obstacle)}" for obstacle in found.obstacles),
    ]
    return "\n\n".join([*parts, "" if found.obstacles else "every operator is supported"]).rstrip()


BOARD_HEADERS = ("board", "what", "kernels", "flash", "RAM", "runs in")
STATEFUL = (HANDLE, READ, ASSIGN, ONCE)
OP_HEADERS = ("operator", "what", "reads (TFLite)", "activations", "conditions")


def board_row(board: Board) -> Row:
    room = limits(board)
    sizes = [kib(room[key]) for key in ("flash_bytes", "ram_bytes")]
    return (board.name, board.title, ", ".join(board.isa), *sizes, board_runner(board))


def board_runner(board: Board) -> str | None:
    if board.is_host:
        return "a process"
    return board.run[0] if board.run else None


def kib(size: int | None) -> str | None:
    if size is None:
        return None
    return f"{size >> 10} KiB" if size % 1024 == 0 else f"{size} B"


def board_json(board: Board) -> dict[str, Any]:
    facts = {"name": board.name, "title": board.title, "isa": list(board.isa), **limits(board)}
    return {**facts, "runs_in": board_runner(board)}


def op_row(op: Op) -> Row:
    integers = ", ".join((*op.dtypes, *(dtype for dtype in op.index_dtypes if dtype not in op.dtypes)))
    return (op.name, op.summary, ", ".join(op.builtins), integers, "; ".join(conditions(op)) or None)


def ops_text(ops: Sequence[Op]) -> str:
    """A table, then the conditions: they are sentences and do not fit into columns; last what is no operator here."""
    table = text_table(OP_HEADERS[:4], [op_row(op)[:4] for op in ops])
    lines = [f"  {op.name}: {condition}" for op in ops for condition in conditions(op)]
    return "\n".join([table, "", "conditions", *lines, "", f"{', '.join(STATEFUL)} become the model's state"])


def conditions(op: Op) -> list[str]:
    """The docstrings of its constraints, one line each."""
    return [" ".join((constraint.__doc__ or "").split()).rstrip(".") for constraint in op.constraints]
