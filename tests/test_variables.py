"""Variables of .tflite files: the order of the file is the order of the runs, as in tflite-micro, every byte."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tinyptq
from tests.refusals import HOSTILE
from tests.streaming_models import Draft, counter, file_of, wake_word
from tinyptq import store, tflm
from tinyptq.emit.tflite import write_tflite_model
from tinyptq.float_run import run_float
from tinyptq.frontend.tflite import load_tflite
from tinyptq.graph import Array, QParams, is_quantized
from tinyptq.lower import lower
from tinyptq.passes import normalize
from tinyptq.plan.check import check_plan
from tinyptq.plan.planner import plan
from tinyptq.program import Program
from tinyptq.ptq.imported import imported_recipe
from tinyptq.ptq.ranges import dequantize_array
from tinyptq.samples import random_inputs
from tinyptq.simulate import simulate
from tinyptq.verify import checkpoints, compare

STEPS = 40
SHAPE = (1, 4)
OTHER_SCALE = QParams.per_tensor(0.02, -7)


def imported(model: bytes) -> Program:
    graph = normalize(load_tflite(model))
    return lower(graph, imported_recipe(graph), "0" * 64)


def test_a_read_sees_what_was_assigned_before_it() -> None:
    """By hand, all of scale 0.05 and zero point 3, so that a sum is q1 + q2 - 3: x is 5, the variable begins with 3."""
    program = imported(counter())
    found = simulate(program, {"x": np.full((3, 4), 5, np.int8)})
    assert found["before"][:, 0].tolist() == [3, 5, 7]
    assert found["total"][:, 0].tolist() == [5, 7, 9]
    assert found["next"][:, 0].tolist() == [7, 9, 11]


# Files of a few operators; each makes a different use of variables.


def swapped() -> bytes:
    """Two variables exchange their values in every run; a sum goes into one of them."""
    model = Draft()
    x, first, second = model.input("x", SHAPE), model.handle("first"), model.handle("second")
    old_first, old_second = model.read(first, "old_first", SHAPE), model.read(second, "old_second", SHAPE)
    model.assign(first, old_second)
    model.assign(second, model.add(old_first, x, "sum"))
    model.outputs = [model.add(old_first, old_second, "both")]
    return file_of(model)


def delayed() -> bytes:
    """The input is assigned as it is; the old value is used behind the assignment."""
    model = Draft()
    x, handle = model.input("x", SHAPE), model.handle("last")
    old = model.read(handle, "old", SHAPE)
    model.assign(handle, x)
    model.outputs = [model.add(old, x, "y")]
    return file_of(model)


def rescaled() -> bytes:
    """Bytes are copied: a value assigned with one scale is read with another, and with another shape."""
    model = Draft()
    x, handle = model.input("x", SHAPE), model.handle("kept")
    old = model.read(handle, "old", SHAPE, qparams=OTHER_SCALE)
    total = model.add(old, x, "total")
    model.assign(handle, total)
    square = model.read(handle, "square", (1, 2, 2), qparams=OTHER_SCALE)
    again = model.reshape(square, "again", SHAPE)
    model.outputs = [model.add(again, x, "y")]
    return file_of(model)


def seen() -> bytes:
    """What is read is an output of the model: before the assignment, and behind it."""
    model = Draft()
    x, handle = model.input("x", SHAPE), model.handle("seen")
    old = model.read(handle, "old", SHAPE)
    model.assign(handle, model.add(old, x, "total"))
    model.outputs = [old, model.read(handle, "now", SHAPE)]
    return file_of(model)


def two_handles() -> bytes:
    """Two handles of one shared name are one variable; it is assigned twice, the second value stays."""
    model = Draft()
    x, one = model.input("x", SHAPE), model.handle("same", "")
    old = model.read(one, "old", SHAPE)
    model.assign(one, model.add(old, x, "first"))
    other = model.handle("same")
    model.assign(other, model.add(model.read(other, "middle", SHAPE), x, "second"))
    model.outputs = [model.add(old, model.read(one, "end", SHAPE), "y")]
    return file_of(model)


def shared_value() -> bytes:
    """Two variables end with one tensor."""
    model = Draft()
    x, first, second = model.input("x", SHAPE), model.handle("first"), model.handle("second")
    total = model.add(model.read(first, "a", SHAPE), x, "total")
    model.assign(first, total)
    model.outputs = [model.add(model.read(second, "b", SHAPE), total, "y")]
    model.assign(second, total)
    return file_of(model)


def begun() -> bytes:
    """CALL_ONCE gives one variable unequal first values, and another one that is never assigned again."""
    model, first = Draft(), Draft()
    x = model.input("x", SHAPE)
    model.call_once(1)
    handle, fixed = model.handle("ramp"), model.handle("fixed")
    total = model.add(model.read(handle, "old", SHAPE), x, "total")
    model.assign(handle, total)
    model.outputs = [model.add(total, model.read(fixed, "constant", SHAPE), "y")]
    for name, values in (("ramp", [10, 20, 30, 40]), ("fixed", [-1, 1, -2, 2])):
        first.assign(first.handle(name), first.tensor(f"{name}_first", SHAPE, np.array([values], np.int8)))
    return file_of(model, first)


def left_in_floats(same: bool = True) -> bytes:
    """What converters write unless told to quantize variables: DEQUANTIZE before ASSIGN, QUANTIZE behind READ."""
    model, first = Draft(), Draft()
    real = {"dtype": np.dtype(np.float32), "qparams": None}
    x = model.input("x", SHAPE)
    model.call_once(1)
    handle = model.handle("real")
    old = model.unary("QUANTIZE", model.read(handle, "real_old", SHAPE, **real), "old", SHAPE)
    model.qparams = model.qparams if same else OTHER_SCALE
    total = model.add(old, x, "total")
    model.assign(handle, model.unary("DEQUANTIZE", total, "real_total", SHAPE, **real))
    model.outputs = [model.add(old, total, "y")]
    start = np.array([[0.0, 0.11, -1.0, 3.0]], np.float32)
    first.assign(first.handle("real"), first.tensor("start", SHAPE, start))
    return file_of(model, first)


def without_batch() -> bytes:
    """Vectors and a scalar-like one; axes in front are given to them."""
    model = Draft()
    x, handle = model.input("x", SHAPE), model.handle("vector")
    old = model.read(handle, "old", (4,))
    total = model.add(x, old, "total")
    model.assign(handle, model.reshape(total, "flat", (4,)))
    model.outputs = [total]
    return file_of(model)


def overwritten() -> bytes:
    """A variable that is assigned before it is read remembers nothing; one that nobody needs is dropped."""
    model = Draft()
    x, handle, idle = model.input("x", SHAPE), model.handle("scratch"), model.handle("idle")
    model.assign(handle, model.add(x, x, "twice"))
    model.assign(idle, model.add(model.read(idle, "idle_old", SHAPE), x, "idle_new"))
    model.outputs = [model.add(model.read(handle, "now", SHAPE), x, "y")]
    return file_of(model)


def words() -> bytes:
    """A variable of int16."""
    model = Draft(dtype=np.dtype(np.int16), qparams=QParams.per_tensor(0.001, 0))
    x, handle = model.input("x", SHAPE), model.handle("sum")
    total = model.add(model.read(handle, "old", SHAPE), x, "total")
    model.assign(handle, total)
    model.outputs = [total]
    return file_of(model)


def float_ends() -> bytes:
    """Floats in and out: the caller converts them, and what is kept is the converted input."""
    model = Draft()
    real = {"dtype": np.dtype(np.float32), "qparams": None}
    x, handle = model.input("x", SHAPE, **real), model.handle("last")
    q = model.unary("QUANTIZE", x, "q", SHAPE)
    y = model.add(model.read(handle, "old", SHAPE), q, "y")
    model.assign(handle, q)
    model.outputs = [model.unary("DEQUANTIZE", y, "real_y", SHAPE, **real)]
    return file_of(model)


MODELS: tuple[Callable[[], bytes], ...] = (
    *(counter, swapped, delayed, without_batch, rescaled, seen, two_handles, shared_value, begun, overwritten),
    *(words, wake_word, left_in_floats),
)
REMEMBERED = {"swapped": 2, "shared_value": 2, "overwritten": 0, "wake_word": 6}  # variables, where it is not one
each_model = pytest.mark.parametrize("make", MODELS, ids=[make.__name__ for make in MODELS])


@each_model
def test_simulator_equals_tflm_on_the_original_and_on_the_exported_file(make: Callable[[], bytes]) -> None:
    """Values as the variables were read are compared too; without a memory the outputs would differ."""
    pytest.importorskip("tflite_micro")
    model = make()
    program = imported(model)
    inputs = random_inputs(program, STEPS)
    found = simulate(program, inputs)
    original = tflm.run_tflm(model, inputs)
    copies = {name for name in found if name.endswith(("_assigned", "_held"))}  # ours
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


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_names(name: str, tmp_path: Path) -> None:
    """In comments of the C and in the exported file."""
    path = tmp_path / "model.tflite"
    path.write_bytes(file_of(reader(name=name)))
    built = tinyptq.build(path, board="host", output=tmp_path / "out", count=4)
    assert built.report["verification"]["differing_bytes"] == 0
    (variable,) = load_tflite((tmp_path / "out/model_int8.tflite").read_bytes()).variables
    assert variable.name == name


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


def drawn(seed: int) -> bytes:
    """Up to four variables, read, assigned and added up in any order, through one or two handles each."""
    rng = np.random.default_rng(seed)
    model = Draft()
    pool = [model.input("x", SHAPE), model.input("z", SHAPE)]
    names = "abcd"[: rng.integers(1, 5)]
    handles = [(name, model.handle(name)) for name in names for _ in range(rng.integers(1, 3))]
    scales = [QParams.per_tensor(scale, point) for scale, point in ((0.05, 3), (0.1, 3), (0.1, -20))]
    for step in range(rng.integers(4, 16)):
        _, handle = handles[rng.integers(len(handles))]
        kind = rng.integers(3)
        if kind == 0:
            pool.append(model.read(handle, f"read{step}", SHAPE, qparams=scales[rng.integers(3)]))
        elif kind == 1:
            model.assign(handle, pool[rng.integers(len(pool))])
        else:
            first, second = rng.choice(pool, 2)
            model.qparams = scales[rng.integers(3)]
            pool.append(model.add(int(first), int(second), f"sum{step}"))
    for name, handle in dict(handles).items():  # none is left without an assignment
        model.assign(handle, pool[rng.integers(len(pool))] if name != "a" else pool[-1])
    model.outputs = [model.add(pool[-1], pool[0], "last"), model.add(pool[-2], pool[1], "other")]
    return file_of(model)


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


def float_ring(initial: Array | None = None) -> bytes:
    """y = tanh(conv of the last 4 frames); the frames are kept."""
    model, first = Draft(dtype=np.dtype(np.float32), qparams=None), Draft(dtype=np.dtype(np.float32), qparams=None)
    rng = np.random.default_rng(5)
    x = model.input("x", (1, 1, 1, 3))
    model.call_once(1)
    window = model.ring(x, 4, "frames")
    weights = model.tensor("weights", (2, 4, 1, 3), rng.standard_normal((2, 4, 1, 3)).astype(np.float32) / 3)
    bias = model.tensor("bias", (2,), np.array([0.1, -0.2], np.float32))
    y = model.tensor("convolved", (1, 1, 1, 2))
    fields = {"Padding": 1, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    model.emit("CONV_2D", [window, weights, bias], [y], "Conv2DOptions", **fields)
    model.outputs = [model.unary("TANH", y, "y", (1, 1, 1, 2))]
    zeros = np.zeros((1, 3, 1, 3), np.float32) if initial is None else initial
    first.assign(first.handle("frames"), first.tensor("zeros", zeros.shape, zeros))
    return file_of(model, first)


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


# What is refused, and how.


def refusal(model: bytes) -> str:
    with pytest.raises(tinyptq.TinyptqError) as caught:
        imported(model)
    return str(caught.value)


def reader(shape: tuple[int, ...] = SHAPE, assigned: tuple[int, ...] | None = SHAPE, name: str = "v") -> Draft:
    """y = x + v, and v assigned a tensor of the given shape."""
    model = Draft()
    x, handle = model.input("x", SHAPE), model.handle(name)
    old = model.read(handle, "old", shape)
    model.outputs = [model.add(x, old, "y")]
    if assigned is not None:
        model.assign(handle, x if assigned == SHAPE else model.reshape(x, "reshaped", assigned))
    return model


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
