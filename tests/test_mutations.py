"""Alter one constant of the arithmetic, in Python or in C, and the laws of test_fixedpoint.py must fail."""

from __future__ import annotations

import types
from pathlib import Path

import pytest

from tests import fixedpoint_laws as laws
from tests.fixedpoint_laws import HEADER
from tests.shared import ROOT

PYTHON = ROOT / "tinyptq" / "fixedpoint.py"

# (what is wrong then, text, its replacement); the text occurs exactly once
PYTHON_MUTANTS = (
    ("one bit of the multiplier lost", "fraction * 2.0**31", "fraction * 2.0**30"),
    ("multiplier of 2^31 kept", "if mantissa == 2**31:", "if mantissa == 2**32:"),
    ("small shifts cut one too early", "if shift < -31 else", "if shift < -30 else"),
    ("small shifts cut one too late", "if shift < -31 else", "if shift < -32 else"),
    ("ties of scalars towards zero", "if abs(x - truncated) < 0.5:", "if abs(x - truncated) <= 0.5:"),
    ("negative ties of scalars up", "(1 if x > 0 else -1)", "(1 if x > 0 else 0)"),
    ("ties of arrays towards zero", "np.abs(x - truncated) >= 0.5", "np.abs(x - truncated) > 0.5"),
    ("no wrap", "x.astype(np.int32).astype(np.int64)", "x.astype(np.int64)"),
    ("high mul: nudge one less", "a * b + (1 << 30)", "a * b + (1 << 30) - 1"),
    ("high mul: nudge one more", "a * b + (1 << 30)", "a * b + (1 << 30) + 1"),
    ("high mul: no nudge", "a * b + (1 << 30)", "a * b"),
    ("high mul: no saturation", "np.minimum(product, INT32_MAX)", "product"),
    ("divide: ties up", "(half - ((x < 0) & (half > 0)))", "half"),
    ("divide: ties down", "(half - ((x < 0) & (half > 0)))", "(half - (half > 0))"),
    ("divide: exponent 0 shifts negatives", "((x < 0) & (half > 0))", "(x < 0)"),
    ("divide: half too large", "np.asarray(exponent, np.int64)) >> 1", "np.asarray(exponent, np.int64)) >> 0"),
    ("rescale: nudge one less", "x += 1 << 30", "x += (1 << 30) - 1"),
    ("rescale: nudge one more", "x += 1 << 30", "x += (1 << 30) + 1"),
    ("rescale: no saturation", "np.minimum(x, INT32_MAX, out=x)", "pass"),
    ("rescale: ties up", "np.right_shift(x, 63, out=scratch)", "scratch[...] = 0"),
    ("rescale: ties down", "np.right_shift(x, 63, out=scratch)", "scratch[...] = -1"),
    ("rescale: shift 0 shifts negatives", "if (right == 0).any():", "if False:"),
    ("rescale: half too large", "x += (np.int64(1) << right) >> 1", "x += (np.int64(1) << right) >> 0"),
    ("reduced: multiplier rounds down", "(wide + (1 << 15)) >> 16", "wide >> 16"),
    ("reduced: multiplier of 2^15", "0x7FFF)", "0x8000)"),
    ("reduced: ties down", "x += np.int64(1) << (right - 1)", "x += (np.int64(1) << (right - 1)) - 1"),
    ("rescale: left shift forgotten", "if (shift > 0).any():", "if False:"),
)
C_MUTANTS = (
    ("nudge one less", "((int64_t)1 << 30)", "(((int64_t)1 << 30) - 1)"),
    ("nudge one more", "((int64_t)1 << 30)", "(((int64_t)1 << 30) + 1)"),
    ("no saturation", "return (rounded > INT32_MAX) ? INT32_MAX : (int32_t)rounded;", "return (int32_t)rounded;"),
    ("ties up", "(mask >> 1) + ((x < 0) ? 1 : 0)", "(mask >> 1)"),
    ("ties down", "(mask >> 1) + ((x < 0) ? 1 : 0)", "(mask >> 1) + 1"),
    ("ties towards zero", "((x < 0) ? 1 : 0)", "((x < 0) ? 0 : 1)"),
    ("threshold reached is passed", "> threshold)", ">= threshold)"),
    ("mask one bit short", "(uint32_t)1 << n) - 1u", "((uint32_t)1 << n) >> 1) - 1u"),
    ("left shift forgotten", "(shift > 0) ? shift : 0", "0"),
    ("64 bits: ties down", "((int64_t)1 << (right - 1))", "(((int64_t)1 << (right - 1)) - 1)"),
    ("single rounding", "tq_rounding_divide_by_power_of_two(high, right)", "high >> right"),
)
NARROW_MUTANTS = (
    ("nudge one less", "+ 0x4000u", "+ 0x3fffu"),
    ("nudge one more", "+ 0x4000u", "+ 0x4001u"),
    ("no saturation", "((a == INT32_MIN) && (b == INT32_MIN)) ? INT32_MAX : ", ""),
    ("a carry lost", "+ (int32_t)(low >> 16)", ""),
    ("the other carry lost", "+ (cross & 0xffff)", ""),
)


def mutate(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times: mend this mutant"
    return text.replace(old, new)


def load(text: str) -> types.ModuleType:
    module = types.ModuleType("altered_fixedpoint")
    exec(compile(text, "altered_fixedpoint.py", "exec"), module.__dict__)
    return module


def test_the_unaltered_module_obeys() -> None:
    laws.check_module(load(PYTHON.read_text()))


@pytest.mark.parametrize(("old", "new"), [m[1:] for m in PYTHON_MUTANTS], ids=[m[0] for m in PYTHON_MUTANTS])
def test_altered_python_is_caught(old: str, new: str) -> None:
    altered = load(mutate(PYTHON.read_text(), old, new))
    with pytest.raises(AssertionError):
        laws.check_module(altered)


def test_the_unaltered_header_obeys(tmp_path: Path) -> None:
    laws.check_arithmetic(laws.c_arithmetic(laws.compile_math(HEADER.read_text(), tmp_path)))


@pytest.mark.parametrize(("old", "new"), [m[1:] for m in C_MUTANTS], ids=[m[0] for m in C_MUTANTS])
def test_altered_c_is_caught(tmp_path: Path, old: str, new: str) -> None:
    catch(tmp_path, old, new, ("-O2",))


@pytest.mark.parametrize(("old", "new"), [m[1:] for m in NARROW_MUTANTS], ids=[m[0] for m in NARROW_MUTANTS])
def test_altered_c_of_narrow_cores_is_caught(tmp_path: Path, old: str, new: str) -> None:
    catch(tmp_path, old, new, laws.NARROW)


def catch(folder: Path, old: str, new: str, flags: tuple[str, ...]) -> None:
    altered = laws.compile_math(mutate(HEADER.read_text(), old, new), folder, flags=(*flags, "-Wno-error"))
    with pytest.raises(AssertionError):
        laws.check_arithmetic(laws.c_arithmetic(altered))
