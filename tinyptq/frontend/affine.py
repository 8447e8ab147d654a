"""Vectors as sums of matrices times atoms: what the body of a recurrent loop computes, whatever operators spell it.

A Form is Σ matrix · atom + bias. Atoms are inputs, and results of the functions no matrix expresses: sigmoid, tanh and
products. Two ways to write the same recurrence (one matrix for all gates or several, biases added here or there, 1 − z
multiplied out or not) become the same Forms. Numbers are float64: float32 inputs, added and multiplied exactly enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tinyptq.graph import Array

MAX_MATRIX = 1 << 22  # elements: beyond any recurrent layer for a microcontroller
MAX_WORK = 1 << 31  # multiplications of one product of matrices


class UnrecognizedError(Exception):
    """The computation has no such form; the message says why."""


@dataclass(frozen=True, eq=False)
class Atom:
    """kind: "input", "sigmoid", "tanh" or "product". Two atoms are the same when they are the same object."""

    kind: str
    size: int
    operands: tuple[Form, ...] = ()


@dataclass(frozen=True, eq=False)
class Form:
    """terms: atom -> float64 [size, atom.size]; bias: float64 [size]."""

    terms: Mapping[Atom, Array]
    bias: Array

    @property
    def size(self) -> int:
        return len(self.bias)


def atom_form(atom: Atom) -> Form:
    require_small(atom.size, atom.size)
    return Form({atom: np.eye(atom.size)}, np.zeros(atom.size))


def constant_form(values: Array) -> Form:
    return Form({}, values.astype(np.float64).reshape(-1))


def require_small(rows: int, columns: int) -> None:
    if rows * columns > MAX_MATRIX:
        raise UnrecognizedError(f"a matrix of {rows} × {columns}")


def linear(matrix: Array, form: Form) -> Form:
    """matrix [rows, size] · form."""
    wide = matrix.astype(np.float64)
    for atom in form.terms:
        require_small(len(wide), atom.size)
    single = sole(form)
    if single is not None:
        return Form({single: wide}, np.zeros(len(wide)))
    if sum(inner.size for inner in form.terms.values()) * len(wide) > MAX_WORK:
        raise UnrecognizedError("its matrices are too large")
    return Form({atom: wide @ inner for atom, inner in form.terms.items()}, wide @ form.bias)


def add(first: Form, second: Form, sign: float = 1.0) -> Form:
    """first + sign · second; a vector of one element is repeated."""
    first, second = of_one_size(first, second)
    terms = dict(first.terms)
    for atom, matrix in second.terms.items():
        terms[atom] = terms[atom] + sign * matrix if atom in terms else sign * matrix
    return Form({a: m for a, m in terms.items() if m.any()}, first.bias + sign * second.bias)


def of_one_size(*forms: Form) -> tuple[Form, ...]:
    size = max(form.size for form in forms)
    if any(form.size not in (1, size) for form in forms):
        raise UnrecognizedError(f"vectors of {' and '.join(str(form.size) for form in forms)} elements")
    return tuple(form if form.size == size else rows(form, np.zeros(size, np.int64)) for form in forms)


def scaled(form: Form, factors: Array) -> Form:
    return Form({atom: factors[:, None] * matrix for atom, matrix in form.terms.items()}, factors * form.bias)


def rows(form: Form, indices: Array) -> Form:
    return Form({atom: matrix[indices] for atom, matrix in form.terms.items()}, form.bias[indices])


def stack(forms: Sequence[Form]) -> Form:
    """One behind another."""
    atoms = dict.fromkeys(atom for form in forms for atom in form.terms)
    size = sum(form.size for form in forms)
    terms = {}
    for atom in atoms:
        require_small(size, atom.size)
        terms[atom] = np.concatenate([f.terms.get(atom, np.zeros((f.size, atom.size))) for f in forms])
    return Form(terms, np.concatenate([form.bias for form in forms]))


@dataclass(eq=False)
class Products:
    """The products made so far, so that the same one is the same atom."""

    made: dict[tuple[int, int], tuple[Form, Form, Atom]] = field(default_factory=dict)

    def multiply(self, first: Form, second: Form) -> Form:
        """Element by element. Sums of ± atoms and numbers are multiplied out, everything else is kept as a factor."""
        first, second = of_one_size(first, second)
        if not first.terms or not second.terms:
            number, form = (first, second) if not first.terms else (second, first)
            return scaled(form, number.bias)
        total = constant_form(first.bias * second.bias if is_sum(first) and is_sum(second) else np.zeros(first.size))
        for sign, left in summands(first):
            for other, right in summands(second):
                total = add(total, self.product(left, right), sign * other)
            if is_sum(second):
                total = add(total, scaled(left, second.bias), sign)
        if is_sum(first):
            for sign, right in summands(second):
                total = add(total, scaled(right, first.bias), sign)
        return total

    def product(self, first: Form, second: Form) -> Form:
        low, high = sorted((identity(first), identity(second)))
        if (low, high) not in self.made:
            self.made[low, high] = (first, second, Atom("product", first.size, (first, second)))
        return atom_form(self.made[low, high][2])


def identity(form: Form) -> int:
    """The same number for forms that are the same atom, or the same object."""
    atom = sole(form)
    return id(form if atom is None else atom)


def sole(form: Form) -> Atom | None:
    """The atom that the form is, one to one."""
    if len(form.terms) != 1 or form.bias.any():
        return None
    ((atom, matrix),) = form.terms.items()
    return atom if is_identity(matrix) else None


def is_identity(matrix: Array, factor: float = 1.0) -> bool:
    return matrix.shape[0] == matrix.shape[1] and np.array_equal(matrix, factor * np.eye(len(matrix)))


def is_sum(form: Form) -> bool:
    """Is the form ± atom ± atom … + numbers?"""
    return all(is_identity(matrix) or is_identity(matrix, -1.0) for matrix in form.terms.values())


def summands(form: Form) -> list[tuple[float, Form]]:
    """(sign, atom) of a sum of atoms; the form itself when it is no such sum."""
    if not is_sum(form):
        return [(1.0, form)]
    return [(1.0 if is_identity(matrix) else -1.0, atom_form(atom)) for atom, matrix in form.terms.items()]


def same(first: Form, second: Form) -> bool:
    if first.terms.keys() != second.terms.keys() or not np.array_equal(first.bias, second.bias):
        return False
    return all(np.array_equal(matrix, second.terms[atom]) for atom, matrix in first.terms.items())
