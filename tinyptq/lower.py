"""Graph + Recipe -> Program: the one place where floats end."""

from __future__ import annotations

from dataclasses import replace

from tinyptq.errors import TinyptqError
from tinyptq.graph import Graph, Node, Tensor, Variable
from tinyptq.names import c_identifier
from tinyptq.ops import BY_NAME
from tinyptq.ops.base import Operand, folds_constants
from tinyptq.program import Layer, Program, Value
from tinyptq.ptq.ranges import quantize_array
from tinyptq.ptq.recipe import Recipe


def lower(graph: Graph, recipe: Recipe, digest: str) -> Program:
    """Integers for every layer. Errors carry the source of the node they come from."""
    values = {name: value_of(tensor, recipe) for name, tensor in graph.tensors.items()}
    return Program(
        name=c_identifier(graph.name),
        digest=digest,
        values=values,
        layers=tuple(lower_node(node, values) for node in graph.nodes),
        inputs=graph.inputs,
        outputs=graph.outputs,
        variables=tuple(lower_variable(variable, values) for variable in graph.variables),
        warnings=(*graph.warnings, *recipe.warnings),
    )


def value_of(tensor: Tensor, recipe: Recipe) -> Value:
    if tensor.data is not None:
        constant = recipe.constants[tensor.name]
        return Value(tensor.name, tensor.shape, constant.values.dtype, constant.qparams, constant.values)
    activation = recipe.activations[tensor.name]
    return Value(tensor.name, tensor.shape, activation.dtype, activation.qparams)


def lower_variable(variable: Variable, values: dict[str, Value]) -> Variable:
    """Floats become integers of the scale in which the variable is read; integers of the file stay."""
    before = values[variable.before]
    if variable.initial.dtype == before.dtype:
        return variable
    assert before.qparams is not None
    return replace(variable, initial=quantize_array(variable.initial, before.qparams, before.dtype))


def lower_node(node: Node, values: dict[str, Value]) -> Layer:
    op = BY_NAME[node.op]
    inputs = tuple(operand(values[name]) for name in node.inputs)
    outputs = tuple(operand(values[name]) for name in node.outputs)
    try:
        params = op.lower(node.attrs, inputs, outputs)
    except TinyptqError as error:
        raise TinyptqError(
            error.reference, error.message, where=node.source, hint=error.hint, exit_code=error.exit_code
        ) from error
    kept = 1 if folds_constants(op) else len(node.inputs)
    return Layer(
        name=node.name,
        op=node.op,
        inputs=node.inputs[:kept],
        outputs=node.outputs,
        folded=node.inputs[kept:],
        params=params,
        source=node.source,
    )


def operand(value: Value) -> Operand:
    assert value.qparams is not None
    return Operand(value.shape, value.qparams, value.data, value.dtype)
