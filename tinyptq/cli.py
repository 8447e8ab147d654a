"""The command line, and the only file that prints: results on stdout, progress and complaints on stderr."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from tinyptq import demo, doctor, pipeline, report, verbs
from tinyptq.board import board_names, load_board, parse_size
from tinyptq.errors import EXIT_DONE, EXIT_MISMATCH, EXIT_REFUSED, EXIT_USAGE, TinyptqError, printable
from tinyptq.fit import Goal
from tinyptq.inspection import inspect
from tinyptq.kernels.selection import OPTIMIZE, SPEED
from tinyptq.ops import OPS
from tinyptq.pipeline import Progress
from tinyptq.ptq.observers import DEFAULT_OBSERVER, OBSERVERS
from tinyptq.summary import read_report
from tinyptq.version import VERSION

EXIT_INTERRUPTED = 130  # the shell's number for Ctrl-C
DEBUG = "tinyptq.debug"  # key of the root context's meta
Command = TypeVar("Command", bound=Callable[..., Any])


def main() -> None:
    """Entry point of the `tinyptq` command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a sign is no reason to stop
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C: nothing half built is left behind
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """One command; its exit code. Whatever goes wrong is one line on stderr."""
    meta: dict[str, Any] = {}
    try:
        with cli.make_context("tinyptq", list(arguments)) as context:
            meta = context.meta
            cli.invoke(context)
            sys.stdout.flush()
    except click.exceptions.Exit as done:
        return done.exit_code
    except (click.Abort, KeyboardInterrupt):
        return complain("interrupted", EXIT_INTERRUPTED)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "tinyptq"
        return complain(f"{error.format_message()} (see {command} --help) [usage]", EXIT_USAGE)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has gone: `tinyptq ops | head -1`
        return EXIT_DONE
    except Exception as error:
        if meta.get(DEBUG):
            traceback.print_exc()
        return complain(*explain(error))
    return EXIT_DONE


def explain(error: Exception) -> tuple[str, int]:
    """(one line, exit code) for an error of the user's, the system's, or ours."""
    if isinstance(error, TinyptqError):
        return str(error), error.exit_code
    if isinstance(error, OSError):
        return f"{error.filename or 'system'}: {error.strerror or error} [system-error]", EXIT_REFUSED
    if isinstance(error, MemoryError):
        return "out of memory [system-error]", EXIT_REFUSED
    return f"internal error, please report it: {type(error).__name__}: {error} (--debug shows where)", EXIT_REFUSED


def complain(message: str, code: int) -> int:
    click.echo(f"tinyptq: {printable(message)}", err=True)
    return code


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Bars on stderr, one per stage, gone when done; nothing where stderr is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield show


def warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        line = printable(f"WARNING: {warning}")
        click.secho(line, err=True, fg="yellow", bold=True)


def remember_debug(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        context.find_root().meta[DEBUG] = True


def with_debug(command: Command) -> Command:
    """Every command takes --debug, before or after its name."""
    option = click.option(
        "--debug", is_flag=True, expose_value=False, callback=remember_debug, is_eager=True, help="Show tracebacks."
    )
    return option(command)


PATH = click.Path(path_type=Path)


def size_option(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    """Bytes of an option such as --flash 64KiB."""
    size = None if text is None else parse_size(text)
    if text is not None and size is None:
        raise click.BadParameter(f"{text!r} is no size; give 65536B, 64KiB or 1MiB")
    return size


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="tinyptq", message="%(prog)s %(version)s")
@with_debug
@click.pass_context
def cli(context: click.Context) -> None:
    """Float Keras and TFLite models to verified int8 firmware for microcontrollers.

    Exit codes: 0 done, 1 model or board refused, 2 usage, 3 verification mismatch.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(EXIT_USAGE)


@cli.command()
@click.argument("model", type=PATH)
@click.option("--board", required=True, help="A name from `tinyptq boards`, or the path of a board's TOML file.")
@click.option(
    "--calib", "calibration", metavar="FILE", help=".npy, .npz or a folder of them; 'random' only to try the tool."
)
@click.option("-o", "--output", type=PATH, metavar="DIR", help="Default: build/MODEL-BOARD.")
@click.option("--observer", default=DEFAULT_OBSERVER, show_default=True, help=f"One of {', '.join(OBSERVERS)}.")
@click.option("--optimize", default=SPEED, show_default=True, help=f"One of {', '.join(OPTIMIZE)}.")
@click.option("--flash", callback=size_option, metavar="SIZE", help="The whole image may take this much: 64KiB.")
@click.option("--plain-c", is_flag=True, help="No kernels with assembly, whatever the board has.")
@click.option("--ram", callback=size_option, metavar="SIZE", help="Arena, data and stack may take this much.")
@with_debug
def build(
    model: Path,
    board: str,
    calibration: str | None,
    output: Path | None,
    observer: str,
    optimize: str,
    flash: int | None,
    ram: int | None,
    plain_c: bool,
) -> None:
    """Quantize MODEL, render C, link firmware, run it, prove every layer byte-equal to the simulator."""
    goal = Goal(optimize, flash, ram, plain_c)
    built(model, board=board, calibration=calibration, output=output, observer=observer, goal=goal)


def built(model: Path, **options: Any) -> Path:
    """Build with bars, print the table, return the folder."""
    with progress_bars() as progress:
        done = pipeline.build(model, **options, progress=progress)
    click.echo(report.build_text(done.report))
    click.echo(f"written: {printable(str(done.directory))}")
    warn(done.report["warnings"])
    return done.directory


@cli.command()
@click.argument("directory", metavar="DIR", type=PATH)
@click.option("--inputs", type=PATH, metavar="FILE", help="float32 or int8 samples instead of the stored ones.")
@click.option("--count", type=click.IntRange(min=1), help="This many samples; random ones are added when needed.")
@click.option("--against", metavar="tflm", help="Also compare with tflite-micro's interpreter.")
@with_debug
def verify(directory: Path, inputs: Path | None, count: int | None, against: str | None) -> None:
    """Compare every layer of the simulator with golden.npz, with the firmware, and on demand with TFLM."""
    with progress_bars() as progress:
        results = verbs.verify(directory, inputs=inputs, count=count, against=against, progress=progress)
    click.echo(report.verify_text(results))
    warn(read_report(directory).get("warnings", ()))
    differing = [result for result in results if not result.comparison.equal]
    if differing:
        found = differing[0].comparison.mismatches
        first = str(found[0]) if found else "nothing was compared"
        raise TinyptqError("mismatch", f"first difference: {first}", where=str(directory), exit_code=EXIT_MISMATCH)


@cli.command()
@click.argument("directory", metavar="DIR", type=PATH)
@click.option("--inputs", type=PATH, required=True, metavar="FILE", help="float32 or int8 samples, .npy or .npz.")
@click.option("--output", type=PATH, required=True, metavar="FILE", help="Where the .npz of int8 results goes.")
@click.option("--all-layers", is_flag=True, help="Every intermediate tensor, not only the outputs.")
@with_debug
def simulate(directory: Path, inputs: Path, output: Path, all_layers: bool) -> None:
    """Run the bit-exact NumPy simulator on a file of samples."""
    arrays = verbs.simulate(directory, inputs, output, all_layers=all_layers)
    rows = [(key, report.shape_text(array.shape), str(array.dtype)) for key, array in arrays.items()]
    click.echo(report.text_table(("array", "shape", "type"), rows))
    warn(read_report(directory).get("warnings", ()))


@cli.command()
@click.argument("directory", metavar="DIR", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@with_debug
def profile(directory: Path, as_json: bool) -> None:
    """Count instructions per layer in QEMU (not cycles)."""
    counted = verbs.profile(directory)
    click.echo(json.dumps(counted, indent=1) if as_json else report.profile_text(counted))


@cli.command("inspect")
@click.argument("model", type=PATH)
@with_debug
def inspect_model(model: Path) -> None:
    """Show the layers of MODEL, and everything that keeps it from being built."""
    click.echo(report.inspection_text(inspect(model)))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@click.option("--markdown", is_flag=True, help="As a table for a README.")
@with_debug
def boards(as_json: bool, markdown: bool) -> None:
    """List the boards that come with tinyptq."""
    found = [load_board(name) for name in board_names()]
    if as_json:
        click.echo(json.dumps([report.board_json(board) for board in found], indent=1))
        return
    table = report.markdown_table if markdown else report.text_table
    click.echo(table(report.BOARD_HEADERS, [report.board_row(board) for board in found]))


@cli.command()
@click.option("--markdown", is_flag=True, help="As a table for a README.")
@with_debug
def ops(markdown: bool) -> None:
    """List the supported operators and their conditions."""
    rows = [report.op_row(op) for op in OPS]
    click.echo(report.markdown_table(report.OP_HEADERS, rows) if markdown else report.ops_text(OPS))


@cli.command("doctor")
@click.option("--missing", is_flag=True, help="Only the Debian packages that are missing, on one line.")
@with_debug
def examine(missing: bool) -> None:
    """Show what is installed, what is missing, and the line that installs it."""
    checks = doctor.examine()
    if missing:
        click.echo(" ".join(doctor.missing_packages(checks)))
        return
    rows = [(check.name, check.version or "missing", check.purpose) for check in checks]
    click.echo(report.text_table(("program", "version", "for"), rows))
    lines = doctor.advice(checks)
    click.echo("\nto install what is missing:" if lines else "\nnothing is missing")
    for line in lines:
        click.echo(f"  {line}")


@cli.command("demo")
@click.option("--board", default=demo.BOARD, show_default=True, help="A name from `tinyptq boards`.")
@click.option("-o", "--output", type=PATH, metavar="DIR", help="Default: build/digits_cnn-BOARD.")
@with_debug
def run_demo(board: str, output: Path | None) -> None:
    """Build the example model, run its firmware in QEMU, show that it is right and what it costs."""
    files = demo.example()
    click.echo(f"$ tinyptq build {files.model.name} --board {board} --calib {files.calibration.name}\n")
    directory = built(files.model, board=board, calibration=files.calibration, output=output)
    click.echo(f"\n{demo.accuracy(directory, files)}")
    if load_board(board).counter.kind != "none":
        click.echo(f"\n$ tinyptq profile {printable(str(directory))}\n")
        click.echo(report.profile_text(verbs.profile(directory)))
