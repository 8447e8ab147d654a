"""Models full of operators that move data: NumPy, tflite-micro and C agree in every byte; several outputs included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.c_model import run_c_model
from tests.keras_files import FIXTURES
from tests.programs import tflm_tensors
from tests.test_random_graphs import quantized, require_same, simulated
from tinyptq.float_run import run_float
from tinyptq.frontend.keras import load_keras
from tinyptq.graph import Graph, Node, Tensor, require_well_formed
from tinyptq.ops.add import Add
from tinyptq.ops.concatenation import Concatenation
from tinyptq.ops.pack import Pack
from tinyptq.ops.split import Split
from tinyptq.ops.unpack import Unpack
from tinyptq.passes import normalize
from tinyptq.verify import checkpoints, compare

F32 = np.dtype(np.float32)


def shuffle() -> Graph:
    """Channels split, one half added to the other; a sequence unpacked, its steps packed in another order."""
    shapes = {"x": (1, 3, 4), "a": (1, 3, 2), "b": (1, 3, 2), "sum": (1, 3, 2), "joined": (1, 3, 6)}
    shapes |= {"s0": (1, 6), "s1": (1, 6), "s2": (1, 6), "y": (1, 2, 6)}
    tensors = {name: Tensor(name, shape, F32) for name, shape in shapes.items()}
    nodes = (
        Node("split", "halves", ("x",), ("a", "b"), Split(2, (2, 2)), "operator 0"),
        Node("add", "sum", ("a", "b"), ("sum",), Add(), "operator 1"),
        Node("concatenation", "joined", ("sum", "x"), ("joined",), Concatenation(2), "operator 2"),
        Node("unpack", "steps", ("joined",), ("s0", "s1", "s2"), Unpack(1), "operator 3"),
        Node("pack", "y", ("s2", "s0"), ("y",), Pack(1), "operator 4"),
    )
    return require_well_formed(Graph("shuffle", tensors, nodes, ("x",), ("y",)), "drawing")


def test_several_outputs_in_float() -> None:
    x = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    tensors = run_float(shuffle(), {"x": x})
    assert tensors["b"].tolist() == [[[2, 3], [6, 7], [10, 11]]]
    assert tensors["y"].tolist() == [[[18, 20, 8, 9, 10, 11], [2, 4, 0, 1, 2, 3]]]


MODELS = {"shuffle": shuffle, "keras": lambda: normalize(load_keras(FIXTURES / "moves.keras"))}


@pytest.mark.parametrize("name", MODELS)
def test_three_computations_agree(name: str, tmp_path: Path) -> None:
    program = quantized(MODELS[name]())
    expected = simulated(program)
    require_same(compare(expected, tflm_tensors(program, expected), checkpoints(program)), program)
    require_same(compare(expected, run_c_model(program, expected, tmp_path), checkpoints(program)), program)
