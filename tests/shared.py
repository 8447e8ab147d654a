"""Where other people's models and data lie: beside the repository, never inside it."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def shared_path(*parts: str) -> Path:
    """A file of the shared folder; the calling test is skipped, with the reason, where it is absent."""
    path = ROOT.parent.joinpath("shared", *parts)
    if not path.exists():
        pytest.skip(f"shared material absent: {'/'.join(parts)} (expected in a folder 'shared' beside the repository)")
    return path
