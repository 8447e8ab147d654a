"""Graph + calibration -> Recipe: observe every activation, tie what must share a scale, round the constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tinyptq.float_run import first_values, iterate_float
from tinyptq.graph import Graph, Node, QParams
from tinyptq.ops import BY_NAME
from tinyptq.ops.base import FREE, INT8, SAME, TABLE
from tinyptq.ptq.calibration import RANDOM_WARNING, CalibrationSet, batches
from tinyptq.ptq.imported import NO_SCALE
from tinyptq.ptq.observers import MinMax, Observer, make_observer
from tinyptq.ptq.ranges import activation_qparams, bias_choice, quantize_array, weight_choice
from tinyptq.ptq.recipe import ActivationChoice, ConstantChoice, Recipe

Progress = Callable[[str, int, int], None]


def quantize(graph: Graph, calibration: CalibrationSet, observer: str, progress: Progress) -> Recipe:
    """Static post-training quantization: int8 activations, per-channel int8 weights, int32 bias."""
    ranges = observe(graph, calibration, observer, progress)
    activations = choose_activations(graph, ranges, observer)
    warnings = (RANDOM_WARNING,) if calibration.random else ()
    return Recipe(activations, choose_constants(graph, activations), warnings)


def observe(
    graph: Graph, calibration: CalibrationSet, observer: str, progress: Progress
) -> dict[str, tuple[float, float]]:
    """(low, high) of every tensor that is not constant, over the whole calibration set.

    Inputs keep their full range: pixels and dequantized features lie on a grid that clipping would miss.
    """
    names = [name for name in graph.tensors if not graph.is_constant(name)]
    observers: dict[str, Observer] = {name: make_observer(observer) for name in names}
    observers.update({name: MinMax() for name in graph.inputs})
    done, memory = 0, first_values(graph)  # the whole set is one sequence
    for batch in batches(calibration):
        for name, values in iterate_float(graph, batch, memory):
            observers[name].observe(values)
        done += len(next(iter(batch.values())))
        progress("calibrate", done, calibration.count)
    return {name: seen.range() for name, seen in observers.items()}


def tied_groups(graph: Graph) -> dict[str, str]:
    """tensor -> representative of the set that must share scale and zero point: at operators marked SAME, and
    what a variable is read as and what it is left as.
    """
    leader = {name: name for name in graph.tensors}

    def find(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    shared = [(*node.inputs, *node.outputs) for node in graph.nodes if BY_NAME[node.op].quantization == SAME]
    shared += [(*node.inputs[1:], *node.outputs) for node in graph.nodes if BY_NAME[node.op].quantization == TABLE]
    for names in (*shared, *((variable.before, variable.after) for variable in graph.variables)):
        first, *others = (find(name) for name in names)
        for other in others:
            leader[other] = first
    return {name: find(name) for name in graph.tensors}


def fixed_qparams(graph: Graph, groups: Mapping[str, str]) -> dict[str, QParams]:
    """group -> the scale an operator dictates for its output (softmax, logistic, tanh)."""
    fixed = {}
    for node in graph.nodes:
        quantization = BY_NAME[node.op].quantization
        if isinstance(quantization, QParams):
            fixed[groups[node.outputs[0]]] = quantization
    return fixed


def choose_activations(
    graph: Graph, ranges: Mapping[str, tuple[float, float]], observer: str
) -> dict[str, ActivationChoice]:
    groups = tied_groups(graph)
    fixed = fixed_qparams(graph, groups)
    spans = group_spans(graph, ranges, groups)
    dtypes = {name: BY_NAME[node.op].output_dtype or INT8 for node in graph.nodes for name in node.outputs}
    choices = {}
    for name in ranges:
        low, high = spans[groups[name]]
        if graph.tensors[name].dtype.kind == "i" and name in graph.inputs:
            choices[name] = ActivationChoice(low, high, NO_SCALE, "an integer", graph.tensors[name].dtype)
            continue
        dictated = fixed.get(groups[name])
        qparams = dictated or activation_qparams(low, high)
        reason = "fixed by the operator" if dictated else observer
        choices[name] = ActivationChoice(low, high, qparams, reason, dtypes.get(name, INT8))
    return choices


def group_spans(
    graph: Graph, ranges: Mapping[str, tuple[float, float]], groups: Mapping[str, str]
) -> dict[str, tuple[float, float]]:
    """group -> (low, high) over its members. A tensor that is always zero takes its producer's input range:
    any scale holds a zero, and one of the layer's own order keeps the multiplier far from overflow.
    """
    spans: dict[str, tuple[float, float]] = {}
    for name, (low, high) in {**ranges, **shared_constant_ranges(graph)}.items():
        known = spans.get(groups[name], (low, high))
        spans[groups[name]] = (min(low, known[0]), max(high, known[1]))
    for node in graph.nodes:
        group = groups[node.outputs[0]]
        if spans[group] == (0.0, 0.0) and groups[node.inputs[0]] in spans:
            spans[group] = spans[groups[node.inputs[0]]]
    return spans


def shared_constant_ranges(graph: Graph) -> dict[str, tuple[float, float]]:
    """Ranges of constant operands that must share their operator's scale (a constant in a concatenation)."""
    constants = {}
    for node in graph.nodes:
        if BY_NAME[node.op].quantization in (SAME, TABLE):
            for name in node.inputs:
                data = graph.tensors[name].data
                if data is not None:
                    constants[name] = (float(data.min()), float(data.max()))
    return constants


def choose_constants(graph: Graph, activations: Mapping[str, ActivationChoice]) -> dict[str, ConstantChoice]:
    constants: dict[str, ConstantChoice] = {}
    for node in graph.nodes:
        op = BY_NAME[node.op]
        if op.weight_axis is not None:
            constants.update(weighted_constants(graph, node, op.weight_axis, activations))
            continue
        if op.round_constants is not None:
            constants.update(rounded_constants(graph, node, activations))
            continue
        for name in node.inputs:
            if graph.is_constant(name):
                constants[name] = operand_constant(graph, node, name, activations)
    return constants


def weighted_constants(
    graph: Graph, node: Node, axis: int, activations: Mapping[str, ActivationChoice]
) -> dict[str, ConstantChoice]:
    """Weight and bias of a convolution-like node."""
    source, weight_name, *bias_name = node.inputs
    scale = float(activations[source].qparams.scale[0])
    weights = graph.tensors[weight_name].data
    bias = graph.tensors[bias_name[0]].data if bias_name else None
    assert weights is not None
    choice = weight_choice(weights, bias, axis, scale)
    if bias is None:
        return {weight_name: choice}
    return {weight_name: choice, bias_name[0]: bias_choice(bias, choice, scale)}


def rounded_constants(
    graph: Graph, node: Node, activations: Mapping[str, ActivationChoice]
) -> dict[str, ConstantChoice]:
    """All constants of an operator that has its own rule for them."""
    op, names = BY_NAME[node.op], node.inputs[1:]
    floats = [data for data in (graph.tensors[name].data for name in names) if data is not None]
    assert op.round_constants is not None and len(floats) == len(names)
    source, result = activations[node.inputs[0]].qparams, activations[node.outputs[0]].qparams
    rounded = op.round_constants(node.attrs, source, result, floats)
    return {
        name: ConstantChoice(values, qparams, "symmetric per tensor")
        for name, (values, qparams) in zip(names, rounded, strict=True)
    }


def operand_constant(
    graph: Graph, node: Node, name: str, activations: Mapping[str, ActivationChoice]
) -> ConstantChoice:
    """A constant operand of an element-wise operator: its own range, or the output's where scales are shared."""
    data = graph.tensors[name].data
    assert data is not None
    shared = BY_NAME[node.op].quantization != FREE
    qparams = (
        activations[node.outputs[0]].qparams if shared else activation_qparams(float(data.min()), float(data.max()))
    )
    return ConstantChoice(quantize_array(data, qparams), qparams, "asymmetric per tensor")
