"""Graph + calibration -> Graph: attributes that only data can tell, for operators that ask for them."""

from __future__ import annotations

from dataclasses import replace

from tinyptq.float_run import first_values, iterate_float
from tinyptq.graph import Array, Graph, Node, is_quantized
from tinyptq.ops import BY_NAME
from tinyptq.ptq.calibration import CalibrationSet, batches


def learn_attributes(graph: Graph, calibration: CalibrationSet) -> Graph:
    """Before: an LSTM whose cell state has no scale yet. After: one that holds every cell state of the calibration set.

    A second float run over the data, and only for graphs that have such operators.
    """
    students = {node.name: node for node in graph.nodes if BY_NAME[node.op].calibrate is not None}
    if not students or is_quantized(graph):
        return graph
    wanted = {node.inputs[0] for node in students.values()}
    memory = first_values(graph)
    for batch in batches(calibration):
        arrays = {name: x for name, x in iterate_float(graph, batch, memory) if name in wanted}
        students = {name: taught(graph, node, arrays[node.inputs[0]]) for name, node in students.items()}
    return replace(graph, nodes=tuple(students.get(node.name, node) for node in graph.nodes))


def taught(graph: Graph, node: Node, x: Array) -> Node:
    """node, knowing one more batch of its first input; the other inputs are constants."""
    op = BY_NAME[node.op]
    constants = [graph.tensors[name].data for name in node.inputs[1:]]
    assert op.calibrate is not None
    return replace(node, attrs=op.calibrate(node.attrs, x, *constants))
