"""WHILE loops of a real converter: taken for the layers they are; altered, never for the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.shared import ROOT, shared_path
from tinyptq import pipeline, verbs
from tinyptq.float_run import run_float
from tinyptq.frontend.affine import Atom, Products, UnrecognizedError, add, atom_form, constant_form, linear, same
from tinyptq.frontend.loops import Layers, read_loop, read_loops
from tinyptq.frontend.shapes import settle_shapes
from tinyptq.frontend.subgraphs import FileOperator, Subgraph, read_subgraphs
from tinyptq.frontend.tflite import load_tflite
from tinyptq.graph import Array, Tensor
from tinyptq.obstacles import obstacles
from tinyptq.ops.base import TfliteOperator
from tinyptq.passes import normalize, simplify

FILE = ROOT / "tests" / "fixtures" / "loops" / "recurrent.tflite"
LISTS = FILE.with_name("lists.tflite")
LOOPS = range(5)
SHAPES = ("RESHAPE", "CONCATENATION", "SLICE", "SPLIT", "STRIDED_SLICE")
SWAPS = {"LOGISTIC": "TANH", "TANH": "LOGISTIC", "ADD": "SUB", "SUB": "ADD", "MUL": "ADD", "LESS": "ADD"}


def litert(model: bytes, x: Array) -> Array:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    results = []
    for sample in x:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], sample[None])
        interpreter.invoke()
        results.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
    return np.stack(results)


def test_loops_compute_what_litert_computes() -> None:
    graph = load_tflite(FILE.read_bytes())
    assert [node.op for node in graph.nodes].count("gru") == 2
    assert [node.op for node in graph.nodes].count("unidirectional_sequence_lstm") == 2
    assert [node.op for node in graph.nodes].count("simple_rnn") == 1
    x = np.random.default_rng(0).standard_normal((6, 5, 2)).astype(np.float32)
    simple = normalize(graph)
    found = run_float(simple, {simple.inputs[0]: x})[simple.outputs[0]]
    assert np.abs(found - litert(FILE.read_bytes(), x)).max() < 1e-5


def test_lists_of_tensors_are_the_same_loops() -> None:
    """LiteRT runs no TensorFlow operators; the same layers without them say what is right."""
    graph, same = (normalize(load_tflite(path.read_bytes())) for path in (LISTS, FILE))
    x = np.random.default_rng(1).standard_normal((6, 5, 2)).astype(np.float32)
    found, wanted = (run_float(g, {g.inputs[0]: x})[g.outputs[0]] for g in (graph, same))
    assert np.array_equal(found, wanted)


def test_unrolled_layers_simply_work(tmp_path: Path) -> None:
    """No loop at all: dozens of small operators, sequences with time first."""
    path = FILE.with_name("unrolled.tflite")
    x = np.random.default_rng(2).standard_normal((40, 3, 2)).astype(np.float32)
    graph = normalize(load_tflite(path.read_bytes()))
    found = run_float(graph, {graph.inputs[0]: x[:6]})[graph.outputs[0]]
    assert np.abs(found - litert(path.read_bytes(), x[:6])).max() < 1e-5
    np.save(tmp_path / "samples.npy", x)
    built = pipeline.build(path, board="host", calibration=tmp_path / "samples.npy", output=tmp_path / "out")
    assert built.report["verification"]["differing_bytes"] == 0
    pytest.importorskip("tflite_micro")
    *_, against = verbs.verify(built.directory, against="tflm")
    assert against.comparison.equal, against.as_json()


def test_the_trained_loop_has_the_weights_of_its_keras_file() -> None:
    """Gates in the same order, and bias added to the last bit."""
    from tinyptq.frontend.keras import load_keras

    folder = ("models", "trained_keras")
    loop = load_tflite(shared_path(*folder, "gunpoint_lstm_float.tflite").read_bytes())
    layer = load_keras(shared_path(*folder, "gunpoint_lstm.keras"))
    pair = [next(n for n in g.nodes if n.op == "unidirectional_sequence_lstm") for g in (loop, layer)]
    for first, second in zip(pair[0].inputs[1:], pair[1].inputs[1:], strict=True):
        assert np.array_equal(loop.tensors[first].data, layer.tensors[second].data)


def read(file: Path) -> tuple[Subgraph, ...]:
    """The graphs of a file, the first one's shapes settled, as the importer has them when it comes to loops."""
    main, *others = read_subgraphs(file.read_bytes(), "file")
    tensors = {tensor.name: tensor for tensor in main.operands.tensors}
    settled = settle_shapes(main.operators, tensors, main.operands.unknown, frozenset())
    return replace(main, operators=settled.operators), *others


def loop_of(graphs: tuple[Subgraph, ...], number: int) -> tuple[FileOperator, int, int]:
    """(the loop, its condition and body)"""
    item = [item for item in graphs[0].operators if item.operator.builtin == "WHILE"][number]
    return item, item.operator.options.CondSubgraphIndex(), item.operator.options.BodySubgraphIndex()


def attempt(graphs: tuple[Subgraph, ...], item: FileOperator) -> Layers | str:
    tensors = {tensor.name: tensor for tensor in graphs[0].operands.tensors}
    return read_loop(item, graphs, tensors, frozenset(), graphs[0].operators)


def with_operator(
    graphs: tuple[Subgraph, ...], graph: int, place: int, operator: TfliteOperator
) -> tuple[Subgraph, ...]:
    operators = list(graphs[graph].operators)
    operators[place] = replace(operators[place], operator=operator)
    altered = replace(graphs[graph], operators=tuple(operators))
    return (*graphs[:graph], altered, *graphs[graph + 1 :])


def alterations(operator: TfliteOperator) -> Iterator[tuple[str, TfliteOperator]]:
    """The same operator, computing something else."""
    if operator.builtin in SWAPS:
        yield f"{operator.builtin} -> {SWAPS[operator.builtin]}", replace(operator, builtin=SWAPS[operator.builtin])
    if operator.builtin in ("SUB", "LESS", "GATHER", "SLICE", "CUSTOM"):
        yield f"{operator.builtin} reversed", replace(operator, inputs=operator.inputs[::-1])
    if operator.builtin == "SPLIT":
        yield "SPLIT reversed", replace(operator, outputs=operator.outputs[::-1])
    if operator.builtin == "CONCATENATION" and len(operator.inputs) == 3:
        yield "rows reversed", replace(operator, inputs=operator.inputs[::-1])
    for place, tensor in enumerate(operator.inputs):
        if tensor is not None and tensor.data is not None and tensor.dtype == np.int32 and tensor.data.any():
            changed = replace(tensor, data=tensor.data - 1 if operator.builtin == "LESS" else tensor.data + 1)
            yield (
                f"{operator.builtin} with {changed.data.reshape(-1).tolist()}",
                replace(operator, inputs=(*operator.inputs[:place], changed, *operator.inputs[place + 1 :])),
            )


def equal_layers(first: Layers, second: Layers) -> bool:
    """The same operators with the same numbers."""
    data = [[tensor.data for tensor in layers.tensors if tensor.data is not None] for layers in (first, second)]
    alike = [(node.op, node.attrs) for node in first.nodes] == [(node.op, node.attrs) for node in second.nodes]
    return alike and all(np.array_equal(a, b) for a, b in zip(*data, strict=True))


@pytest.mark.parametrize("number", LOOPS)
@pytest.mark.parametrize("file", [FILE, LISTS], ids=["rows", "lists"])
def test_an_altered_loop_is_never_taken_for_the_same_layer(file: Path, number: int) -> None:
    graphs = read(file)
    item, condition, body = loop_of(graphs, number)
    original = attempt(graphs, item)
    assert isinstance(original, Layers)
    tried = 0
    for graph in (condition, body):
        for place, inside in enumerate(graphs[graph].operators):
            for what, operator in alterations(inside.operator):
                found = attempt(with_operator(graphs, graph, place, operator), item)
                tried += 1
                if isinstance(found, Layers):
                    # a shape that only names a size, an end beyond the end, gates in another order: what else
                    assert inside.operator.builtin in SHAPES or not equal_layers(found, original), what
    assert tried > 10


def test_every_condition_is_read() -> None:
    """A loop that begins with something else than zeros, ends elsewhere, or whose results are read, is refused."""
    graphs = read(FILE)
    item, _, _ = loop_of(graphs, 1)
    for place, tensor in enumerate(item.operator.inputs):
        assert tensor is not None
        if tensor.data is not None:
            inputs = list(item.operator.inputs)
            inputs[place] = replace(tensor, data=tensor.data + 1)
            found = attempt(graphs, replace(item, operator=replace(item.operator, inputs=tuple(inputs))))
            assert isinstance(found, str) and "does not begin with" in found
    tensors = {tensor.name: tensor for tensor in graphs[0].operands.tensors}
    reasons = [read_loop(item, graphs, tensors, frozenset({output.name})) for output in item.operator.outputs]
    assert [isinstance(reason, str) for reason in reasons].count(True) == 4  # counters, cell state, sequence
    assert any(isinstance(reason, str) and "its cell state is read" in reason for reason in reasons)
    short = replace(item, operator=replace(item.operator, inputs=item.operator.inputs[:-1]))
    assert "differ between condition and body" in str(attempt(graphs, short))
    assert "does not exist" in str(attempt(graphs[:1], item))
    assert "convert with unroll=True" in str(attempt(graphs[:1], item))


def test_names_of_constants_are_fresh() -> None:
    graphs = read(FILE)
    main = graphs[0]
    item, _, _ = loop_of(graphs, 0)
    taken = Tensor(f"{item.name}/states", (1,), np.dtype(np.float32))
    tensors = {**{tensor.name: tensor for tensor in main.operands.tensors}, taken.name: taken}
    found = read_loops(main.operators, graphs, tensors)
    assert not set(found.tensors) & set(tensors) and len(found.nodes) == len(LOOPS) and not found.refused


def test_a_loop_that_is_no_layer_is_one_obstacle() -> None:
    data = FILE.read_bytes()
    graphs = read_subgraphs(data, "file")
    _, _, body = loop_of(graphs, 0)
    place = next(i for i, item in enumerate(graphs[body].operators) if item.operator.builtin == "TANH")
    operator = graphs[body].operators[place].operator
    altered = with_operator(graphs, body, place, replace(operator, builtin="LOGISTIC"))
    found = read_loops(altered[0].operators, altered, {t.name: t for t in altered[0].operands.tensors})
    (reason,) = found.refused.values()
    assert reason.startswith("a loop that is no LSTM, GRU or simple RNN: its 1 states follow other equations; give the")
    assert obstacles(simplify(load_tflite(data))) == []


def test_algebra_on_paper() -> None:
    """(1 − z) n + z h = n − z n + z h; a matrix times (a + 1) is matrix · a + its row sums."""
    z, n, h = (atom_form(Atom("input", 2)) for _ in range(3))
    products = Products()
    one = constant_form(np.ones(1, np.float32))
    spelled = add(products.multiply(add(one, z, -1.0), n), products.multiply(z, h))
    short = add(n, products.multiply(z, add(h, n, -1.0)))
    assert same(spelled, short) and len(short.terms) == 3
    moved = linear(np.float32([[1, 2], [3, 4]]), add(z, one))
    assert moved.bias.tolist() == [3, 7] and [m.tolist() for m in moved.terms.values()] == [[[1, 2], [3, 4]]]
    assert same(products.multiply(constant_form(np.float32([2, 3])), z), linear(np.diag([2.0, 3.0]), z))
    with pytest.raises(UnrecognizedError, match="2 and 3 elements"):
        add(z, constant_form(np.ones(3)))
