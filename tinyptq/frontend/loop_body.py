"""The body of a recurrent loop as algebra: each of its operators applied to `affine.Form`s instead of numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.frontend import affine
from tinyptq.frontend.affine import Atom, Form, Products, UnrecognizedError
from tinyptq.frontend.subgraphs import Subgraph
from tinyptq.graph import Array, Tensor
from tinyptq.ops import BY_BUILTIN
from tinyptq.ops.activation import NONE
from tinyptq.ops.base import TfliteOperator

FUNCTIONS = {"LOGISTIC": "sigmoid", "TANH": "tanh"}
SAME_ORDER = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
SLICES = ("SPLIT", "SPLIT_V", "STRIDED_SLICE", "SLICE", "UNPACK")
INTEGERS = "iu"


@dataclass(eq=False)
class Body:
    """A body as far as it has been read; a running state.

    forms: of the float tensors whose form is known. missing: tensor -> why it has none.
    """

    forms: dict[str, Form]
    constants: Mapping[str, Array]
    products: Products = field(default_factory=Products)
    missing: dict[str, str] = field(default_factory=dict)

    def form(self, name: str) -> Form:
        if name not in self.forms:
            raise UnrecognizedError(self.missing.get(name, f"it reads '{name}'"))
        return self.forms[name]


def read_body(graph: Subgraph, inputs: Mapping[str, Form], constants: Mapping[str, Array]) -> Body:
    """inputs: forms of the loop's variables in the body, and of what is read from the sequence. constants: tensors
    with the same contents in every round.
    """
    known = {name: affine.constant_form(data) for name, data in constants.items() if data.dtype == np.float32}
    body = Body({**known, **inputs}, constants)
    for item in graph.operators:
        outputs = item.operator.outputs
        if all(tensor.name in body.forms or tensor.dtype.kind in INTEGERS for tensor in outputs):
            continue
        try:
            results = list(apply(body, item.operator))
            body.forms.update({tensor.name: form for tensor, form in zip(outputs, results, strict=True)})
        except UnrecognizedError as problem:
            body.missing.update({tensor.name: str(problem) for tensor in outputs})
        except (TinyptqError, AttributeError, IndexError, ValueError, AssertionError):
            body.missing.update({tensor.name: f"its {item.shown} has an unusual form" for tensor in outputs})
    return body


def apply(body: Body, operator: TfliteOperator) -> Iterator[Form]:
    """The forms of an operator's outputs."""
    builtin = operator.builtin
    if builtin in SLICES:
        yield from sliced(body, operator)
    elif builtin in SAME_ORDER:
        yield body.form(present(operator, 0).name)
    elif builtin in FUNCTIONS:
        argument = body.form(present(operator, 0).name)
        yield affine.atom_form(Atom(FUNCTIONS[builtin], argument.size, (argument,)))
    elif builtin in OPERATORS:
        require_plain(operator)
        yield OPERATORS[builtin](body, operator)
    else:
        raise UnrecognizedError(f"its body holds {builtin}")


def present(operator: TfliteOperator, place: int) -> Tensor:
    tensor = operator.inputs[place]
    if tensor is None:
        raise UnrecognizedError(f"its {operator.builtin} lacks an operand")
    return tensor


def require_plain(operator: TfliteOperator) -> None:
    """An operator with a fused activation is another one."""
    code = getattr(operator.options, "FusedActivationFunction", lambda: 0)()
    if code != 0:
        raise UnrecognizedError(f"its {operator.builtin} has an activation")


def operands(body: Body, operator: TfliteOperator) -> list[Form]:
    return [row(body, tensor) for tensor in operator.inputs if tensor is not None]


def row(body: Body, tensor: Tensor) -> Form:
    """A tensor that is one row, so that nothing but its last axis can be broadcast."""
    if math.prod(tensor.shape[:-1]) != 1:
        raise UnrecognizedError(f"'{tensor.name}' has several rows")
    return body.form(tensor.name)


def sum_of(body: Body, operator: TfliteOperator) -> Form:
    first, second = operands(body, operator)
    return affine.add(first, second)


def difference(body: Body, operator: TfliteOperator) -> Form:
    first, second = operands(body, operator)
    return affine.add(first, second, -1.0)


def product(body: Body, operator: TfliteOperator) -> Form:
    first, second = operands(body, operator)
    return body.products.multiply(first, second)


def matrix_product(body: Body, operator: TfliteOperator) -> Form:
    """FULLY_CONNECTED: x · weightsᵀ + bias."""
    x, matrix = body.form(present(operator, 0).name), constant(body, present(operator, 1))
    if matrix.ndim != 2 or x.size != matrix.shape[1]:
        raise UnrecognizedError("its FULLY_CONNECTED takes several rows")
    y = affine.linear(matrix, x)
    bias = operator.inputs[2] if len(operator.inputs) > 2 else None
    return y if bias is None else affine.add(y, row(body, bias))


def batch_product(body: Body, operator: TfliteOperator) -> Form:
    """BATCH_MATMUL of a row and a constant matrix."""
    x, matrix = body.form(present(operator, 0).name), constant(body, present(operator, 1))
    if operator.options.AdjX() or int(np.prod(matrix.shape[:-2])) != 1:
        raise UnrecognizedError("its BATCH_MATMUL is no row times a matrix")
    matrix = matrix.reshape(matrix.shape[-2:])
    matrix = matrix if operator.options.AdjY() else matrix.T
    if x.size != matrix.shape[-1]:
        raise UnrecognizedError("its BATCH_MATMUL takes several rows")
    return affine.linear(matrix, x)


def side_by_side(body: Body, operator: TfliteOperator) -> Form:
    """CONCATENATION of rows."""
    if operator.options.Axis() not in (-1, len(operator.outputs[0].shape) - 1):
        raise UnrecognizedError("its CONCATENATION is not of rows")
    return affine.stack(operands(body, operator))


def constant(body: Body, tensor: Tensor) -> Array:
    if tensor.name not in body.constants:
        raise UnrecognizedError(f"'{tensor.name}' changes from round to round")
    return body.constants[tensor.name]


OPERATORS: Mapping[str, Callable[[Body, TfliteOperator], Form]] = {
    "ADD": sum_of,
    "SUB": difference,
    "MUL": product,
    "FULLY_CONNECTED": matrix_product,
    "BATCH_MATMUL": batch_product,
    "CONCATENATION": side_by_side,
}


def sliced(body: Body, operator: TfliteOperator) -> Iterator[Form]:
    """Pieces of a row: what the operator makes of the numbers 0, 1, 2 … says which elements they are."""
    op = BY_BUILTIN[operator.builtin]
    axis_first = operator.builtin == "SPLIT"
    source = present(operator, 1 if axis_first else 0)
    form = body.form(source.name)
    if math.prod(source.shape) != form.size or form.size >= 1 << 24:
        raise UnrecognizedError(f"its {operator.builtin} takes several rows")
    attrs: Any = op.read_tflite(operator)
    if getattr(attrs, "activation", NONE) != NONE:
        raise UnrecognizedError(f"its {operator.builtin} has an activation")
    numbers = np.arange(form.size, dtype=np.float32).reshape(source.shape)
    found = op.run_float(attrs, numbers)
    pieces = found if isinstance(found, tuple) else (found,)
    for piece, output in zip(pieces, operator.outputs, strict=True):
        if piece.shape != output.shape:
            raise UnrecognizedError(f"its {operator.builtin} cuts rows apart")
        yield affine.rows(form, piece.reshape(-1).astype(np.int64))
