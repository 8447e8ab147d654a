"""SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND: phases on paper, LiteRT's floats, and refusals in words."""

from __future__ import annotations

import numpy as np
import pytest

from tests import tiny_tflite
from tests.ops.refusals import broken, sentences
from tinyptq.errors import TinyptqError
from tinyptq.graph import Array, Tensor
from tinyptq.ops import BY_NAME, batch_to_space_nd, batches, space_to_batch_nd
from tinyptq.ops.base import TfliteCode, TfliteOperator
from tinyptq.ops.batches import Blocks

F32 = np.dtype(np.float32)
CASES = (
    Blocks((2, 2), (0, 0), (0, 0)),
    Blocks((2, 3), (1, 2), (1, 1)),
    Blocks((2,), (1,), (1,)),
)


def test_on_paper() -> None:
    """Even indices are the first sample, odd ones the second."""
    x = np.arange(5, dtype=np.float32).reshape(1, 5, 1)
    attrs = Blocks((2,), (0,), (1,))
    y = batches.space_to_batch(attrs, x)
    assert y[..., 0].tolist() == [[0, 2, 4], [1, 3, 0]]
    assert batches.batch_to_space(attrs, y).ravel().tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("attrs", CASES)
def test_float_equals_litert_there_and_back(attrs: Blocks) -> None:
    shape = (1, 4, 6, 3) if len(attrs.block) == 2 else (1, 6, 3)
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    for name in ("space_to_batch_nd", "batch_to_space_nd"):
        y = BY_NAME[name].run_float(attrs, x)
        assert BY_NAME[name].infer_shapes(attrs, x.shape) == (y.shape,)
        np.testing.assert_array_equal(y, litert(name, attrs, x, y))
        x = y


def litert(name: str, attrs: Blocks, x: Array, y: Array) -> Array:
    from ai_edge_litert.interpreter import Interpreter

    options = {"space_to_batch_nd": "SpaceToBatchNDOptions", "batch_to_space_nd": "BatchToSpaceNDOptions"}[name]
    operands = np.int32(attrs.block), np.int32([*zip(attrs.before, attrs.after, strict=True)])
    code = TfliteCode(name.upper(), options, operands=operands)
    model = tiny_tflite.write_layer((code,), (Tensor("in", x.shape, F32),), (Tensor("out", y.shape, F32),))
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    result: Array = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return result


def operator(shape: tuple[int, ...], *numbers: list[int]) -> TfliteOperator:
    arrays = [np.array(values, np.int32) for values in numbers]
    x, operands = Tensor("x", shape, F32), (Tensor("n", a.shape, a.dtype, a) for a in arrays)
    return TfliteOperator("SPACE_TO_BATCH_ND", None, (x, *operands), (x,))


def test_operands_are_read() -> None:
    assert batches.read_tflite(operator((1, 4, 6, 3), [2, 2], [0, 0, 1, 1])) == Blocks((2, 2), (0, 1), (0, 1))


HOSTILE = [([2, 2], [0, 0]), ([3, 2], [0, 0, 0, 0]), ([0, 2], [0] * 4), ([2, 2], [-2, 0, 0, 0]), ([2] * 4, [0] * 8)]


@pytest.mark.parametrize("numbers", HOSTILE)
def test_hostile_blocks_are_refused(numbers: tuple[list[int], list[int]]) -> None:
    with pytest.raises(TinyptqError):
        batches.read_tflite(operator((1, 4, 6, 3), *numbers))


def test_what_is_not_folded_is_refused_in_words() -> None:
    for op in (space_to_batch_nd.OP, batch_to_space_nd.OP):
        assert broken(op, CASES[0], (1, 4, 6, 3)) == ["part_of_a_dilated_convolution"]
        assert "a convolution without padding or stride" in " ".join(sentences(op))
