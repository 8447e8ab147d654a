"""A changed byte is found and named with its layer and index; equality is only claimed of something compared."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.programs import chain_program, random_inputs, run_numpy_layers
from tests.tiny_tflite import Wiring, model_bytes
from tinyptq.errors import EXIT_MISMATCH, TinyptqError
from tinyptq.graph import Array, QParams, Tensor
from tinyptq.ops.base import TfliteCode
from tinyptq.tflm import run_tflm
from tinyptq.verify import Checkpoint, checkpoints, compare, require_equal, verify_against_tflm

ORDER = (Checkpoint(0, "stem", "a"), Checkpoint(1, "residual", "b"), Checkpoint(2, "head", "c"))


def tensors() -> dict[str, Array]:
    generator = np.random.default_rng(0)
    shapes = {"a": (4, 3, 3, 2), "b": (4, 5), "c": (4, 2)}
    return {name: generator.integers(-128, 128, shape).astype(np.int8) for name, shape in shapes.items()}


def test_equal() -> None:
    comparison = compare(tensors(), tensors(), ORDER)
    assert comparison.equal
    assert (comparison.layers, comparison.samples, comparison.compared_bytes) == (3, 4, 4 * (18 + 5 + 2))
    assert comparison.differing_bytes == 0
    assert require_equal(comparison, "firmware") is comparison


@given(data=st.data(), name=st.sampled_from(["a", "b", "c"]), change=st.integers(1, 255))
def test_any_single_byte_is_found(data: st.DataObject, name: str, change: int) -> None:
    expected, actual = tensors(), tensors()
    index = tuple(data.draw(st.integers(0, extent - 1)) for extent in expected[name].shape)
    actual[name].view(np.uint8)[index] ^= change
    comparison = compare(expected, actual, ORDER)
    (mismatch,) = comparison.mismatches
    assert not comparison.equal
    assert (mismatch.layer, mismatch.value, mismatch.index) == ("abc".index(name), name, index)
    assert mismatch.expected == expected[name][index]
    assert mismatch.actual == actual[name][index]
    assert mismatch.differing_bytes == comparison.differing_bytes == 1


def test_the_first_layer_and_index_are_named() -> None:
    expected, actual = tensors(), tensors()
    actual["c"][:] += 1
    actual["b"][2, 3] += 1
    actual["b"][3, 0] += 1
    comparison = compare(expected, actual, ORDER)
    assert [m.layer for m in comparison.mismatches] == [1, 2]
    assert [m.differing_bytes for m in comparison.mismatches] == [2, 8]
    with pytest.raises(TinyptqError) as caught:
        require_equal(comparison, "firmware")
    assert caught.value.exit_code == EXIT_MISMATCH
    assert "firmware differs from the simulator in 10 of 100 bytes" in str(caught.value)
    assert "layer 1 'residual', sample 2, index (3,)" in str(caught.value)


def test_wide_integers_count_bytes() -> None:
    point = (Checkpoint(0, "wide", "x"),)
    comparison = compare({"x": np.array([[0x0102]], np.int16)}, {"x": np.array([[0x0103]], np.int16)}, point)
    assert (comparison.differing_bytes, comparison.compared_bytes) == (1, 2)


def test_a_flat_trace_is_enough() -> None:
    flat = {name: array.reshape(len(array), -1) for name, array in tensors().items()}
    assert compare(tensors(), flat, ORDER).equal


def test_comparing_nothing_is_not_equality() -> None:
    empty = {name: array[:0] for name, array in tensors().items()}
    comparison = compare(empty, empty, ORDER)
    assert not comparison.equal
    with pytest.raises(TinyptqError, match="nothing was compared"):
        require_equal(comparison, "firmware")
    assert not compare({}, {}, ()).equal


@pytest.mark.parametrize("side", [0, 1], ids=["expected", "actual"])
def test_missing_or_short_tensors_are_refused(side: int) -> None:
    for change in (lambda t: t.pop("b"), lambda t: t.update(b=t["b"][:3]), lambda t: t.update(b=t["b"].astype(int))):
        both = [tensors(), tensors()]
        change(both[side])
        with pytest.raises(TinyptqError, match="layer 1 'residual'"):
            compare(both[0], both[1], ORDER)


def test_against_tflm() -> None:
    pytest.importorskip("tflite_micro", reason="tflite-micro is not installed")
    program = chain_program(3)
    expected = run_numpy_layers(program, random_inputs(np.random.default_rng(0), program, 3))
    comparison = verify_against_tflm(program, expected)
    assert comparison.equal
    assert comparison.layers == 3
    assert comparison.compared_bytes == sum(expected[p.value].nbytes for p in checkpoints(program))
    expected["t2"] = expected["t2"].copy()
    expected["t2"][1, 4, 5, 2] ^= 1
    (mismatch,) = verify_against_tflm(program, expected).mismatches
    assert (mismatch.layer, mismatch.name, mismatch.index) == (1, "layer1", (1, 4, 5, 2))


def chain(count: int) -> bytes:
    """A model of `count` tensors, each the absolute value of the one before."""
    tensors = [Tensor(f"t{i}", (1, 4), np.dtype(np.int8), None, QParams.per_tensor(0.1, 3)) for i in range(count)]
    wiring: Wiring = [(TfliteCode("ABS"), [i], [i + 1]) for i in range(count - 1)]
    return model_bytes(tensors, wiring, [0], [count - 1])


def test_what_tflite_micro_s_planner_cannot_hold_is_said_in_one_line() -> None:
    """1024 tensors are as many as it plans, whatever the arena; a long GRU is spelled out in more."""
    pytest.importorskip("tflite_micro")
    x = {"t0": np.array([[-128, -3, 5, 127]], np.int8)}
    assert len(run_tflm(chain(1024), x)) == 1024
    with pytest.raises(TinyptqError, match="plans at most 1024 tensors, the model has 1025") as caught:
        run_tflm(chain(1025), x)
    assert "\n" not in str(caught.value)
