"""Small models with variables: each makes a different use of them, or is drawn at random."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.streaming_models import Draft, counter, file_of, wake_word
from tinyptq.frontend.tflite import load_tflite
from tinyptq.graph import Array, QParams
from tinyptq.lower import lower
from tinyptq.passes import normalize
from tinyptq.program import Program
from tinyptq.ptq.imported import imported_recipe

STEPS = 40
SHAPE = (1, 4)
OTHER_SCALE = QParams.per_tensor(0.02, -7)


def imported(model: bytes) -> Program:
    graph = normalize(load_tflite(model))
    return lower(graph, imported_recipe(graph), "0" * 64)


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


def floats_rescaled() -> bytes:
    """The same, read with another scale than it is assigned with."""
    return left_in_floats(same=False)


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
    *(words, wake_word, left_in_floats, floats_rescaled),
)
REMEMBERED = {"swapped": 2, "shared_value": 2, "overwritten": 0, "wake_word": 6}  # variables, where it is not one
each_model = pytest.mark.parametrize("make", MODELS, ids=[make.__name__ for make in MODELS])


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


def reader(shape: tuple[int, ...] = SHAPE, assigned: tuple[int, ...] | None = SHAPE, name: str = "v") -> Draft:
    """y = x + v, and v assigned a tensor of the given shape."""
    model = Draft()
    x, handle = model.input("x", SHAPE), model.handle(name)
    old = model.read(handle, "old", shape)
    model.outputs = [model.add(x, old, "y")]
    if assigned is not None:
        model.assign(handle, x if assigned == SHAPE else model.reshape(x, "reshaped", assigned))
    return model
