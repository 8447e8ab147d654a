"""The compiler on one screen. Read this first.

bytes -frontend-> Graph -passes-> Graph -ptq-> Recipe -lower-> Program -plan-> Plan -emit-> files -toolchain-> ELF
                                              Program -simulate-> every tensor  =  every tensor <-run- ELF
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tinyptq import litert, samples, store, summary
from tinyptq.board import load_board
from tinyptq.emit.tflite import write_tflite_model
from tinyptq.errors import TinyptqError
from tinyptq.fit import Goal, build_images, require_room_for_state
from tinyptq.frontend import load_model
from tinyptq.graph import Graph, is_quantized
from tinyptq.lower import lower
from tinyptq.output import new_folder, require_replaceable
from tinyptq.passes import normalize
from tinyptq.prove import verify_firmware
from tinyptq.ptq.calibration import CalibrationSet, first_samples, open_calibration
from tinyptq.ptq.imported import imported_recipe
from tinyptq.ptq.learn import learn_attributes
from tinyptq.ptq.observers import DEFAULT_OBSERVER
from tinyptq.ptq.quantize import quantize
from tinyptq.ptq.separate_scales import separate_scales
from tinyptq.summary import Report
from tinyptq.verify import require_equal

Progress = Callable[[str, int, int], None]  # (stage, done, total)
LITERT_SAMPLES = 4
FASTEST = Goal()


def silent(stage: str, done: int, total: int) -> None:
    """The Progress of those who do not watch."""


@dataclass(frozen=True, eq=False)
class Built:
    """A finished build: its folder, and what was written to report.json there."""

    directory: Path
    report: Report


def build(
    model: Path | str,
    *,
    board: Path | str,
    calibration: Path | str | None = None,
    output: Path | str | None = None,
    observer: str = DEFAULT_OBSERVER,
    count: int = samples.DEFAULT_COUNT,
    goal: Goal = FASTEST,
    progress: Progress = silent,
) -> Built:
    """Model file in, verified firmware out; the folder appears whole or not at all.

    model: .tflite, .keras or .h5. board: a name or the path of a TOML file. calibration: .npy, .npz, a folder
    of them, or "random"; not needed for a .tflite that is already int8. output: default build/<model>-<board>.
    count: inputs on which every layer is compared. goal: speed or size, and budgets of flash and RAM.
    Raises TinyptqError (exit code 3 when a layer of the firmware differs from the simulator).
    """
    model, target = Path(model), load_board(str(board))
    progress("import", 0, 1)
    imported = load_model(model)
    graph = separate_scales(normalize(imported, model.name))
    directory = Path(output) if output else Path("build") / f"{model.stem}-{target.name}"
    require_replaceable(directory)
    real = open_calibration(calibration, graph)
    deviation = float_deviation(model, imported, real)
    graph = learn_attributes(graph, real)
    progress("import", 1, 1)

    recipe = imported_recipe(graph) if is_quantized(graph) else quantize(graph, real, observer, progress)
    program = lower(graph, recipe, hashlib.sha256(model.read_bytes()).hexdigest())
    require_room_for_state(program, target)
    inputs = samples.verification_inputs(program, real, count)
    sqnr = {} if is_quantized(graph) else samples.layer_sqnr(program, graph, real, progress)

    with new_folder(directory) as folder:
        progress("compile", 0, 1)
        (folder / f"{program.name}_int8.tflite").write_bytes(write_tflite_model(program))
        store.save_program(program, folder / "program.npz")
        made = build_images(program, target, goal, folder)
        progress("compile", 1, 1)
        checked = verify_firmware(program, made.firmware, inputs, progress)
        require_equal(checked.comparison, checked.runner)
        samples.save_golden(program, inputs, folder / "golden.npz")
        report = summary.make_report(program, made, goal, checked, deviation, sqnr, model.name)
        summary.write_report(report, folder / "report.json")
    return Built(directory, report)


def float_deviation(model: Path, imported: Graph, calibration: CalibrationSet) -> dict[str, float] | None:
    """How far our float executor is from LiteRT on the user's own file; None when it is no .tflite or LiteRT is absent.

    Raises TinyptqError when it is too far: the import is faulty, nothing may be quantized.
    """
    if model.suffix != ".tflite" or is_quantized(imported):
        return None
    found = litert.compare_with_litert(model.read_bytes(), imported, first_samples(calibration, LITERT_SAMPLES))
    if found is None:
        return None
    if not found.relative < litert.TOLERANCE:
        raise TinyptqError(
            "import-fault",
            f"our float result is {found.relative:.2g} away from LiteRT's (relative to its largest output)",
            where=str(model),
            hint="this is a fault of tinyptq: please report the model",
        )
    return {"relative_deviation": found.relative, "samples": found.samples}
