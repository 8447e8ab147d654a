"""The one Jinja environment and its filters: every literal and comment in generated C goes through here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import jinja2
import numpy as np

from tinyptq import resources
from tinyptq.errors import printable
from tinyptq.graph import Array, Shape

LINE_WIDTH = 100
CTYPES = {name: f"{name}_t" for name in ("int8", "int16", "int32", "int64", "uint8", "uint16")}


@cache
def environment() -> jinja2.Environment:
    """Strict: an undefined name in a template is an error, never an empty string."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(resources.templates())),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    env.filters.update(c_int=c_int, c_array=c_array, c_comment=c_comment)
    return env


def render(template: str, **context: Any) -> str:
    """The tidied text of a template below templates/."""
    return tidy(environment().get_template(template).render(**context))


def c_int(value: int) -> str:
    """A literal of C type int; INT32_MIN has no literal of its own, so it is written as a difference."""
    number = int(value)
    assert -(2**31) <= number < 2**31, f"{number} is no 32-bit literal"
    if number == -(2**31):
        return "(-2147483647 - 1)"
    return f"({number})" if number < 0 else str(number)


def shortest(value: float) -> str:
    """The shortest decimal that reads back as the same float32."""
    return str(np.float32(value))


def c_float(value: float) -> str:
    text = shortest(value)
    return f"{text}f" if any(c in text for c in ".en") else f"{text}.0f"


def dimensions(shape: Shape) -> str:
    return "x".join(str(d) for d in shape)


def c_array(values: Array) -> str:
    """The flattened integers as indented, wrapped initializer lines, without the braces.

    Decimal literals beyond 32 bits are long long by themselves; only that of INT64_MIN would not exist.
    """
    assert values.dtype != np.int64 or not (values == np.iinfo(np.int64).min).any()
    words = [c_int(v) if v == -(2**31) else str(v) for v in values.reshape(-1).tolist()]
    lines, line = [], "   "
    for word in words:
        if len(line) + len(word) + 2 > LINE_WIDTH:
            lines.append(line)
            line = "   "
        line += f" {word},"
    return "\n".join([*lines, line])


def c_list(opening: str, items: Sequence[str], closing: str, indent: int = 4) -> str:
    """opening + items + closing on one line, or wrapped with continuation lines at `indent` + 4 columns."""
    joined = opening + ", ".join(items) + closing
    if indent + len(joined) <= LINE_WIDTH:
        return joined
    lines, line = [], opening
    for position, item in enumerate(items):
        word = item + (closing if position == len(items) - 1 else ",")
        if indent + len(line) + 1 + len(word) > LINE_WIDTH:
            lines.append(line.rstrip())
            line = " " * (indent + 4) + word
        else:
            line += word if line == opening else f" {word}"
    return "\n".join([*lines, line])


def tidy(text: str) -> str:
    """Rendered C without runs of blank lines and without blanks at line ends."""
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"\{\n\n+", "{\n", lines)).strip() + "\n"


def c_comment(text: str) -> str:
    """Any text as one harmless line inside a C comment: ASCII, no comment marks, no trigraphs, no splice."""
    line = printable(text).encode("ascii", "backslashreplace").decode("ascii")
    line = line.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?")
    return line if len(line) <= LINE_WIDTH else line[: LINE_WIDTH - 3] + "..."
