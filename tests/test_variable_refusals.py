"""Variables that cannot be kept: one sentence says which and why; names and bytes of hostile files."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import tinyptq
from tests.refusals import HOSTILE
from tests.streaming_models import Draft, file_of, wake_word
from tests.variable_models import (
    SHAPE,
    begun,
    imported,
    reader,
)
from tinyptq.frontend.tflite import load_tflite
from tinyptq.graph import QParams, is_quantized
from tinyptq.lower import lower
from tinyptq.passes import normalize
from tinyptq.ptq.imported import imported_recipe
from tinyptq.samples import random_inputs
from tinyptq.simulate import simulate


def refusal(model: bytes) -> str:
    with pytest.raises(tinyptq.TinyptqError) as caught:
        imported(model)
    return str(caught.value)


def test_what_cannot_be_kept_is_refused_in_words() -> None:
    assert "variable 'v' is read and never assigned" in refusal(file_of(reader(assigned=None)))
    assert "is read as int8 [1, 4] and is assigned as int8 [1, 5]" in refusal(file_of(longer()))
    assert "beyond any microcontroller" in refusal(file_of(huge()))


def longer() -> Draft:
    model = reader(assigned=None)
    extra = model.tensor("extra", (1, 1), np.array([[1]], np.int8))
    handle = model.wiring[0][2][0]
    model.assign(handle, model.concat([model.inputs[0], extra], "five"))
    return model


def huge() -> Draft:
    """Four variables of 64 MiB in a file of a few hundred bytes."""
    model = Draft()
    x = model.input("x", (1, 1 << 26))
    for name in "abcd":
        handle = model.handle(name)
        x = model.add(x, model.read(handle, f"{name}_old", (1, 1 << 26)), f"{name}_new")
        model.assign(handle, x)
    model.outputs = [x]
    return model


def once(subgraph: int, *others: Draft) -> bytes:
    model = reader()
    model.call_once(subgraph)
    model.wiring.insert(0, model.wiring.pop())
    return file_of(model, *others)


def test_what_call_once_runs_must_assign_constants() -> None:
    assert "CALL_ONCE of subgraph 7, the file has 2" in refusal(once(7, Draft()))
    assert "subgraph 0, which CALL_ONCE runs, holds CALL_ONCE" in refusal(once(0))
    nested, computed = Draft(), Draft()
    nested.call_once(1)
    assert "subgraph 1, which CALL_ONCE runs, holds CALL_ONCE" in refusal(once(1, nested))
    ones = computed.tensor("ones", SHAPE, np.ones(SHAPE, np.int8))
    computed.assign(computed.handle("v"), computed.add(ones, ones, "twos"))
    assert "holds ADD, not only assignments of constants" in refusal(once(1, computed))
    late = reader()
    late.call_once(1)
    assert "CALL_ONCE comes behind operators that use variables" in refusal(file_of(late, Draft()))
    other = Draft()
    other.assign(other.handle("v"), other.tensor("long", (1, 9), np.zeros((1, 9), np.int8)))
    assert "begins as int8 [1, 9]" in refusal(once(1, other))


def test_handles_from_elsewhere_are_refused() -> None:
    """An assignment through one may change any variable."""
    model = reader()
    foreign = model.tensor("foreign", (), dtype=np.dtype("V1"), qparams=None)
    model.assign(foreign, model.inputs[0])
    assert "uses a handle that no VAR_HANDLE of its own subgraph makes" in refusal(file_of(model))


def test_variables_of_integers_in_a_float_model_are_refused() -> None:
    model = Draft(dtype=np.dtype(np.float32), qparams=None)
    x, handle = model.input("x", SHAPE), model.handle("v")
    byte = QParams.per_tensor(0.1, 0)
    old = model.read(handle, "old", SHAPE, dtype=np.dtype(np.int8), qparams=byte)
    real = model.unary("DEQUANTIZE", old, "real", SHAPE)
    total = model.add(x, real, "total")
    model.assign(handle, model.unary("QUANTIZE", total, "new", SHAPE, dtype=np.dtype(np.int8), qparams=byte))
    model.outputs = [total]
    assert "int8" in refusal(file_of(model))


def test_inspect_lists_a_model_with_variables(tmp_path: Path) -> None:
    path = tmp_path / "wake.tflite"
    path.write_bytes(wake_word())
    found = tinyptq.inspect(path)
    assert found.obstacles == ()
    assert next(port for port in found.ports if port[0] == "state") == ("state", "stem", (1, 2, 1, 40))
    path.write_bytes(file_of(reader(assigned=None)))
    assert tinyptq.inspect(path).obstacles == (
        "READ_VARIABLE: variable 'v' is read and never assigned (operator 1 'old')",
    )


@pytest.mark.parametrize("seed", range(60))
def test_damaged_files_never_escape(seed: int) -> None:
    """Three bytes altered: the file is read or refused with one of our own errors."""
    model = bytearray(begun() if seed % 2 else wake_word())
    rng = np.random.default_rng(seed)
    for place in rng.integers(8, len(model), 3):
        model[place] = rng.integers(256)
    with suppress(tinyptq.TinyptqError):
        graph = normalize(load_tflite(bytes(model)))
        if is_quantized(graph):
            program = lower(graph, imported_recipe(graph), "0" * 64)
            simulate(program, random_inputs(program, 2))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_names(name: str, tmp_path: Path) -> None:
    """In comments of the C and in the exported file."""
    path = tmp_path / "model.tflite"
    path.write_bytes(file_of(reader(name=name)))
    built = tinyptq.build(path, board="host", output=tmp_path / "out", count=4)
    assert built.report["verification"]["differing_bytes"] == 0
    (variable,) = load_tflite((tmp_path / "out/model_int8.tflite").read_bytes()).variables
    assert variable.name == name
