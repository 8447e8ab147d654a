"""DEQUANTIZE: nothing in float; as an integer layer it is refused."""

from __future__ import annotations

from tests.laws import draw
from tests.ops.refusals import broken, sentences
from tinyptq.ops import dequantize
from tinyptq.ops.dequantize import Dequantize


def test_in_float_it_changes_nothing() -> None:
    x = draw("identity", 2, 5)
    assert dequantize.run_float(Dequantize(), x) is x
    assert dequantize.infer_shapes(Dequantize(), (1, 5)) == ((1, 5),)


def test_an_integer_layer_is_refused() -> None:
    assert broken(dequantize.OP, Dequantize(), (1, 5)) == ["at_the_end"]
    assert sentences(dequantize.OP) == [
        "It stands where the model ends, or behind constants: in between there are only integers."
    ]
