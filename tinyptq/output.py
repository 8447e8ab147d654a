"""Output folders that appear whole or not at all, and never cost a user a file."""

from __future__ import annotations

import errno
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tinyptq.errors import TinyptqError

MARKER = "report.json"  # with the key "tinyptq": the folder is an earlier build of ours and may be replaced


@contextmanager
def new_folder(directory: Path) -> Iterator[Path]:
    """A temporary sibling that takes directory's place when the block ends well, and vanishes when it does not.

    A symbolic link to a folder stays one: what it points to is replaced.
    Raises TinyptqError when directory exists and is neither empty nor an earlier build.
    """
    require_replaceable(directory)
    directory = directory.resolve()
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    except OSError as error:
        raise TinyptqError("bad-output", f"cannot create: {error.strerror}", where=str(directory)) from error
    try:
        partial.chmod(0o755)
        yield partial
        require_replaceable(directory)
        replace(directory, partial)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, OSError):
            place, cause = str(error.filename or directory), error.strerror or error
            raise TinyptqError("bad-output", f"cannot finish the build: {cause}", where=place) from error
        raise


def replace(directory: Path, partial: Path) -> None:
    """partial becomes directory; an earlier build steps aside first, so that no half of one is ever there.

    Of two builds that end at once the last one stays, whole; an earlier one comes back when the last step fails.
    """
    aside = partial.with_name(f"{partial.name}.old")
    try:
        while not took_place(directory, partial):
            require_replaceable(directory)
            shutil.rmtree(aside, ignore_errors=True)
            with suppress(FileNotFoundError):  # another build has just moved it
                directory.rename(aside)
    except BaseException:
        if aside.exists() and not directory.exists():
            aside.rename(directory)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def took_place(directory: Path, partial: Path) -> bool:
    """Rename partial to directory, unless files lie there."""
    try:
        partial.rename(directory)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def require_replaceable(directory: Path) -> None:
    if Path.cwd().is_relative_to(directory.resolve()):
        message = "is the current folder, or one around it: it cannot be replaced"
        raise TinyptqError("bad-output", message, where=str(directory), hint="-o names a folder of its own")
    if not directory.exists():
        return
    if not directory.is_dir():
        raise TinyptqError("bad-output", "is a file", where=str(directory), hint="-o names a folder")
    foreign = foreign_file(directory)
    if foreign is not None:
        raise TinyptqError(
            "output-exists",
            f"folder holds files that tinyptq did not write, such as '{foreign}'",
            where=str(directory),
            hint="choose another with -o, or empty it",
        )


def foreign_file(directory: Path) -> str | None:
    """A file that is not part of an earlier build (nor of a `make` in it), None when all may be replaced."""
    ours = set(earlier_build(directory).get("files", ()))
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        made = bool(ours) and name.startswith(("obj/", "bin/"))
        if name not in ours and not made and (path.is_symlink() or not path.is_dir()):
            return name
    return None


def is_earlier_build(directory: Path) -> bool:
    return bool(earlier_build(directory))


def earlier_build(directory: Path) -> dict[str, Any]:
    """The report of the build that lies in directory, {} when none does."""
    try:
        report = json.loads((directory / MARKER).read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return report if isinstance(report, dict) and "tinyptq" in report else {}


def write_files(directory: Path, files: Mapping[str, str]) -> None:
    """{relative path: text} below directory, LF line ends."""
    for path, text in files.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, newline="\n")
