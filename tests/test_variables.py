"""Variables of .tflite files: the order of the file is the order of the runs, as in tflite-micro, every byte."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyptq
from tests.streaming_models import Draft, counter, file_of, wake_word
from tests.variable_models import (
    REMEMBERED,
    SHAPE,
    STEPS,
    begun,
    drawn,
    each_model,
    float_ends,
    float_ring,
    imported,
    swapped,
)
from tinyptq import store, tflm
from tinyptq.emit.tflite import write_tflite_model
from tinyptq.float_run import run_float
from tinyptq.frontend.tflite import load_tflite
from tinyptq.graph import QParams
from tinyptq.passes import normalize
from tinyptq.plan.check import check_plan
from tinyptq.plan.planner import plan
from tinyptq.ptq.ranges import dequantize_array
from tinyptq.samples import random_inputs
from tinyptq.simulate import simulate
from tinyptq.verify import checkpoints, compare


def test_a_read_sees_what_was_assigned_before_it() -> None:
    """By hand, all of scale 0.05 and zero point 3, so that a sum is q1 + q2 - 3: x is 5, the variable begins with 3."""
    program = imported(counter())
    found = simulate(program, {"x": np.full((3, 4), 5, np.int8)})
    assert found["before"][:, 0].tolist() == [3, 5, 7]
    assert found["total"][:, 0].tolist() == [5, 7, 9]
    assert found["next"][:, 0].tolist() == [7, 9, 11]


@each_model
def test_simulator_equals_tflm_on_the_original_and_on_the_exported_file(make: Callable[[], bytes]) -> None:
    """Values as the variables were read are compared too; without a memory the outputs would differ."""
    pytest.importorskip("tflite_micro")
    model = make()
    program = imported(model)
    inputs = random_inputs(program, STEPS)
    found = simulate(program, inputs)
    original = tflm.run_tflm(model, inputs)
    copies = {name for name in found if name.endswith(("_assigned", "_held", "_integer"))}  # ours
    assert compare(found, original, [p for p in checkpoints(program) if p.value not in copies]).equal
    read = {variable.before for variable in program.variables} - copies
    assert all(np.array_equal(found[name], original[name].reshape(found[name].shape)) for name in read)
    assert compare(found, tflm.run_program(program, inputs), checkpoints(program)).equal
    assert len(program.variables) == REMEMBERED.get(make.__name__, 1)


def test_float_ends_are_the_callers() -> None:
    """tflite-micro converts by itself: it is given floats, and shows the integers."""
    pytest.importorskip("tflite_micro")
    program = imported(float_ends())
    inputs = random_inputs(program, STEPS)
    qparams = program.values[program.inputs[0]].qparams
    assert qparams is not None
    original = tflm.run_tflm(float_ends(), {"x": dequantize_array(inputs[program.inputs[0]], qparams)})
    found = simulate(program, inputs)
    assert program.inputs == ("q",) and program.outputs == ("y",)
    assert all(np.array_equal(found[name], original[name]) for name in ("q", "old", "y"))
    assert compare(found, tflm.run_program(program, inputs), checkpoints(program)).equal


def test_variables_of_uint8_begin_128_less() -> None:
    """LiteRT runs the file as it is; here it is int8, and so is what CALL_ONCE assigns."""
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    byte, scale = np.dtype(np.uint8), QParams.per_tensor(0.05, 131)
    model, first = Draft(dtype=byte, qparams=scale), Draft(dtype=byte, qparams=scale)
    x = model.input("x", SHAPE)
    model.call_once(1)
    handle = model.handle("sum")
    total = model.add(model.read(handle, "old", SHAPE), x, "total")
    model.assign(handle, total)
    model.outputs = [total]
    first.assign(first.handle("sum"), first.tensor("start", SHAPE, np.array([[10, 99, 131, 255]], np.uint8)))
    reference = litert.OpResolverType.BUILTIN_REF
    runner = litert.Interpreter(model_content=file_of(model, first), experimental_op_resolver_type=reference)
    runner.allocate_tensors()
    inputs = random_inputs(imported(file_of(model, first)), STEPS)
    found = simulate(imported(file_of(model, first)), inputs)["total"]
    for sample, y in zip(inputs["x"], found, strict=True):
        runner.set_tensor(runner.get_input_details()[0]["index"], (sample.astype(np.int16) + 128).astype(byte)[None])
        runner.invoke()
        expected = runner.get_tensor(runner.get_output_details()[0]["index"])[0]
        np.testing.assert_array_equal(y.astype(np.int16) + 128, expected)


def test_a_container_tells_two_variables_of_one_name_apart() -> None:
    """LiteRT's floats; a handle without a container means the first variable of its name, as in tflite-micro."""
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    model, first = Draft(dtype=np.dtype(np.float32), qparams=None), Draft(dtype=np.dtype(np.float32), qparams=None)
    x = model.input("x", SHAPE)
    model.call_once(1)
    for container in ("left", "right"):
        handle = model.handle("v", container)
        total = model.add(model.read(handle, f"{container}_old", SHAPE), x, f"{container}_new")
        model.assign(handle, total)
        start = np.full(SHAPE, len(container), np.float32)
        first.assign(first.handle("v", container), first.tensor(f"{container}_first", SHAPE, start))
        x = total
    model.outputs = [total]
    runner = interpreter.Interpreter(model_content=file_of(model, first))
    runner.allocate_tensors()
    samples = np.random.default_rng(2).standard_normal((8, 4)).astype(np.float32)
    expected = []
    for sample in samples:
        runner.set_tensor(runner.get_input_details()[0]["index"], sample[None])
        runner.invoke()
        expected.append(runner.get_tensor(runner.get_output_details()[0]["index"]))
    graph = normalize(load_tflite(file_of(model, first)))
    assert [variable.name for variable in graph.variables] == ["left/v", "right/v"]
    np.testing.assert_allclose(run_float(graph, {"x": samples})[graph.outputs[0]], np.concatenate(expected), rtol=1e-6)


@pytest.mark.parametrize("make", [counter, begun, swapped], ids=["counter", "begun", "swapped"])
def test_litert_runs_the_exported_file(make: Callable[[], bytes]) -> None:
    """It reads no variable that was never assigned: CALL_ONCE of our file assigns every one."""
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    program = imported(make())
    reference = litert.OpResolverType.BUILTIN_REF
    model = write_tflite_model(program)
    runner = litert.Interpreter(model_content=model, experimental_op_resolver_type=reference)
    runner.allocate_tensors()
    inputs = random_inputs(program, STEPS)
    expected = simulate(program, inputs)[program.outputs[0]]
    for sample, y in zip(inputs["x"], expected, strict=True):
        runner.set_tensor(runner.get_input_details()[0]["index"], sample[None])
        runner.invoke()
        np.testing.assert_array_equal(runner.get_tensor(runner.get_output_details()[0]["index"])[0], y)


@each_model
def test_export_reads_back_as_the_same_model(make: Callable[[], bytes]) -> None:
    program = imported(make())
    again = imported(write_tflite_model(program))
    inputs = random_inputs(program, STEPS)
    found = simulate(again, dict(zip(again.inputs, (inputs[name] for name in program.inputs), strict=True)))
    expected = simulate(program, inputs)
    for ours, theirs in zip(program.outputs, again.outputs, strict=True):
        np.testing.assert_array_equal(expected[ours], found[theirs])


@each_model
def test_generated_c_equals_the_simulator(make: Callable[[], bytes], tmp_path: Path) -> None:
    """Every layer, 40 consecutive runs with one reset among them."""
    path = tmp_path / f"{make.__name__}.tflite"
    path.write_bytes(make())
    report = tinyptq.build(path, board="host", output=tmp_path / "out", count=STEPS).report
    assert report["verification"]["differing_bytes"] == 0
    assert report["verification"]["inputs"] == STEPS


@each_model
def test_program_survives_the_build_folder(make: Callable[[], bytes], tmp_path: Path) -> None:
    program = imported(make())
    store.save_program(program, tmp_path / "program.npz")
    again = store.load_program(tmp_path / "program.npz")
    inputs = random_inputs(program, 5)
    assert compare(simulate(program, inputs), simulate(again, inputs), checkpoints(program)).equal


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": "twin"}, "read as the value of something else"),
        ({"before": "x"}, "read as the value of something else"),
        ({"before": "total"}, "read as the value of something else"),
        ({"before": "nothing"}, "does not exist"),
        ({"before": "spare", "after": "x"}, "never written"),
        ({"before": "spare", "initial": np.zeros((1, 3), np.int8)}, "differ in type or size"),
        ({"before": "spare", "initial": np.zeros((1, 4), np.int16)}, "differ in type or size"),
    ],
)
def test_stored_variables_are_checked(change: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    """A variable that is altered beside the sound one."""
    program = imported(counter())
    altered = (*program.variables, *(replace(variable, **change) for variable in program.variables))
    values = {**program.values, "spare": replace(program.values["before"], name="spare")}
    store.save_program(replace(program, values=values, variables=altered), tmp_path / "program.npz")
    with pytest.raises(tinyptq.TinyptqError, match=complaint):
        store.load_program(tmp_path / "program.npz")


def test_the_last_value_is_written_where_the_variable_lies_if_nobody_reads_the_old_one_any_more() -> None:
    """A ring of frames needs no copy; a sum that reads the old value does."""
    ring, total = imported(wake_word()), imported(counter())
    board = tinyptq.board.load_board("cortex-m4")
    kept = plan(ring, board).kept
    assert set(kept) == {variable.after for variable in ring.variables}
    assert plan(total, board).kept == {}


def test_a_plan_that_loses_a_variable_is_found() -> None:
    """check_plan, written without the planner: a value kept too early, and a last value that is overwritten."""
    program, board = imported(counter()), tinyptq.board.load_board("host")
    sound = plan(program, board)
    assert check_plan(program, sound) == []
    early = replace(sound, kept={"total": "before"})
    assert any("lies where an output is written" in error for error in check_plan(program, early))
    program = imported(swapped())
    sound = plan(program, board)
    after = program.variables[1].after
    others = {name: replace(slot, offset=sound.slots[after].offset) for name, slot in sound.slots.items()}
    assert check_plan(program, replace(sound, slots=others)) != []


# Files drawn at random.


@pytest.mark.parametrize("seed", range(80))
def test_drawn_models_equal_tflm(seed: int) -> None:
    """Every tensor of the original file that still has its name, and every layer of the exported one."""
    pytest.importorskip("tflite_micro")
    model = drawn(seed)
    program = imported(model)
    inputs = random_inputs(program, 12)
    found, original = simulate(program, inputs), tflm.run_tflm(model, inputs)
    names = [name for name in found if name in original]
    assert {"last", "other"} <= set(names)
    for name in names:
        np.testing.assert_array_equal(found[name], original[name], err_msg=name)
    assert compare(found, tflm.run_program(program, inputs), checkpoints(program)).equal
    assert check_plan(program, plan(program, tinyptq.board.load_board("host"))) == []


@pytest.mark.parametrize("seed", range(8))
def test_drawn_models_run_as_c(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "drawn.tflite"
    path.write_bytes(drawn(seed))
    report = tinyptq.build(path, board="host", output=tmp_path / "out", count=12).report
    assert report["verification"]["differing_bytes"] == 0


# Float models.


def test_float_models_are_calibrated_as_one_sequence(tmp_path: Path) -> None:
    """LiteRT's float results on consecutive samples, then int8 close to them: the ring has the range of its frames."""
    first = np.linspace(-2, 2, 9, dtype=np.float32).reshape(1, 3, 1, 3)
    (tmp_path / "ring.tflite").write_bytes(float_ring(first))
    np.save(tmp_path / "x.npy", np.random.default_rng(1).uniform(-1, 1, (200, 1, 1, 3)).astype(np.float32))
    report = tinyptq.build(
        tmp_path / "ring.tflite", board="host", calibration=tmp_path / "x.npy", output=tmp_path / "out"
    ).report
    assert report["litert"] is None or report["litert"]["relative_deviation"] < 1e-5
    assert min(layer["sqnr_db"] for layer in report["layers"]) > 30
    assert report["layers"][0]["scales"]["inputs"][0]["scale"] == pytest.approx(4 / 255, rel=0.01)  # −2 to 2
    program = store.load_program(tmp_path / "out" / "program.npz")
    variable = program.variables[0]
    qparams = program.values[variable.before].qparams
    assert qparams is not None
    np.testing.assert_allclose(dequantize_array(variable.initial, qparams), first, atol=float(qparams.scale[0]))
