"""Alter one rounding of the arithmetic, in NumPy or in C, and the conformance suite must turn red.

Final outputs of whole models are nearly blind to such errors; single operators on drawn integers are not.
"""

from __future__ import annotations

import importlib
import shutil
import types
from pathlib import Path

import pytest

from tests.conformance import each_drawn
from tests.conformance.authority import authority
from tests.conformance.together import on_host
from tests.conformance.trial import Trial
from tests.test_mutations import mutate
from tinyptq import resources
from tinyptq.emit import render

EXAMPLES = 120
ARGUMENTS = ("place", "old", "new", "op", "dtype")
MATH = "runtime/tq_math.h"

# (what is wrong then, module, text, its replacement, operator, type); the text occurs exactly once
PYTHON_MUTANTS = (
    ("nudge missing", "fixedpoint", "x += 1 << 30", "pass", "conv_2d", "int8"),
    ("ties up", "fixedpoint", "np.right_shift(x, 63, out=scratch)", "scratch[...] = 0", "fully_connected", "int8"),
    ("divide: no half", "fixedpoint", "(x + (half - ((x < 0) & (half > 0))))", "x", "softmax", "int8"),
    (
        "64 bits: ties down",
        "fixedpoint",
        "x += np.int64(1) << (right - 1)",
        "x += (1 << (right - 1)) - 1",
        "conv_2d",
        "int16",
    ),
    ("one bit of the multiplier", "fixedpoint", "fraction * 2.0**31", "fraction * 2.0**30", "mul", "int8"),
    ("average truncated", "ops.average_pool_2d", "+ count // 2) // count)", ") // count)", "average_pool_2d", "int8"),
    ("bilinear ties up", "ops.resize_bilinear", "(1 << 19) - (total < 0)", "(1 << 19)", "resize_bilinear", "int8"),
    ("softmax ties down", "ops.softmax_int16", "(1 << 13)) >> 14", "0) >> 14", "softmax", "int16"),
    ("sigmoid ties down", "ops.sigmoid_int16", "half = 1 << 9", "half = 0", "logistic", "int16"),
    ("64 bits: truncated", "fixedpoint", "x += np.int64(1) << (right - 1)", "pass", "gru", "int8"),
)
C_MUTANTS = (
    ("nudge missing", MATH, "(int64_t)a * b + ((int64_t)1 << 30)", "(int64_t)a * b", "quantize", "int16"),
    ("ties up", MATH, "(mask >> 1) + ((x < 0) ? 1 : 0)", "(mask >> 1)", "fully_connected", "int8"),
    ("single rounding", MATH, "tq_rounding_divide_by_power_of_two(high, right)", "high >> right", "conv_2d", "int8"),
    ("64 bits: truncated", MATH, "+ ((int64_t)1 << (right - 1))", "", "conv_2d", "int16"),
    ("average truncated", "kernels/average_pool_2d/portable.c.j2", "sum + count / 2", "sum", "average_pool_2d", "int8"),
    ("bilinear", "kernels/resize_bilinear/portable.c.j2", "- ((total < 0) ? 1 : 0)", "", "resize_bilinear", "int16"),
    ("chords", "kernels/softmax/portable.c.j2", " + 64) >> 7", ") >> 7", "softmax", "int16"),
    ("sigmoid", "macros/sigmoid_int16.j2", "value + 512", "value", "logistic", "int16"),
    ("tanh", "macros/sigmoid_int16.j2", "value + 128", "value", "tanh", "int16"),
    ("gates", "macros/recurrent16.j2", " + ((int64_t)1 << (shift - 1))", "", "gru", "int8"),
    ("chords", "macros/table.j2", " + 64) >> 7", ") >> 7", "square", "int16"),
)


def alter(module: types.ModuleType, old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every function of the module does what the altered source says, whoever has imported it."""
    assert module.__file__ is not None
    altered = types.ModuleType(module.__name__)
    text = mutate(Path(module.__file__).read_text(), old, new)
    exec(compile(text, module.__file__, "exec"), altered.__dict__)
    for name, function in vars(module).items():
        if isinstance(function, types.FunctionType) and function.__module__ == module.__name__:
            monkeypatch.setattr(function, "__code__", vars(altered)[name].__code__)


@pytest.mark.parametrize(ARGUMENTS, [m[1:] for m in PYTHON_MUTANTS], ids=[f"{m[0]} in {m[4]}" for m in PYTHON_MUTANTS])
def test_altered_numpy_is_caught(
    place: str, old: str, new: str, op: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tflite_micro")
    alter(importlib.import_module(f"tinyptq.{place}"), old, new, monkeypatch)
    found = []

    def judge(trial: Trial) -> None:
        found.append(authority(op, dtype).judge(trial))

    each_drawn(op, dtype, EXAMPLES, judge)
    assert any(found)


@pytest.mark.parametrize(ARGUMENTS, [m[1:] for m in C_MUTANTS], ids=[f"{m[0]} in {m[4]}" for m in C_MUTANTS])
def test_altered_c_is_caught(
    place: str, old: str, new: str, op: str, dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    templates = shutil.copytree(resources.templates(), tmp_path / "templates")
    (templates / place).write_text(mutate((templates / place).read_text(), old, new))
    monkeypatch.setattr(resources, "templates", lambda: templates)
    render.environment.cache_clear()
    try:
        (tmp_path / "build").mkdir()
        drawn: list[Trial] = []
        each_drawn(op, dtype, EXAMPLES, drawn.append)
        assert not on_host(drawn, tmp_path / "build", ["-O1"]).equal
    finally:
        render.environment.cache_clear()
