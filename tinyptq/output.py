"""Output folders that appear whole or not at all, and never cost a user a file."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tinyptq.errors import TinyptqError

MARKER = "report.json"  # with the key "tinyptq": the folder is an earlier build of ours and may be replaced


@contextmanager
def new_folder(directory: Path) -> Iterator[Path]:
    """A temporary sibling that takes directory's place when the block ends well, and vanishes when it does not.

    Raises TinyptqError when directory exists and is neither empty nor an earlier build.
    """
    require_replaceable(directory)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    except OSError as error:
        raise TinyptqError("bad-output", f"cannot create: {error.strerror}", where=str(directory)) from error
    try:
        partial.chmod(0o755)
        yield partial
        require_replaceable(directory)
        if directory.exists():
            shutil.rmtree(directory)
        partial.rename(directory)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def require_replaceable(directory: Path) -> None:
    if not directory.exists():
        return
    if not directory.is_dir():
        raise TinyptqError("bad-output", "is a file", where=str(directory), hint="-o names a folder")
    if any(directory.iterdir()) and not is_earlier_build(directory):
        raise TinyptqError(
            "output-exists",
            "folder holds files that tinyptq did not write",
            where=str(directory),
            hint="choose another with -o, or empty it",
        )


def is_earlier_build(directory: Path) -> bool:
    try:
        return "tinyptq" in json.loads((directory / MARKER).read_text())
    except (OSError, ValueError, TypeError):
        return False


def write_files(directory: Path, files: Mapping[str, str]) -> None:
    """{relative path: text} below directory, LF line ends."""
    for path, text in files.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, newline="\n")
