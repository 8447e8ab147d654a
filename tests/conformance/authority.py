"""Who says what an operator's integers are, and how many bytes of a trial differ from that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tests.conformance.elements import REAL
from tests.conformance.folded import imported
from tests.conformance.trial import Trial, make_trial
from tinyptq import tflm
from tinyptq.graph import Array
from tinyptq.ops import BY_NAME
from tinyptq.program import Program
from tinyptq.simulate import simulate

SLACK = 1e-6  # of a step: the real function is computed in another order


@dataclass(frozen=True)
class Authority:
    """title: for the table.  judge: trial -> number of differing bytes, 0 when it agrees."""

    title: str
    judge: Callable[[Trial], int]


def outputs(trial: Trial) -> list[Array]:
    """The simulator's outputs, [n, ...] each."""
    tensors = simulate(trial.program, trial.inputs)
    return [tensors[name] for name in trial.program.outputs]


def differing(expected: list[Array], actual: list[Array]) -> int:
    pairs = zip(expected, actual, strict=True)
    return sum(int((as_bytes(e) != as_bytes(a)).sum()) for e, a in pairs)


def as_bytes(array: Array) -> Array:
    return np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)


def keeps_state(program: Program) -> bool:
    return any(BY_NAME[layer.op].state(layer.params) for layer in program.layers)


def by_tflm(trial: Trial) -> int:
    """tflite-micro on the file, against the simulator: of the operator as lowered, and as imported from the file."""
    given = [trial.inputs[name] for name in trial.program.inputs]
    expected = tflm.run_tensors(trial.model, given, trial.places, fresh=not keeps_state(trial.program))
    found = differing(expected, outputs(trial))
    if importable(trial):
        program = imported(trial.model)
        tensors = simulate(program, dict(zip(program.inputs, given, strict=True)))
        found += differing(expected, [tensors[name] for name in program.outputs])
    return found


def importable(trial: Trial) -> bool:
    """Does the file say what was drawn? It cannot say that a recurrent layer starts every run from zeros."""
    (layer, *others) = trial.program.layers
    from_zeros = getattr(layer.params, "stateful", True) is False
    return trial.native and trial.single is not None and not (others or from_zeros)


def by_litert(trial: Trial) -> int:
    """LiteRT on the file, or on its like in int32: nothing is rounded, so its integers are no matter of opinion."""
    from ai_edge_litert.interpreter import Interpreter

    (layer,), single = trial.program.layers, trial.single
    assert single is not None
    if (layer.op, str(single.operands[0].dtype)) in ONLY_WIDER:
        wide = tuple(replace(operand, dtype=np.dtype(np.int32)) for operand in single.operands)
        model = make_trial(BY_NAME[layer.op], replace(single, operands=wide)).model
    else:
        model = trial.model
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    results: list[list[Array]] = [[] for _ in trial.program.outputs]
    places = [detail["index"] for detail in interpreter.get_output_details()]
    count = len(next(iter(trial.inputs.values())))
    for sample in range(count):
        for detail, name in zip(interpreter.get_input_details(), trial.program.inputs, strict=True):
            x = trial.inputs[name][sample : sample + 1]
            interpreter.set_tensor(detail["index"], x.astype(detail["dtype"]))
        interpreter.invoke()
        for result, place in zip(results, places, strict=True):
            result.append(interpreter.get_tensor(place).copy())
    actual = outputs(trial)
    return differing([np.concatenate(r).astype(y.dtype) for r, y in zip(results, actual, strict=True)], actual)


def real_outputs(trial: Trial) -> Array:
    """The real function of the dequantized operands, float64, in steps of the output and inside its range."""
    (layer,), single = trial.program.layers, trial.single
    assert single is not None
    given = [
        trial.inputs[name] if trial.program.values[name].data is None else constant(trial, name)
        for name in layer.inputs
    ]
    reals = [dequantized(trial, name, x) for name, x in zip(layer.inputs, given, strict=True)]
    return in_steps(trial, REAL[layer.op](single.attrs, *reals))


def constant(trial: Trial, name: str) -> Array:
    data = trial.program.values[name].data
    assert data is not None
    return data


def dequantized(trial: Trial, name: str, x: Array) -> Array:
    qparams = trial.program.values[name].qparams
    assert qparams is not None
    real: Array = (x.astype(np.float64) - qparams.zero_point[0]) * float(qparams.scale[0])
    return real


def in_steps(trial: Trial, real: Array) -> Array:
    """Real outputs as unrounded integers of the output, saturated."""
    value = trial.program.values[trial.program.outputs[0]]
    assert value.qparams is not None
    info = np.iinfo(value.dtype)
    steps: Array = np.clip(real / float(value.qparams.scale[0]) + value.qparams.zero_point[0], info.min, info.max)
    return steps


def beyond(trial: Trial, steps: Array | float) -> int:
    """How many outputs are further than this from the real function."""
    with np.errstate(all="ignore"):
        off = np.abs(outputs(trial)[0].astype(np.float64) - real_outputs(trial))
    return int((off > steps + SLACK).sum())


def by_function(trial: Trial) -> int:
    """Half a step from the real function at most; and tflite-micro on the exported table."""
    return beyond(trial, 0.5) + by_tflm(trial)


def by_chords(trial: Trial) -> int:
    """513 entries and lines between: as far off as chords over 128 inputs, half as much again where entries gave way
    to them and the range ends, and 1.5 steps for the roundings.
    """
    (layer,), single = trial.program.layers, trial.single
    assert single is not None
    name = layer.inputs[0]
    x = np.arange(-(2**15), 2**15 + 1)
    with np.errstate(all="ignore"):
        real = in_steps(trial, REAL[layer.op](single.attrs, dequantized(trial, name, x)))
    segments = np.stack([real[:-1].reshape(512, 128), real[1:].reshape(512, 128)])
    first, last = segments[0][:, :1], segments[1][:, -1:]
    chords = first + (last - first) * np.arange(128) / 128
    gap = np.abs(segments[0] - chords).max(axis=1)
    widest = np.maximum.reduce([gap, np.roll(gap, 1), np.roll(gap, -1)])
    return beyond(trial, 1.5 + 1.5 * widest[(trial.inputs[name].astype(np.int64) + 2**15) >> 7])


TFLM = Authority("tflite-micro, every byte", by_tflm)
ONLY_WIDER = {(name, "int16") for name in ("arg_max", "arg_min", "depth_to_space", "space_to_depth")}  # in int32 alone
MOVED = Authority("LiteRT, every byte: nothing is rounded", by_litert)
FUNCTION = Authority("the function in float64, within 0.5 LSB; its table by tflite-micro", by_function)
CHORDS = Authority("the function in float64, within 1.5 LSB and 1.5 times its chords over 128 inputs", by_chords)
STEP = Authority("the function in float64, within 1 LSB", lambda trial: beyond(trial, 1.0))

TABLES = ("exp", "gelu", "log", "neg", "silu", "sqrt", "square")  # of int8, that tflite-micro has not
ROUNDED = ("div", "l2_normalization", "prelu")  # of int16: arithmetic that rounds twice
EXTREMES = ("arg_max", "arg_min", "reduce_max", "reduce_min")
# (operator, type) -> why tflite-micro cannot say. Everything else it can.
REFUSED: dict[tuple[str, str], str] = {
    ("tile", "int8"): "has no TILE",
    ("tile", "int16"): "has no TILE",
    ("tile", "int32"): "has no TILE",
    ("space_to_depth", "int16"): "moves int8 only",
    ("space_to_depth", "int32"): "moves int8 only",
    ("depth_to_space", "int16"): "moves int8 only",
    ("depth_to_space", "int32"): "moves int8 only",
    ("gather", "int16"): "moves int8 only",
    ("gather", "int32"): "moves int8 only",
    ("embedding_lookup", "int16"): "moves int8 only",
    ("mirror_pad", "int16"): "moves int8 only",
    ("mirror_pad", "int32"): "moves int8 only",
    ("resize_nearest_neighbor", "int32"): "moves int8 and int16 only",
    ("resize_bilinear", "int16"): "has int8 only",
    **{(name, "int16"): "has int8 only" for name in ("elu", "hard_swish", *ROUNDED)},
    **{(name, "int16"): "has floats only" for name in TABLES if "int16" in BY_NAME[name].dtypes},
    **{(name, dtype): "has int8 only" for name in EXTREMES for dtype in ("int16", "int32")},
    ("transpose", "int32"): "moves int8 and int16 only",
}
# What else tflite-micro leaves open. The draws stay clear of it, or say it in other operators.
LIMITS = (
    "CONCATENATION of unequal scales: refused; the compiler puts a QUANTIZE before each input that differs",
    "DEQUANTIZE, SPACE_TO_BATCH_ND, BATCH_TO_SPACE_ND: never layers here, drawn with the operators they stand among",
    "DIV by zero, or with a right shift beyond 31 (small quotients of coarse outputs): undefined in its C++; drawn "
    "with divisors of one sign and quotients whose shift is defined",
    "EXP, GELU, LOG, NEG, SQRT, SQUARE of int8, and SiLU: refused or unknown; exported as CAST, ADD, GATHER of a table",
    "GRU, UNIDIRECTIONAL_SEQUENCE_RNN: unknown; exported as the operators they are made of",
    "RELU_N1_TO_1, RELU_0_TO_1 and other clamps: unknown; exported as MAXIMUM and MINIMUM",
    "RSQRT of negative inputs: it stops; drawn from the zero point up",
    "SOFTMAX of 512 and more equal exponentials: its shift is asserted; drawn up to 300 a row",
    "SPACE_TO_BATCH_ND with padding: it pads with what its memory holds; it gets a PAD before it instead",
    "STRIDED_SLICE with new axes: unknown; exported with a RESHAPE",
    "TRANSPOSE_CONV of int16 without a bias: refused; drawn with one",
    "UNIDIRECTIONAL_SEQUENCE_LSTM that starts every run from zeros: its variables are reset before each run",
)


def authority(name: str, dtype: str) -> Authority:
    if (name, dtype) not in REFUSED:
        return FUNCTION if name in TABLES else TFLM
    if name in ROUNDED:
        return STEP
    return CHORDS if name in REAL else MOVED
