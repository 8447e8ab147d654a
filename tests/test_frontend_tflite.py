"""Reading .tflite: every intermediate tensor equals LiteRT's, and no damage to the bytes gets past the reader."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data import dataset
from tests.shared import shared_path
from tests.tiny_tflite import model_bytes as write_model
from tinyptq.errors import TinyptqError
from tinyptq.float_run import run_float
from tinyptq.frontend import load_model
from tinyptq.frontend.dequantized_copy import dequantized_copy
from tinyptq.frontend.tflite import load_tflite
from tinyptq.graph import Array, Graph, QParams, Tensor
from tinyptq.litert import compare_with_litert
from tinyptq.obstacles import obstacles
from tinyptq.ops.base import TfliteCode
from tinyptq.passes import normalize, simplify

FLOAT32, INT8, INT32 = np.dtype(np.float32), np.dtype(np.int8), np.dtype(np.int32)
TOLERANCE = 1e-4  # of the tensor's largest value
MODELS = {
    "mlperf_tiny/ic/pretrainedResnet": "ic",
    "mlperf_tiny/kws/kws_ref_model_float32": "kws",
    "mlperf_tiny/vww/vww_96_float": "vww",
    "mlperf_tiny/ad/ad01_fp32": "ad",
    "tflm/hello_world_float": "hello",
    "keras3/uraich_hello_world_float": "hello",
    "trained_keras/digits_mlp_float": "digits",
    "trained_keras/har_conv1d_float": "har",
    "trained_keras/mnist_dscnn_float": "mnist",
}


def model_bytes(name: str) -> bytes:
    return shared_path("models", f"{name}.tflite").read_bytes()


def interpreter(data: bytes) -> Any:
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")
    found = litert.Interpreter(
        model_content=data,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    found.allocate_tensors()
    return found


def real_and_random(name: str, count: int = 3) -> Array:
    """Real samples, then random ones over their whole range. [2 · count, ...]"""
    real = dataset(MODELS[name])[0][:count]
    return np.concatenate([real, np.random.default_rng(3).uniform(real.min(), real.max(), real.shape)]).astype(FLOAT32)


def worst(ours: Array, theirs: Array) -> float:
    return float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-30))


@pytest.mark.parametrize("name", MODELS)
def test_every_intermediate_tensor_equals_litert(name: str) -> None:
    data = dequantized_copy(model_bytes(name))
    graph, x = load_tflite(data), real_and_random(name)
    assert obstacles(graph) == []
    ours = run_float(graph, {graph.inputs[0]: x})
    reference = interpreter(data)
    indices = {detail["name"]: detail["index"] for detail in reference.get_tensor_details()}
    compared = [node.outputs[0] for node in graph.nodes]
    for i, sample in enumerate(x):
        reference.set_tensor(reference.get_input_details()[0]["index"], sample[None])
        reference.invoke()
        for tensor in compared:
            assert worst(ours[tensor][i : i + 1], reference.get_tensor(indices[tensor])) < TOLERANCE, (tensor, i)


@pytest.mark.parametrize("name", MODELS)
def test_outputs_equal_litert_after_all_passes(name: str) -> None:
    data = model_bytes(name)
    graph = load_tflite(data)
    report = compare_with_litert(data, graph, {graph.inputs[0]: real_and_random(name)})
    if report is None:
        pytest.skip("ai-edge-litert is not installed")
    assert report.samples == 6
    assert report.relative < TOLERANCE


def test_litert_comparison_sees_a_wrong_import() -> None:
    data = model_bytes("trained_keras/digits_mlp_float")
    graph = load_tflite(data)
    bias = graph.nodes[1].inputs[2]
    spoiled = {**graph.tensors, bias: Tensor(bias, (32,), FLOAT32, np.linspace(-9, 9, 32, dtype=FLOAT32))}
    wrong = Graph(graph.name, spoiled, graph.nodes, graph.inputs, graph.outputs)
    report = compare_with_litert(data, wrong, {graph.inputs[0]: dataset("digits")[0][:2]})
    assert report is None or report.relative > 0.1


def test_dequantized_copy_holds_the_floats_the_integers_stand_for() -> None:
    data = model_bytes("mlperf_tiny/kws/kws_ref_model_float32")
    before, after = interpreter(data), interpreter(dequantized_copy(data))
    weights = {name for name, tensor in load_tflite(data).tensors.items() if tensor.dtype == INT8}
    integer = [d for d in before.get_tensor_details() if d["name"] in weights and d["dtype"] is np.int8]
    assert len(integer) == 5
    for detail in integer:
        scale, zero_point = detail["quantization"]
        expected = (before.get_tensor(detail["index"]).astype(np.float64) - zero_point) * scale
        np.testing.assert_allclose(after.get_tensor(detail["index"]), expected, rtol=1e-6)
    unchanged = model_bytes("trained_keras/digits_mlp_float")
    assert dequantized_copy(unchanged) == unchanged


@pytest.mark.parametrize(
    "name", ["mlperf_tiny/kws/kws_ref_model", "tflm/person_detect", "mlperf_tiny/sww/str_ww_ref_model"]
)
def test_int8_models_load_with_their_scales(name: str) -> None:
    graph = load_tflite(model_bytes(name))
    output = graph.tensors[graph.outputs[0]]
    assert output.dtype == INT8 and output.qparams is not None and output.qparams.scale[0] == 1 / 256
    assert graph.tensors[graph.inputs[0]].shape[0] == 1
    assert [node.name for node in normalize(graph).nodes] == [node.name for node in graph.nodes]


def test_unsupported_operators_are_listed_all_at_once() -> None:
    tensors = [Tensor(name, (1, 4), FLOAT32) for name in "xyz"]
    wiring = [(TfliteCode("SEGMENT_SUM"), [0], [1]), (TfliteCode("UNIQUE"), [1], [2])]
    graph = load_tflite(write_model(tensors, wiring, [0], [2]))
    with pytest.raises(TinyptqError) as caught:
        normalize(graph)
    assert caught.value.reference == "unsupported"
    assert "SEGMENT_SUM: no such operator here, what works: " in str(caught.value)
    assert "(operator 0 'y'); UNIQUE: no such operator here" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["tflm/trained_lstm", "tflm/trained_lstm_int8", "tflm/keyword_scrambled"])
def test_models_with_state_load(name: str) -> None:
    """An operator's own state is no obstacle."""
    graph = load_tflite(model_bytes(name))
    assert {"unidirectional_sequence_lstm", "svdf"} & {node.op for node in graph.nodes}
    listed = " ".join(obstacles(graph))
    assert "LSTM" not in listed and "SVDF" not in listed and "state" not in listed


# Models made here: x [1, 4] -> FULLY_CONNECTED -> y [1, 2], and what can be odd about it.


def dense(**changes: Any) -> bytes:
    names = changes.get("names", ("x", "w", "b", "y"))
    weights = np.arange(8, dtype=np.float32).reshape(2, 4) - 3
    tensors = [
        Tensor(names[0], changes.get("input_shape", (1, 4)), FLOAT32),
        changes.get("weights", Tensor(names[1], (2, 4), FLOAT32, weights)),
        Tensor(names[2], (2,), FLOAT32, np.array([1, -1], np.float32)),
        Tensor(names[3], changes.get("output_shape", (1, 2)), FLOAT32),
    ]
    activation = changes.get("activation", 0)
    code = TfliteCode("FULLY_CONNECTED", "FullyConnectedOptions", {"FusedActivationFunction": activation})
    return write_model(tensors, [(code, changes.get("operands", [0, 1, 2]), [3])], [0], [3])


def ones(graph: Graph) -> Array:
    x = np.ones((1, 4), np.float32)
    return run_float(graph, {graph.inputs[0]: x})[graph.outputs[0]]


def test_a_layer_by_hand() -> None:
    """Rows of w: −3 −2 −1 0 and 1 2 3 4; sums −6 and 10, plus the bias 1 and −1."""
    graph = load_tflite(dense())
    assert (graph.inputs, graph.outputs) == (("x",), ("y",))
    assert graph.nodes[0].source == "operator 0 'y'"
    assert ones(graph).tolist() == [[-5.0, 9.0]]


def test_an_absent_bias_is_dropped() -> None:
    assert ones(load_tflite(dense(operands=[0, 1, -1]))).tolist() == [[-6.0, 10.0]]


def test_hybrid_weights_are_dequantized() -> None:
    """scale 0.5: integers −6 … 8 stand for the same weights."""
    integers = np.arange(-6, 10, 2).astype(np.int8).reshape(2, 4)
    hybrid = Tensor("w", (2, 4), INT8, integers, QParams.per_tensor(0.5))
    graph = normalize(load_tflite(dense(weights=hybrid)))
    assert ones(graph).tolist() == [[-5.0, 9.0]]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("x", "x", "x", "x"), ("x", "x_2", "x_3", "x_4")),
        (("", "", "", ""), ("tensor", "tensor_2", "tensor_3", "tensor_4")),
        (("a", "a", "a_2", "a"), ("a", "a_3", "a_2", "a_4")),
        (('"*/', "../../etc\n", "ünï\0", "%s{{x}}"), ('"*/', "../../etc\n", "ünï\0", "%s{{x}}")),
    ],
)
def test_names_are_made_unique_and_otherwise_kept(names: tuple[str, ...], expected: tuple[str, ...]) -> None:
    graph = load_tflite(dense(names=names))
    assert tuple(graph.tensors) == expected
    assert ones(graph).tolist() == [[-5.0, 9.0]]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"output_shape": (1, 3)}, r"output shapes are \[1, 2\], the file declares \[1, 3\]"),
        ({"activation": 4}, "fused activation number 4"),
        ({"input_shape": (1, 5)}, "FULLY_CONNECTED needs: "),
        ({"weights": Tensor("w", (2, 4), INT32, np.ones((2, 4), np.int32))}, "tensor is int32, not float32"),
        ({"weights": Tensor("w", (2, 4), FLOAT32, np.full((2, 4), np.nan, np.float32))}, "not-a-number"),
    ],
)
def test_what_cannot_be_compiled_is_refused_in_words(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(TinyptqError, match=complaint) as caught:
        normalize(load_tflite(dense(**changes)))
    assert caught.value.reference == "unsupported"


def test_custom_and_unknown_operators_are_named() -> None:
    tensors = [Tensor("x", (1, 4), FLOAT32), Tensor("y", (1, 4), FLOAT32), Tensor("z", (1, 4), FLOAT32)]
    wiring = [(TfliteCode("CUSTOM"), [0], [1]), (TfliteCode("SIN"), [1], [2])]
    graph = load_tflite(write_model(tensors, wiring, [0], [2]))
    assert obstacles(graph) == [
        "custom operator '': no such operator here, what works: leave it out of the model, and do it in C before or "
        "behind (operator 0 'y')",
        "SIN: no such operator here, what works: only as part of a function of one tensor and single numbers "
        "(operator 1 'z')",
    ]


def test_shape_arithmetic_that_only_feeds_a_reshape_is_dropped() -> None:
    """What TensorFlow writes for Flatten when the batch is open: SHAPE beside the tensor, into RESHAPE."""
    tensors = [
        Tensor("x", (1, 2, 2), FLOAT32),
        Tensor("shape", (2,), INT32),
        Tensor("flat", (1, 4), FLOAT32),
        Tensor("y", (1, 4), FLOAT32),
    ]
    wiring = [
        (TfliteCode("SHAPE"), [0], [1]),
        (TfliteCode("RESHAPE"), [0, 1], [2]),
        (TfliteCode("LOGISTIC"), [2], [3]),
    ]
    graph = normalize(load_tflite(write_model(tensors, wiring, [0], [3])))
    assert [node.op for node in graph.nodes] == ["reshape", "logistic"]


# Damage. Whatever the bytes, the reader answers with a graph or with one TinyptqError.


def survives(data: bytes) -> None:
    """Load, simplify, and run what is left without obstacles (if it is small)."""
    try:
        simplified = simplify(load_tflite(data))
    except TinyptqError as error:
        complaint = (error.reference, "\n" in str(error))
    else:
        complaint = None
    if complaint is not None:
        assert complaint in (("bad-tflite", False), ("bad-graph", False))
        return
    small = all(np.prod(tensor.shape) <= 1 << 16 for tensor in simplified.tensors.values())
    if small and not obstacles(simplified):
        inputs = {name: np.zeros(simplified.tensors[name].shape, np.float32) for name in simplified.inputs}
        with suppress(TinyptqError):  # results that are not finite
            run_float(simplified, inputs)


def victims() -> list[bytes]:
    names = ("tflm/hello_world_float", "trained_keras/har_conv1d_float", "tflm/hello_world_int8")
    return [dense(), *(model_bytes(name) for name in names)]


def test_truncated_models_are_refused() -> None:
    for data in victims():
        for size in np.unique(np.linspace(0, len(data) - 1, 100).astype(int)):
            survives(data[:size])
    for size in range(64):
        with pytest.raises(TinyptqError):
            load_tflite(dense()[:size])


@pytest.mark.parametrize("seed", range(8))
def test_flipped_bytes_never_escape_the_reader(seed: int) -> None:
    generator = np.random.default_rng(seed)
    for data in victims():
        for _ in range(40):
            damaged = bytearray(data)
            for position in generator.integers(0, len(data), generator.integers(1, 12)):
                damaged[position] = generator.integers(0, 256)
            survives(bytes(damaged))


@pytest.mark.parametrize("seed", range(4))
def test_hostile_words_never_escape_the_reader(seed: int) -> None:
    """32-bit words replaced by lengths and offsets that lie: the structure lies in the first and last kilobytes."""
    generator = np.random.default_rng(seed)
    words = [0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 0xFFFFFFF0, 0x01000000, 4, 0x10000]
    for data in victims():
        for _ in range(60):
            damaged = bytearray(data)
            start = int(generator.choice([8, max(8, len(data) - 1500)]))
            position = min(start + 4 * int(generator.integers(0, 375)), len(data) - 4)
            struct.pack_into("<I", damaged, position, int(generator.choice(words)))
            survives(bytes(damaged))


def test_random_bytes_behind_the_identifier_are_refused() -> None:
    generator = np.random.default_rng(0)
    for size in (8, 9, 20, 100, 5000):
        for _ in range(20):
            survives(generator.bytes(4) + b"TFL3" + generator.bytes(size - 8))


# Files: what is a model is decided by its content.


@pytest.mark.parametrize(
    ("file", "content", "reference"),
    [
        ("a.tflite", b"", "bad-tflite"),
        ("a.tflite", b"\x1c\0\0\0TFL", "bad-tflite"),
        ("a.tflite", b"\x1c\0\0\0TFL3", "bad-tflite"),
        ("a.keras", b"nonsense", "bad-keras"),
        ("a.h5", b"nonsense", "bad-keras"),
        ("saved_model.pb", b"\x08\x01\x12", "unknown-model"),
        ("a.onnx", b"\x08\x01\x12", "unknown-model"),
        ("a", b"", "unknown-model"),
    ],
)
def test_files_that_are_no_model(tmp_path: Path, file: str, content: bytes, reference: str) -> None:
    (tmp_path / file).write_bytes(content)
    with pytest.raises(TinyptqError) as caught:
        load_model(tmp_path / file)
    assert caught.value.reference == reference
    assert file in str(caught.value)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(TinyptqError, match="no such file"):
        load_model(tmp_path / "absent.tflite")
    with pytest.raises(TinyptqError, match="a folder"):
        load_model(tmp_path)


def test_content_decides_not_the_extension(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(dense())
    assert load_model(tmp_path / "model.bin").name == "model"
