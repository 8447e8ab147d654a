"""Names that may go into C code and file names, made from names that may not."""

from __future__ import annotations

import re

MAX_LENGTH = 40


def c_identifier(text: str) -> str:
    """A lower-case C identifier of at most 40 characters: letters, digits, underscores, a letter first.

    "../My Model*/.v2" -> "my_model_v2". Not unique: callers number what must differ.
    """
    word = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:MAX_LENGTH].strip("_")
    return word if word and word[0].isalpha() else f"model_{word}".rstrip("_")
