"""The float executor: every node's run_float in order, with tensors freed after their last use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, Graph, Node
from tinyptq.ops import BY_NAME


def run_float(
    graph: Graph, inputs: Mapping[str, Array], keep: Callable[[str], bool] = lambda name: True
) -> dict[str, Array]:
    """float32 inputs by name, [n, ...] -> every run-time tensor `keep` wants, inputs included, [n, ...].

    Memory holds the kept tensors and those still to be read, nothing else.
    """
    return {name: array for name, array in iterate_float(graph, inputs) if keep(name)}


def first_values(graph: Graph) -> dict[str, Array]:
    """What the variables hold before the first run, by the tensor they are read as."""
    return {variable.before: variable.initial for variable in graph.variables}


def iterate_float(
    graph: Graph, inputs: Mapping[str, Array], memory: dict[str, Array] | None = None
) -> Iterator[tuple[str, Array]]:
    """(name, array) of every run-time tensor as it is computed; each is dropped after its last reader.

    Samples of a graph with variables are consecutive runs. memory: what these hold before the first one, brought up
    to date; None: their first values.
    """
    live = checked(graph, inputs)
    if not graph.variables:
        yield from iterate_nodes(graph, live)
        return
    memory = first_values(graph) if memory is None else memory
    count = len(next(iter(live.values())))
    runs = [run_once(graph, {name: x[i : i + 1] for name, x in live.items()}, memory) for i in range(count)]
    yield from ((name, np.concatenate([run[name] for run in runs])) for name in runs[0])


def run_once(graph: Graph, sample: Mapping[str, Array], memory: dict[str, Array]) -> dict[str, Array]:
    """Every run-time tensor of one run, whose last values the variables take."""
    tensors = dict(iterate_nodes(graph, {**sample, **memory}))
    for variable in graph.variables:
        memory[variable.before] = tensors[variable.after].reshape(variable.initial.shape)
    return tensors


def iterate_nodes(graph: Graph, live: dict[str, Array]) -> Iterator[tuple[str, Array]]:
    """live: the tensors that are there when a run begins."""
    yield from live.items()
    last_reader = {name: index for index, node in enumerate(graph.nodes) for name in node.inputs}
    for index, node in enumerate(graph.nodes):
        results = run_node(graph, node, live)
        yield from zip(node.outputs, results, strict=True)
        live.update(zip(node.outputs, results, strict=True))
        for name in {*node.inputs, *node.outputs}:
            if last_reader.get(name, index) <= index:
                live.pop(name, None)
        del results


def run_node(graph: Graph, node: Node, live: Mapping[str, Array]) -> tuple[Array, ...]:
    """The outputs of one node; a result that is not finite has no range, and ends here."""
    operands = [live[name] if name in live else constant(graph, name) for name in node.inputs]
    with np.errstate(all="ignore"):
        found = BY_NAME[node.op].run_float(node.attrs, *operands)
        results = tuple(np.asarray(r, np.float32) for r in (found if isinstance(found, tuple) else (found,)))
    if not all(np.isfinite(result).all() for result in results):
        message = f"{node.op} yields infinity or not-a-number on these inputs"
        hint = "its float results must be finite: check the weights, or give other samples"
        raise TinyptqError("not-finite", message, where=node.source, hint=hint)
    return results


def constant(graph: Graph, name: str) -> Array:
    data = graph.tensors[name].data
    assert data is not None, f"'{name}' is read after it was freed"
    return data


def checked(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """inputs as float32, in the graph's order: the right names, shapes and one batch size."""
    if set(inputs) != set(graph.inputs):
        wanted = f"the model's inputs are {sorted(graph.inputs)}"
        raise TinyptqError("bad-input", f"inputs {sorted(inputs)} given", where=graph.name, hint=wanted)
    arrays = {name: np.asarray(inputs[name], np.float32) for name in graph.inputs}
    for name, array in arrays.items():
        shape = graph.tensors[name].shape
        if array.shape[1:] != shape[1:] or array.ndim != len(shape):
            hint = f"[n, {', '.join(map(str, shape[1:]))}] is needed"
            raise TinyptqError("bad-input", f"shape {list(array.shape)}", where=f"input '{name}'", hint=hint)
    if len({len(array) for array in arrays.values()}) > 1:
        counts = {name: len(array) for name, array in arrays.items()}
        raise TinyptqError("bad-input", f"inputs differ in their number of samples: {counts}", where=graph.name)
    return arrays
