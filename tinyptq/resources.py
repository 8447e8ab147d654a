"""Where templates/, firmware/ and boards/ lie: in a checkout beside the package, in a wheel inside it (`_share`).

The only file that knows.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _share() -> Path:
    packaged = _PACKAGE / "_share"
    return packaged if packaged.is_dir() else _PACKAGE.parent


def templates() -> Path:
    """Folder of the Jinja templates of generated code."""
    return _share() / "templates"


def firmware() -> Path:
    """Folder of the firmware sources: startup, linker, hal, counter, app."""
    return _share() / "firmware"


def boards() -> Path:
    """Folder of the boards, one TOML file each."""
    return _share() / "boards"


def examples() -> Path:
    """Folder of the examples `tinyptq demo` builds."""
    return _share() / "examples"
