"""The Op record: everything the compiler knows about one operator, as functions in one frozen dataclass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinyptq.graph import Array, Graph, Node, QParams, Shape, Tensor
from tinyptq.program import Work

INT8 = np.dtype(np.int8)


@dataclass(frozen=True, eq=False)
class TfliteOperator:
    """One operator of a .tflite file as `read_tflite` sees it.

    options: the schema's options table (for instance tflite.Conv2DOptions), None when the file has none.
    inputs: operands in file order, None where optional and absent; constants carry data.
    """

    builtin: str
    options: Any
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class State:
    """A tensor an operator keeps from one run to the next.

    initial: integers it holds before the first run and after a reset, all equal to its zero point; [1, ...].
    scale:   what one step stands for; only the exported file needs it.
    """

    initial: Array
    scale: float

    @property
    def qparams(self) -> QParams:
        return QParams.per_tensor(self.scale, int(self.initial.flat[0]))


@dataclass(frozen=True, eq=False)
class TfliteCode:
    """One operator to write into a .tflite file.

    builtin:  "CONV_2D".  options: schema table, "Conv2DOptions", or None.
    fields:   scalar fields of that table by schema name, {"StrideH": 2}.
    operands: operands after the layer's own: int32 constants (axes, shape, paddings), states, None where absent.
    shape:    of this operator's output when another one follows in the same layer (a PAD before a CONV_2D);
              such an intermediate has the layer input's dtype and quantization.
    dtype:    of that intermediate when it is another one; it then has no quantization.
    leading:  constant operands before the layer's own (the table of a GATHER), in the layer output's quantization.
    numbers:  operands and result are numbers and not steps of a scale: the file gives them no quantization.
    """

    builtin: str
    options: str | None = None
    fields: Mapping[str, int | float | bool | str] = field(default_factory=dict)
    operands: tuple[Array | State | None, ...] = ()
    shape: Shape | None = None
    version: int = 1
    dtype: np.dtype[Any] | None = None
    leading: tuple[Array, ...] = ()
    numbers: bool = False


Wire = Tensor | int  # a tensor that only the exported file has, or one of the layer's own by position


@dataclass(frozen=True, eq=False)
class TfliteStep:
    """One of several TFLite operators that together are one layer, with everything it reads and writes.

    inputs, outputs: the layer's own tensors by position (inputs, folded constants, outputs); others as Tensors, which
    are the same one within a layer when they have the same name.
    """

    code: TfliteCode
    inputs: tuple[Wire, ...]
    outputs: tuple[Wire, ...]


@dataclass(frozen=True, eq=False)
class Operand:
    """An operand as `lower` sees it: data holds integers for constants, None for activations."""

    shape: Shape
    qparams: QParams
    data: Array | None = None
    dtype: np.dtype[Any] = INT8


@dataclass(frozen=True)
class Rows:
    """How output rows depend on input rows, for operators that slide a window down the image.

    count: output rows; input_rows(first, end) -> half-open range of input rows that output rows [first, end) read.
    """

    count: int
    input_rows: Callable[[int, int], tuple[int, int]]


Constraint = Callable[[Graph, Node], bool]
Floats = tuple[Array, ...]

# How an output's scale and zero point come about.
FREE = "free"  # observed during calibration
SAME = "same"  # shared by all inputs and outputs, as TFLite's specification demands
TABLE = "table"  # shared by the outputs and the constants they are taken from


@dataclass(frozen=True)
class Op:
    """One operator, whole.

    name          canonical, lower case, TFLite's spelling ("conv_2d"); also the folder below templates/kernels.
    summary       a few words for `tinyptq ops`.
    builtins      TFLite builtin operators that read as this one.
    attrs         frozen dataclass of the float operator's attributes.
    params        frozen dataclass of integers that lower returns.
    operands      how many leading TFLite inputs stay tensor operands (the others become attributes).
    operand_order where those operands stand among the TFLite inputs, when not first (SPLIT reads its axis first).
    read_tflite   TfliteOperator -> attrs.
    write_tflite  params -> operators of the exported int8 file, usually one.
    write_steps   params -> the same as operators wired among themselves, for a layer that is no chain; else None.
    infer_shapes  (attrs, input shapes, batch 1 included) -> output shapes.
    run_float     (attrs, float32 arrays [n, ...]) -> float32 array, a tuple where several: checked against LiteRT.
    constraints   predicates over (graph, node); the docstring is the error text and the row in `tinyptq ops`.
    quantization  FREE, SAME, TABLE, or the fixed QParams of the output.
    dtypes        integer types its activations may have.
    index_dtypes  integer types its first operand may have where that is an index, none where it stands for reals.
    output_dtype  integer type of its outputs where it is not the inputs' (indices), else None.
    weight_axis   output-channel axis of operand 1 when it is a weight (operand 2 is then the bias), else None.
    lower         (attrs, input Operands, output Operands) -> params: scales folded, overflow proved.
    run_int       (params, integer arrays [n, ...]) -> integer array, or a tuple: what every C kernel does. With state:
                  axis 0 is time, n consecutive runs beginning with the initial state.
    state         params -> {argument name: State} in the order in which the portable C kernel takes pointers to them,
                  behind the constants.
    run_state     (params, {argument name: array}, integer arrays [n, ...]) -> (integer array, state behind it): run_int
                  from a given state; None for operators that never have any.
    round_constants  (attrs, input QParams, output QParams, float constants) -> (integers, QParams) of each constant:
                  how weights are rounded that are folded into params but not one scale per channel, else None.
    calibrate     (attrs, float32 arrays [n, ...]) -> attrs: what a batch of calibration data teaches (range of an
                  inner tensor), else None.
    constants     params -> {argument name: array} in the order in which the portable C kernel takes them.
    scratch       params -> bytes of scratch memory the portable kernel borrows, 0 when none.
    rows          params -> Rows when the kernel computes a block of output rows, None when it runs whole.
    index_range   params -> (smallest, largest) index its first operand may hold, None where that is no index.
    leads         params -> per input, how far ahead of it the portable kernel's output must begin to lie over it
                  (see kernels.base.Kernel); () where it never may.
    work          params -> Work.
    """

    name: str
    summary: str
    builtins: tuple[str, ...]
    attrs: type
    params: type
    operands: int | None
    read_tflite: Callable[[TfliteOperator], Any]
    write_tflite: Callable[[Any], tuple[TfliteCode, ...]]
    infer_shapes: Callable[..., tuple[Shape, ...]]
    run_float: Callable[..., Any]
    quantization: str | QParams
    lower: Callable[[Any, tuple[Operand, ...], tuple[Operand, ...]], Any]
    run_int: Callable[..., Any]
    work: Callable[[Any], Work]
    constraints: tuple[Constraint, ...] = ()
    dtypes: tuple[str, ...] = ("int8",)
    index_dtypes: tuple[str, ...] = ()
    output_dtype: np.dtype[Any] | None = None
    weight_axis: int | None = None
    constants: Callable[[Any], Mapping[str, Array]] = lambda params: {}
    scratch: Callable[[Any], int] = lambda params: 0
    rows: Callable[[Any], Rows | None] = lambda params: None
    leads: Callable[[Any], tuple[int | None, ...]] = lambda params: ()
    state: Callable[[Any], Mapping[str, State]] = lambda params: {}
    run_state: Callable[..., tuple[Array, Mapping[str, Array]]] | None = None
    round_constants: Callable[..., tuple[tuple[Array, QParams], ...]] | None = None
    calibrate: Callable[..., Any] | None = None
    index_range: Callable[[Any], tuple[int, int]] | None = None
    operand_order: tuple[int, ...] | None = None
    write_steps: Callable[[Any], Iterable[TfliteStep]] | None = None


def folds_constants(op: Op) -> bool:
    """Are all operands behind the first one constants whose integers live in params?"""
    return op.weight_axis is not None or op.round_constants is not None


def in_file_order(order: tuple[int, ...] | None, own: tuple[int, ...], others: tuple[int, ...]) -> tuple[int, ...]:
    """Tensor indices of a TFLite operator: its own operands at the places `order` names, the others around them."""
    places = tuple(range(len(own))) if order is None else order[: len(own)]
    filled = dict(zip(places, own, strict=True))
    waiting = iter(others)
    return tuple(filled[i] if i in filled else next(waiting) for i in range(len(own) + len(others)))


def own_operands(operator: TfliteOperator, op: Op) -> tuple[Tensor | None, ...]:
    """The inputs that stay tensors, in the operator's own order."""
    if op.operand_order is None:
        return operator.inputs[: op.operands]
    return tuple(operator.inputs[place] for place in op.operand_order if place < len(operator.inputs))


def in_place(params: Any) -> tuple[int, ...]:
    """Leads of an operator of one input that reads each element just before it writes it, of the same size."""
    return (0,)


def elements(shape: Shape) -> int:
    """Number of elements of one sample; the batch axis is 1."""
    return int(np.prod(shape, dtype=np.int64))
