"""The one exception a user can cause, and the exit codes that go with it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_DONE = 0
EXIT_REFUSED = 1
EXIT_USAGE = 2
EXIT_MISMATCH = 3


class TinyptqError(Exception):
    """Something the user gave cannot be used.

    reference: kebab-case name of the complaint, stable across releases ("unknown-board").
    message:   what happened, with the offending value.
    where:     file, operator, tensor or key; None when the message says it.
    hint:      what would be accepted, or the next command.
    exit_code: 1 model or board refused, 2 usage, 3 verification mismatch.
    """

    def __init__(
        self,
        reference: str,
        message: str,
        *,
        where: str | None = None,
        hint: str | None = None,
        exit_code: int = EXIT_REFUSED,
    ) -> None:
        self.reference = reference
        self.message = message
        self.where = where
        self.hint = hint
        self.exit_code = exit_code
        super().__init__(self.__str__())

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        hint = f" ({self.hint})" if self.hint else ""
        return printable(f"{place}{self.message}{hint} [{self.reference}]")


def printable(text: str) -> str:
    """One line without control characters: names in models and files are hostile."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def close_match(word: str, choices: Iterable[str]) -> str:
    """"did you mean 'x'?" for the nearest of choices, else the list of them."""
    known = sorted(choices)
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean '{near[0]}'?" if near else "known: " + ", ".join(known)
