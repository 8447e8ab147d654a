"""ARG_MIN: ties on paper, the laws over inner and outer axes, a whole model whose output is int32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.laws import Case, c_law, file_law, float_law, int_law, parametrize
from tests.ops.reductions import index_cases
from tests.ops.refusals import broken
from tests.tiny_tflite import write_layer
from tinyptq.errors import TinyptqError
from tinyptq.frontend.tflite import load_tflite
from tinyptq.graph import Graph, Node, QParams, Tensor
from tinyptq.lower import lower
from tinyptq.obstacles import obstacles
from tinyptq.ops import arg_min
from tinyptq.ops.arg_min import ArgMin
from tinyptq.ops.base import Operand, TfliteCode, TfliteOperator
from tinyptq.ptq.quantize import choose_activations
from tinyptq.ptq.recipe import Recipe

OP = arg_min.OP
FLOAT32, INT32 = np.dtype(np.float32), np.dtype(np.int32)

CASES = index_cases(ArgMin)
WIDE = (
    Case("int16", ArgMin(2), ((1, 3, 4, 5),), "two bytes each", dtype="int16"),
    Case("int32", ArgMin(1), ((1, 9),), "four", dtype="int32"),
)


def test_on_paper() -> None:
    operand = Operand((1, 4), QParams.per_tensor(0.5, 1))
    params = OP.lower(ArgMin(1), (operand,), (Operand((1,), QParams.per_tensor(1.0)),))
    x = np.int8([[5, -7, 127, -7], [-1, -1, -1, -1], [-128, 0, 127, 1]])
    assert OP.run_int(params, x).tolist() == [1, 0, 0]


@parametrize(CASES)
def test_float_equals_litert(case: Case) -> None:
    float_law(OP, case)


@parametrize(CASES)
def test_integers_equal_tflm(case: Case) -> None:
    int_law(OP, case)


@parametrize(CASES)
def test_attributes_survive_a_file(case: Case) -> None:
    file_law(OP, case)


def test_c_equals_numpy(tmp_path: Path) -> None:
    c_law(OP, (*CASES, *WIDE), tmp_path)


def float_graph(output: np.dtype[np.int32] | np.dtype[np.int64]) -> Graph:
    tensors = {"x": Tensor("x", (1, 4), FLOAT32), "y": Tensor("y", (1,), output)}
    node = Node("arg_min", "label", ("x",), ("y",), ArgMin(1), "operator 0 'label'")
    return Graph("labels", tensors, (node,), ("x",), ("y",))


def test_the_program_writes_int32() -> None:
    graph = float_graph(INT32)
    assert obstacles(graph) == []
    choices = choose_activations(graph, {"x": (-1.0, 1.0), "y": (0.0, 3.0)}, "minmax")
    program = lower(graph, Recipe(choices, {}), "0" * 64)
    assert program.values["y"].dtype == INT32
    assert program.values["x"].dtype == np.int8


def test_indices_of_64_bits_are_refused() -> None:
    assert "tensor is int64" in obstacles(float_graph(np.dtype(np.int64)))[0]
    code = TfliteCode("ARG_MIN", "ArgMinOptions", {"OutputType": 4}, operands=(np.array([1], np.int32),))
    file = write_layer((code,), (Tensor("x", (1, 4), FLOAT32),), (Tensor("y", (1,), INT32),))
    assert "output_type=tf.int32" in obstacles(load_tflite(file))[0]


def test_refusals() -> None:
    assert broken(OP, ArgMin(1), (1, 5)) == []
    assert broken(OP, ArgMin(0), (1, 5)) == ["inner_axis"]


@pytest.mark.parametrize("axes", [[0, 1], [], [7]])
def test_hostile_axes_are_refused(axes: list[int]) -> None:
    operand = Tensor("axis", (len(axes),), INT32, np.array(axes, np.int32))
    with pytest.raises(TinyptqError, match="along ax"):
        OP.read_tflite(TfliteOperator("ARG_MIN", None, (Tensor("x", (1, 4), FLOAT32), operand), ()))
