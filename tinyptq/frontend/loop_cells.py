"""Which recurrent layer one round of a loop is: its equations against those of LSTM, GRU and simple RNN."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyptq.frontend.affine import Atom, Form, UnrecognizedError, is_identity, same, sole
from tinyptq.graph import Array
from tinyptq.ops.gru import Gru
from tinyptq.ops.simple_rnn import SimpleRnn
from tinyptq.ops.unidirectional_sequence_lstm import UnidirectionalSequenceLstm


@dataclass(frozen=True, eq=False)
class Cell:
    """op, attrs, constants: of the operator over the whole sequence, constants by role in its order, float32.

    hidden: which of the states is the output.
    """

    op: str
    attrs: Any
    constants: Mapping[str, Array]
    units: int
    hidden: int


@dataclass(frozen=True, eq=False)
class Gate:
    """input · x + recurrent · h + bias; a matrix that is not there is None."""

    input: Array | None
    recurrent: Array | None
    bias: Array


def find_cell(x: Atom, states: Mapping[int, Atom], after: Mapping[int, Form]) -> Cell:
    """x: what a round reads of the sequence. states: their atoms by place among the loop's variables; after: what a
    round makes of them.
    """
    for hidden, h in states.items():
        others = [place for place in states if place != hidden]
        found = None
        if not others:
            found = gru(x, h, after[hidden]) or simple_rnn(x, h, after[hidden])
        elif len(others) == 1:
            found = lstm(x, h, states[others[0]], after[hidden], after[others[0]])
        if found is not None:
            return Cell(*found, units=h.size, hidden=hidden)
    raise UnrecognizedError(f"its {len(states)} states follow other equations")


Found = tuple[str, Any, dict[str, Array]]


def lstm(x: Atom, h: Atom, c: Atom, new_h: Form, new_c: Form) -> Found | None:
    """c' = sigmoid(f) · c + sigmoid(i) · tanh(g), h' = sigmoid(o) · tanh(c')"""
    output = factors(sole(new_h))
    products = [factors(atom) for atom, matrix in new_c.terms.items() if is_identity(matrix)]
    if output is None or None in products or len(products) != len(new_c.terms) or len(products) != 2:
        return None
    o, squashed = by_kind(output, "sigmoid", "tanh")
    kept = next((p for p in products if p is not None and c in p), None)
    added = next((p for p in products if p is not None and p is not kept), None)
    if new_c.bias.any() or o is None or squashed is None or kept is None or added is None:
        return None
    forget = other_than(kept, c)
    i, g = by_kind(added, "sigmoid", "tanh")
    if not same(squashed.operands[0], new_c) or forget is None or forget.kind != "sigmoid" or i is None or g is None:
        return None
    gates = [gate(atom.operands[0], x, h) for atom in (i, forget, g, o)]
    if any(found is None for found in gates):
        return None
    return "unidirectional_sequence_lstm", UnidirectionalSequenceLstm(), constants(gates, x, h, ("bias",))


def simple_rnn(x: Atom, h: Atom, new_h: Form) -> Found | None:
    """h' = tanh(W x + U h + b)"""
    squashed = sole(new_h)
    found = None if squashed is None or squashed.kind != "tanh" else gate(squashed.operands[0], x, h)
    return None if found is None else ("simple_rnn", SimpleRnn(), constants([found], x, h, ("bias",)))


def gru(x: Atom, h: Atom, new_h: Form) -> Found | None:
    """h' = z · h + n − z · n, z = sigmoid(…), n = tanh(W x + b + r · (U h + b')), or tanh(W x + U (r · h) + b)."""
    n = next((atom for atom in new_h.terms if atom.kind == "tanh"), None)
    if n is None or new_h.bias.any() or len(new_h.terms) != 3 or not is_identity(new_h.terms[n]):
        return None
    kept = [factors(atom) for atom, matrix in new_h.terms.items() if atom is not n and is_identity(matrix)]
    lost = [factors(atom) for atom, matrix in new_h.terms.items() if atom is not n and is_identity(matrix, -1.0)]
    if len(kept) != 1 or len(lost) != 1 or kept[0] is None or lost[0] is None:
        return None
    z = other_than(kept[0], h)
    if z is None or z.kind != "sigmoid" or set(kept[0]) != {z, h} or set(lost[0]) != {z, n}:
        return None
    candidate = n.operands[0]
    resets = [atom for atom in candidate.terms if atom.kind == "product"]
    if len(resets) != 1 or set(candidate.terms) - {x, resets[0]}:
        return None
    found = reset_before(candidate, resets[0], h) or reset_after(candidate, resets[0], x, h)
    if found is None:
        return None
    reset, recurrent, bias, attrs = found
    gates = [gate(z.operands[0], x, h), gate(reset.operands[0], x, h)]
    gates.append(Gate(candidate.terms.get(x), recurrent, candidate.bias))
    if any(other is None for other in gates):
        return None
    zeros = np.zeros(h.size)
    return "gru", attrs, constants(gates, x, h, ("bias", "recurrent_bias"), (zeros, zeros, bias))


Reset = tuple[Atom, Array | None, Array, Gru]


def reset_before(candidate: Form, product: Atom, h: Atom) -> Reset | None:
    """The candidate reads r · h through its recurrent matrix."""
    pair = factors(product)
    if pair is None or h not in pair:
        return None
    reset = other_than(pair, h)
    if reset is None or reset.kind != "sigmoid":
        return None
    return reset, candidate.terms[product], np.zeros(h.size), Gru(reset_after=False)


def reset_after(candidate: Form, product: Atom, x: Atom, h: Atom) -> Reset | None:
    """The candidate reads r · (U h + b')."""
    atoms = [sole(form) for form in product.operands]
    reset = next((atom for atom in atoms if atom is not None and atom.kind == "sigmoid"), None)
    other = next((form for form, atom in zip(product.operands, atoms, strict=True) if atom is not reset), None)
    inner = None if other is None else gate(other, x, h)
    if reset is None or inner is None or inner.input is not None or not is_identity(candidate.terms[product]):
        return None
    return reset, inner.recurrent, inner.bias, Gru(reset_after=True)


def factors(atom: Atom | None) -> tuple[Atom, ...] | None:
    """The two atoms whose product the atom is."""
    if atom is None or atom.kind != "product":
        return None
    found = tuple(factor for factor in map(sole, atom.operands) if factor is not None)
    return found if len(found) == 2 else None


def other_than(pair: tuple[Atom, ...], atom: Atom) -> Atom | None:
    return next((other for other in pair if other is not atom), None)


def by_kind(atoms: tuple[Atom, ...], *kinds: str) -> tuple[Atom | None, ...]:
    """The atom of each kind; all None when the kinds are others."""
    found = {atom.kind: atom for atom in atoms}
    return tuple(found[kind] for kind in kinds) if set(found) == set(kinds) else (None,) * len(kinds)


def gate(form: Form, x: Atom, h: Atom) -> Gate | None:
    """None when the form reads anything else than x and h."""
    if set(form.terms) - {x, h}:
        return None
    return Gate(form.terms.get(x), form.terms.get(h), form.bias)


def constants(
    gates: list[Gate | None], x: Atom, h: Atom, biases: tuple[str, ...], added: tuple[Array, ...] = ()
) -> dict[str, Array]:
    """Per gate input weights, then recurrent weights, then biases, float32."""
    found = [gate for gate in gates if gate is not None]
    roles: dict[str, Array] = {}
    for role, size in (("input", x.size), ("recurrent", h.size)):
        for index, one in enumerate(found):
            matrix: Array | None = getattr(one, role)
            roles[f"{role}_{index}"] = np.zeros((h.size, size)) if matrix is None else matrix
    for role, values in zip(biases, ([one.bias for one in found], added), strict=False):
        roles.update({f"{role}_{index}": value for index, value in enumerate(values)})
    return {role: array.astype(np.float32) for role, array in roles.items()}
