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
    """Does the file say what was drawn? It cannot say that a recurrent layer starts every run from zeros, and a file
    of nothing but conversions counts as a float model.
    """
    (layer, *others) = trial.program.layers
    from_zeros = getattr(layer.params, "stateful", True) is False
    return trial.native and trial.single is not None and not (others or from_zeros or layer.op == "quantize")


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


def by_function(trial: Trial) -> int:
    """The real function in float64, half a step off at most; and tflite-micro on the exported table."""
    (layer,), single = trial.program.layers, trial.single
    assert single is not None
    (x,), (y,) = trial.inputs.values(), outputs(trial)
    source, result = (trial.program.values[name].qparams for name in (layer.inputs[0], layer.outputs[0]))
    assert source is not None and result is not None
    step, zero, info = float(result.scale[0]), int(result.zero_point[0]), np.iinfo(y.dtype)
    with np.errstate(all="ignore"):
        real = (x.astype(np.float64) - source.zero_point[0]) * float(source.scale[0])
        wanted = np.clip(REAL[layer.op](single.attrs, real) / step, info.min - zero, info.max - zero)
    off = np.abs(y.astype(np.float64) - zero - wanted) > 0.5 + SLACK
    return int(off.sum()) + by_tflm(trial)


TFLM = Authority("tflite-micro, every byte", by_tflm)
ONLY_WIDER = {(name, "int16") for name in ("arg_max", "arg_min", "depth_to_space", "space_to_depth")}  # in int32 alone
MOVED = Authority("LiteRT, every byte: nothing is rounded", by_litert)
FUNCTION = Authority("the function in float64, within 0.5 LSB; its table by tflite-micro", by_function)

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
    ("mirror_pad", "int16"): "moves int8 only",
    ("mirror_pad", "int32"): "moves int8 only",
    ("resize_nearest_neighbor", "int32"): "moves int8 and int16 only",
    ("resize_bilinear", "int16"): "has int8 only",
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
    "GRU: unknown; exported as the operators it is made of, every run from zeros",
    "RELU_N1_TO_1, RELU_0_TO_1 and other clamps: unknown; exported as MAXIMUM and MINIMUM",
    "RSQRT of negative inputs: it stops; drawn from the zero point up",
    "SOFTMAX of 512 and more equal exponentials: its shift is asserted; drawn up to 300 a row",
    "SPACE_TO_BATCH_ND with padding: it pads with what its memory holds; it gets a PAD before it instead",
    "STRIDED_SLICE with new axes: unknown; exported with a RESHAPE",
    "UNIDIRECTIONAL_SEQUENCE_LSTM that starts every run from zeros: its variables are reset before each run",
)


def authority(name: str, dtype: str) -> Authority:
    if (name, dtype) in REFUSED:
        return MOVED
    return FUNCTION if name in REAL else TFLM
