"""Each pass: the graph in, the graph out as one line of text, and the same outputs from the float executor."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from tests.graphs import graphs
from tests.pass_graphs import (
    BORDER,
    CONSTANTS,
    IMAGE,
    VALID3,
    Step,
    assert_same_outputs,
    build,
    conv,
    relu,
    reshape,
    text,
)
from tinyptq.errors import TinyptqError
from tinyptq.graph import Graph, Node, QParams, Tensor, require_well_formed
from tinyptq.obstacles import Foreign, obstacles
from tinyptq.ops.activation import RELU, RELU6, Clamp
from tinyptq.ops.add import Add
from tinyptq.ops.average_pool_2d import AveragePool2D
from tinyptq.ops.concatenation import Concatenation
from tinyptq.ops.conv_2d import Conv2D
from tinyptq.ops.depthwise_conv_2d import DepthwiseConv2D
from tinyptq.ops.dequantize import Dequantize
from tinyptq.ops.fully_connected import FullyConnected
from tinyptq.ops.logistic import Logistic
from tinyptq.ops.max_pool_2d import MaxPool2D
from tinyptq.ops.mean import Mean
from tinyptq.ops.mul import Mul
from tinyptq.ops.pad import Pad
from tinyptq.ops.quantize import Quantize
from tinyptq.ops.tanh import Tanh
from tinyptq.ops.window import Window
from tinyptq.passes import PASSES, normalize, simplify
from tinyptq.passes.own_constants import own_constants

FLOAT32, INT8 = np.dtype(np.float32), np.dtype(np.int8)


@dataclass(frozen=True)
class Case:
    id: str
    steps: tuple[Step, ...]
    after: str
    outputs: tuple[str, ...] = ("y",)


DENSE = ("fully_connected", FullyConnected(), ("flat", "f", "b"), "y")
DEPTHWISE = ("depthwise_conv_2d", DepthwiseConv2D(VALID3, 2), ("p", "d"), "y")
CASES = (
    # batch norm
    Case(
        "scale and shift fold",
        (conv("a"), ("mul", Mul(), ("a", "c3"), "s"), ("add", Add(), ("s", "c3"), "y")),
        "conv_2d",
    ),
    Case("without bias", (conv("a", bias=False), ("add", Add(RELU), ("c3_4d", "a"), "y")), "conv_2d"),
    Case("scalar", (conv("a"), ("mul", Mul(RELU6), ("two", "a"), "y")), "conv_2d"),
    Case(
        "depthwise",
        (("pad", BORDER, ("x",), "p"), (*DEPTHWISE[:3], "a"), ("mul", Mul(), ("a", "c4"), "y")),
        "depthwise_conv_2d",
    ),
    Case(
        "dense", (reshape("x", "flat", 1, 40), (*DENSE[:3], "a"), ("mul", Mul(), ("a", "c3"), "y")), "fully_connected"
    ),
    Case("not per channel", (conv("a"), ("mul", Mul(), ("a", "columns"), "y")), "conv_2d mul"),
    Case("behind an activation", (conv("a", activation=RELU), ("mul", Mul(), ("a", "c3"), "y")), "conv_2d mul"),
    Case(
        "two readers", (conv("a"), ("mul", Mul(), ("a", "c3"), "s"), ("add", Add(), ("a", "s"), "y")), "conv_2d mul add"
    ),
    Case("seen by the user", (conv("a"), ("mul", Mul(), ("a", "c3"), "y")), "conv_2d mul", ("a", "y")),
    Case(
        "batch norm and relu, residual",
        (
            conv("a"),
            ("mul", Mul(), ("a", "c3"), "s"),
            ("add", Add(), ("s", "c3"), "t"),
            relu("t", "u"),
            ("conv_2d", Conv2D(Window((1, 1))), ("x", "w1", "b"), "v"),
            ("add", Add(), ("u", "v"), "z"),
            relu("z", "y"),
        ),
        "conv_2d conv_2d add",
    ),
    # activations
    Case("relu fuses", (conv("a"), relu("a", "y")), "conv_2d"),
    Case("relu6 of relu", (conv("a", activation=RELU), relu("a", "y", RELU6)), "conv_2d"),
    Case("clamps intersect", (relu("x", "a", Clamp(-1.0, 4.0)), relu("a", "y", Clamp(0.0, 9.0))), "relu"),
    Case("relu of two readers", (conv("a"), relu("a", "s"), ("add", Add(), ("a", "s"), "y")), "conv_2d relu add"),
    Case(
        "relu that is implied",
        (conv("a", activation=RELU6), relu("a", "s"), ("add", Add(), ("a", "s"), "y")),
        "conv_2d add",
    ),
    Case("relu of the input", (relu("x", "y"),), "relu"),
    Case(
        "relu behind a pool",
        (("max_pool_2d", MaxPool2D(Window((2, 2))), ("x",), "a"), relu("a", "y")),
        "max_pool_2d relu",
    ),
    # padding
    Case("pad folds", (("pad", BORDER, ("x",), "p"), conv("y", "p")), "conv_2d"),
    Case(
        "pads merge and fold",
        (("pad", BORDER, ("x",), "q"), ("pad", BORDER, ("q",), "p"), DEPTHWISE),
        "depthwise_conv_2d",
    ),
    Case(
        "pad before a pool stays",
        (("pad", BORDER, ("x",), "p"), ("average_pool_2d", AveragePool2D(Window((2, 2))), ("p",), "y")),
        "pad average_pool_2d",
    ),
    Case("pad of channels stays", (("pad", Pad((0, 0, 0, 0), (0, 0, 0, 1)), ("x",), "p"), relu("p", "y")), "pad relu"),
    Case(
        "pad of two readers",
        (("pad", BORDER, ("x",), "p"), conv("y", "p"), relu("p", "z")),
        "pad conv_2d relu",
        ("y", "z"),
    ),
    Case("pad seen by the user", (("pad", BORDER, ("x",), "p"), conv("y", "p")), "pad conv_2d", ("p", "y")),
    # no-ops
    Case("reshape to itself", (reshape("x", "a", *IMAGE), relu("a", "y")), "relu"),
    Case("reshape to itself, an output", (relu("x", "a"), reshape("a", "y", *IMAGE)), "relu"),
    Case("only a reshape to itself", (reshape("x", "y", *IMAGE),), "reshape"),
    Case("there and back", (reshape("x", "a", 1, 40), reshape("a", "b2", *IMAGE), relu("b2", "y")), "relu"),
    Case(
        "plus 0, times 1",
        (("add", Add(), ("x", "zero"), "a"), ("mul", Mul(), ("a", "one"), "b2"), relu("b2", "y")),
        "relu",
    ),
    Case("pad by nothing", (("pad", Pad((0,) * 4, (0,) * 4), ("x",), "a"), relu("a", "y")), "relu"),
    Case("pool of one", (("average_pool_2d", AveragePool2D(Window((1, 1))), ("x",), "a"), relu("a", "y")), "relu"),
    Case("subsampling is no no-op", (("max_pool_2d", MaxPool2D(Window((1, 1), (2, 2))), ("x",), "y"),), "max_pool_2d"),
    Case("one-part concatenation", (("concatenation", Concatenation(3), ("x",), "a"), relu("a", "y")), "relu"),
    Case(
        "quantize of floats",
        (("quantize", Quantize(), ("x",), "a"), ("dequantize", Dequantize(), ("a",), "b2"), relu("b2", "y")),
        "relu",
    ),
    Case(
        "mean of all is none",
        (("mean", Mean((1, 2), True), ("x",), "a"), ("mean", Mean((1, 2), True), ("a",), "y")),
        "mean",
    ),
    # reshapes
    Case("reshapes merge", (reshape("x", "a", 1, 40), reshape("a", "b2", 1, 20, 2), relu("b2", "y")), "relu reshape"),
    Case("dense flattens", (reshape("x", "flat", 1, 40), DENSE), "fully_connected"),
    Case(
        "flatten two read",
        (reshape("x", "flat", 1, 40), DENSE, relu("flat", "z")),
        "reshape fully_connected relu",
        ("y", "z"),
    ),
    Case(
        "Conv1D: reshape, batch norm, relu, reshape",
        (
            conv("a"),
            reshape("a", "r", 1, 20, 3),
            ("mul", Mul(), ("r", "c3"), "s"),
            ("add", Add(), ("s", "c3"), "t"),
            relu("t", "u"),
            reshape("u", "v", 1, 5, 4, 3),
            ("logistic", Logistic(), ("v",), "y"),
        ),
        "conv_2d logistic",
    ),
    Case(
        "vector along another axis",
        (conv("a"), reshape("a", "r", 1, 15, 4), ("mul", Mul(), ("r", "c4"), "y")),
        "conv_2d reshape mul",
    ),
    # constants and the dead
    Case(
        "constants fold",
        (("mul", Mul(), ("c3", "two"), "k"), ("tanh", Tanh(), ("k",), "l"), conv("a"), ("add", Add(), ("a", "l"), "y")),
        "conv_2d",
    ),
    Case("the dead go", (relu("x", "y"), conv("a"), relu("a", "z")), "relu"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_before_and_after(case: Case) -> None:
    graph = require_well_formed(build(*case.steps, outputs=case.outputs), "test")
    result = simplify(graph)
    assert text(result) == case.after
    assert_same_outputs(graph, result)


def test_batch_norm_by_hand() -> None:
    """w = 3, b = 1, factor 2, term −5: (3 x + 1) · 2 − 5 = 6 x − 3."""
    tensors = {
        name: Tensor(name, np.shape(data), FLOAT32, np.array(data, np.float32))
        for name, data in {"w": [[[[3.0]]]], "b": [1.0], "factor": [2.0], "term": [-5.0]}.items()
    }
    tensors |= {name: Tensor(name, (1, 2, 2, 1), FLOAT32) for name in "xasy"}
    nodes = (
        Node("conv_2d", "a", ("x", "w", "b"), ("a",), Conv2D(Window((1, 1))), "operator 0"),
        Node("mul", "s", ("a", "factor"), ("s",), Mul(), "operator 1"),
        Node("add", "y", ("s", "term"), ("y",), Add(RELU), "operator 2"),
    )
    graph = simplify(Graph("test", tensors, nodes, ("x",), ("y",)))
    (node,) = graph.nodes
    weights, bias = (graph.tensors[name].data for name in node.inputs[1:])
    assert weights is not None and bias is not None
    assert (weights.ravel().tolist(), bias.tolist()) == ([6.0], [-3.0])
    assert (node.attrs.activation, node.outputs, node.source) == (RELU, ("y",), "operator 0")
    assert weights.dtype == bias.dtype == FLOAT32


def test_padding_adds_up() -> None:
    graph = simplify(build(("pad", BORDER, ("x",), "p"), conv("y", "p")))
    assert graph.nodes[0].attrs.window == Window((3, 3), pad_top=3, pad_bottom=1, pad_left=2, pad_right=2)


def test_shared_weights_are_separated_and_the_fold_spares_the_other_reader() -> None:
    graph = build(conv("a"), ("mul", Mul(), ("a", "c3"), "s"), conv("t"), ("add", Add(), ("s", "t"), "y"))
    result = simplify(graph)
    assert text(result) == "conv_2d conv_2d add"
    assert len({name for node in result.nodes[:2] for name in node.inputs[1:]}) == 4
    assert_same_outputs(graph, result)


def test_a_constant_read_twice_by_one_node_is_separated() -> None:
    graph = own_constants(
        build(("conv_2d", Conv2D(Window((1, 1))), ("x", "w1", "b"), "a"), ("add", Add(), ("a", "b"), "y"))
    )
    assert graph.nodes[1].inputs == ("a", "b_of_y")


def hybrid(weights: Tensor) -> Graph:
    graph = build(("conv_2d", Conv2D(Window((1, 1))), ("x", "w1", "b"), "y"))
    return replace(graph, tensors={**graph.tensors, "w1": replace(weights, name="w1")})


def test_hybrid_weights_become_floats_per_tensor_and_per_channel() -> None:
    integers = np.arange(-3, 3, dtype=np.int8).reshape(3, 1, 1, 2)
    scales = QParams(np.array([1, 2, 4], np.float32), np.array([0, 1, -1], np.int32), 0)
    expected = {0: (integers - 5) * np.float32(0.5), 1: np.array([-3, -2, -4, -2, 8, 12]).reshape(3, 1, 1, 2)}
    for index, qparams in enumerate((QParams.per_tensor(0.5, 5), scales)):
        result = simplify(hybrid(Tensor("w1", integers.shape, INT8, integers, qparams)))
        weights = result.tensors["w1"]
        assert weights.data is not None and weights.dtype == FLOAT32 and weights.qparams is None
        np.testing.assert_array_equal(weights.data, expected[index])


def test_float16_weights_become_floats_through_their_dequantize() -> None:
    half = CONSTANTS["w1"].astype(np.float16)
    graph = build(("dequantize", Dequantize(), ("w1",), "k"), ("conv_2d", Conv2D(Window((1, 1))), ("x", "k", "b"), "y"))
    result = simplify(
        replace(graph, tensors={**graph.tensors, "w1": Tensor("w1", half.shape, np.dtype(np.float16), half)})
    )
    assert text(result) == "conv_2d"
    weights = result.tensors[result.nodes[0].inputs[1]].data
    np.testing.assert_array_equal(weights, half.astype(np.float32))


def test_integer_ends_of_a_float_model_are_stripped() -> None:
    graph = build(("dequantize", Dequantize(), ("x",), "a"), relu("a", "b2"), ("quantize", Quantize(), ("b2",), "y"))
    quantized = {n: replace(graph.tensors[n], dtype=INT8, qparams=QParams.per_tensor(0.1)) for n in ("x", "y")}
    result = normalize(replace(graph, tensors={**graph.tensors, **quantized}))
    assert text(result) == "relu"
    assert (result.inputs, result.outputs) == (("x",), ("y",))
    assert [warning[:10] for warning in result.warnings] == ["'x' is int", "'y' is int"]
    assert {tensor.dtype for tensor in result.tensors.values()} == {FLOAT32}


def test_a_model_quantized_inside_loses_only_its_float_ends() -> None:
    graph = build(("quantize", Quantize(), ("x",), "a"), relu("a", "b2"), ("dequantize", Dequantize(), ("b2",), "y"))
    quantized = {n: replace(graph.tensors[n], dtype=INT8, qparams=QParams.per_tensor(0.1)) for n in ("a", "b2")}
    result = normalize(replace(graph, tensors={**graph.tensors, **quantized}))
    assert text(result) == "relu"
    assert (result.inputs, result.outputs) == (("a",), ("b2",))
    assert {tensor.dtype for tensor in result.tensors.values()} == {INT8}


def test_unequal_scales_meet_before_a_concatenation() -> None:
    """0.1 and 0.2 are joined at 0.2: the first input is rescaled, the second is not."""
    graph = build(relu("x", "a"), relu("x", "b2"), ("concatenation", Concatenation(3), ("a", "b2"), "y"))
    scales = {"x": 0.1, "a": 0.1, "b2": 0.2, "y": 0.2}
    quantized = {n: replace(graph.tensors[n], dtype=INT8, qparams=QParams.per_tensor(s)) for n, s in scales.items()}
    result = normalize(replace(graph, tensors={**graph.tensors, **quantized}))
    assert text(result) == "relu relu quantize concatenation"
    rescaled = result.nodes[2].outputs[0]
    assert result.nodes[3].inputs == (rescaled, "b2")
    assert result.tensors[rescaled].qparams is quantized["y"].qparams


def test_a_float_in_the_middle_of_integers_is_an_obstacle() -> None:
    graph = build(relu("x", "a"), ("dequantize", Dequantize(), ("a",), "b2"), relu("b2", "y"))
    quantized = {n: replace(graph.tensors[n], dtype=INT8, qparams=QParams.per_tensor(0.1)) for n in ("x", "a")}
    with pytest.raises(TinyptqError, match="RELU computes in floats between integer operators"):
        normalize(replace(graph, tensors={**graph.tensors, **quantized}))


def test_no_pass_touches_an_operator_it_does_not_know() -> None:
    """A refused add between a convolution and a relu: all stay, and the reason is told."""
    graph = build(conv("a"), ("add", Add(), ("a", "c3"), "s"), relu("s", "y"))
    refused = replace(graph.nodes[1], op="foreign add", attrs=Foreign("ADD", "fused activation number 4"))
    result = simplify(replace(graph, nodes=(graph.nodes[0], refused, graph.nodes[2])))
    assert text(result) == "conv_2d foreign add relu"
    assert obstacles(result) == ["ADD: fused activation number 4 (operator 1 's')"]


def test_an_output_that_is_an_input_is_copied() -> None:
    result = simplify(replace(build(relu("x", "y")), outputs=("x", "y")))
    assert text(result) == "relu reshape"
    assert result.outputs == ("x_copy", "y")
    assert result.nodes[1].inputs == ("x",)


def test_an_output_that_is_a_constant_is_an_obstacle() -> None:
    graph = replace(build(relu("x", "y"), conv("z")), outputs=("y", "w"))
    assert obstacles(graph) == ["output does not depend on any operator (output 'w')"]


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(graphs(max_nodes=10))
def test_passes_keep_the_meaning_of_random_graphs(graph: Graph) -> None:
    result = simplify(graph)
    assert_same_outputs(graph, result)
    assert len(result.nodes) <= len(graph.nodes)
    again = simplify(result)
    assert text(again) == text(result), "a second round must find nothing left"


def test_every_pass_says_before_and_after() -> None:
    for step in PASSES:
        assert "Before:" in (step.__doc__ or "") and "After:" in (step.__doc__ or ""), step.__name__
