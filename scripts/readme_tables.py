"""Writes the tables of boards and operators into README.md: `python scripts/readme_tables.py`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def table(name: str) -> str:
    program = "from tinyptq.cli import main; main()"
    command = [sys.executable, "-c", program, name, "--markdown"]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=README.parent).stdout


def main() -> None:
    text = README.read_text()
    for name in ("boards", "ops"):
        head, rest = text.split(f"<!-- {name} -->\n")
        tail = rest.split(f"<!-- /{name} -->")[1]
        text = f"{head}<!-- {name} -->\n{table(name)}<!-- /{name} -->{tail}"
    README.write_text(text)


if __name__ == "__main__":
    main()
