"""BATCH_MATMUL: matrices in the last two axes multiplied, the axes before them broadcast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyptq.fixedpoint import quantize_multiplier, reduce_multipliers, rescale, rescale_reduced
from tinyptq.graph import Array, Graph, Node, Shape
from tinyptq.ops.base import FREE, Op, Operand, TfliteCode, TfliteOperator, elements
from tinyptq.ops.broadcast import Loop, loop_nest, one_activation
from tinyptq.ops.element import SCALED, limits, scaled_element, width
from tinyptq.ops.requantize import prove_no_overflow, prove_reducible, requantize
from tinyptq.program import Work

MAX_RANK = 5  # what TFLite Micro multiplies


@dataclass(frozen=True)
class BatchMatMul:
    """adj_x, adj_y: the matrices of the first, second operand are transposed before they are multiplied."""

    adj_x: bool = False
    adj_y: bool = False


@dataclass(frozen=True)
class Matrix:
    """Where an element of one operand's matrix lies: row · row_step + column · column_step, transposed or not."""

    zero_point: int
    size: int
    row_step: int
    column_step: int


@dataclass(frozen=True, eq=False)
class BatchMatMulInt:
    """y = clamp(MBQM(Σ (a − zero_point_a) · (b − zero_point_b), multiplier, shift) + output_zero_point).

    Of int16 without zero points, in 64 bits, rescaled by 16 bits of the multiplier.
    """

    input_shapes: tuple[Shape, Shape]
    output_shape: Shape
    element: str  # of both operands and the output: "int8" or "int16"
    adj_x: bool
    adj_y: bool
    input_zero_points: tuple[int, int]
    output_zero_point: int
    multiplier: int
    shift: int

    @property
    def reduced(self) -> tuple[int, int]:
        """Multiplier and right shift of 64-bit sums."""
        multiplier, right = reduce_multipliers(np.array(self.multiplier), np.array(self.shift))
        return int(multiplier), int(right)

    @property
    def limits(self) -> tuple[int, int]:
        return limits(self.element)

    @property
    def rows(self) -> int:
        return self.output_shape[-2]

    @property
    def columns(self) -> int:
        return self.output_shape[-1]

    @property
    def product_size(self) -> int:
        return self.rows * self.columns

    @property
    def depth(self) -> int:
        return self.input_shapes[0][-2 if self.adj_x else -1]

    @property
    def matrices(self) -> tuple[Matrix, Matrix]:
        pairs = zip(self.input_shapes, self.input_zero_points, (self.adj_x, self.adj_y), strict=True)
        first, second = (
            Matrix(point, elements(shape[-2:]), *((1, shape[-1]) if transposed else (shape[-1], 1)))
            for shape, point, transposed in pairs
        )
        return first, second

    @property
    def loops(self) -> tuple[Loop, ...]:
        """Over the axes before the matrices; strides count matrices."""
        first, second = (shape[:-2] for shape in self.input_shapes)
        return loop_nest(first, second)


def read_tflite(operator: TfliteOperator) -> BatchMatMul:
    options = operator.options
    return BatchMatMul(bool(options.AdjX()), bool(options.AdjY())) if options is not None else BatchMatMul()


def write_tflite(params: BatchMatMulInt) -> tuple[TfliteCode, ...]:
    fields = {"AdjX": params.adj_x, "AdjY": params.adj_y}
    return (TfliteCode("BATCH_MATMUL", "BatchMatMulOptions", fields, version=2),)


def transposed(shape: Shape, adjoint: bool) -> Shape:
    return (*shape[:-2], shape[-1], shape[-2]) if adjoint else shape


def infer_shapes(attrs: BatchMatMul, first: Shape, second: Shape) -> tuple[Shape, ...]:
    first, second = transposed(first, attrs.adj_x), transposed(second, attrs.adj_y)
    return ((*np.broadcast_shapes(first[:-2], second[:-2]), first[-2], second[-1]),)


def operands(attrs: BatchMatMul, first: Array, second: Array) -> tuple[Array, Array]:
    """Both as they are multiplied."""
    return (
        np.swapaxes(first, -1, -2) if attrs.adj_x else first,
        np.swapaxes(second, -1, -2) if attrs.adj_y else second,
    )


def run_float(attrs: BatchMatMul, first: Array, second: Array) -> Array:
    y: Array = np.matmul(*operands(attrs, first, second))
    return y


def batch_apart(graph: Graph, node: Node) -> bool:
    """Operands that are not constant have 3 to 5 dimensions, as many as the output: a batch of 1, then matrices."""
    first, second = (graph.tensors[name] for name in node.inputs)
    rank = max(len(first.shape), len(second.shape))
    vector = second.data is not None and len(first.shape) == rank == 2 and not node.attrs.adj_x
    runtime = [tensor.shape for tensor in (first, second) if tensor.data is None]
    return vector or (3 <= rank <= MAX_RANK and all(len(shape) == rank and shape[0] == 1 for shape in runtime))


def matrices_fit(graph: Graph, node: Node) -> bool:
    """Columns of the first matrices are rows of the second; the axes before them broadcast, the batch to 1."""
    first, second = (graph.tensors[name].shape for name in node.inputs)
    if min(len(first), len(second)) < 2:
        return False
    first, second = transposed(first, node.attrs.adj_x), transposed(second, node.attrs.adj_y)
    try:
        batch = np.broadcast_shapes(first[:-2], second[:-2])
    except ValueError:
        return False
    return first[-1] == second[-2] and (not batch or batch[0] == 1)


def lower(attrs: BatchMatMul, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> BatchMatMulInt:
    """Multiplier s_a · s_b / s_out, in double: measured on tflite-micro, where ties tell."""
    first, second, output = inputs[0].qparams, inputs[1].qparams, outputs[0].qparams
    product = float(first.scale[0]) * float(second.scale[0])
    multiplier, shift = quantize_multiplier(product / float(output.scale[0]))
    params = BatchMatMulInt(
        input_shapes=(inputs[0].shape, inputs[1].shape),
        output_shape=outputs[0].shape,
        element=scaled_element(*inputs, *outputs),
        adj_x=attrs.adj_x,
        adj_y=attrs.adj_y,
        input_zero_points=(int(first.zero_point[0]), int(second.zero_point[0])),
        output_zero_point=int(output.zero_point[0]),
        multiplier=multiplier,
        shift=shift,
    )
    if params.element == "int16":
        prove_reducible(np.array([params.depth * 2.0**30]), np.array([multiplier]), np.array([shift]))
    else:
        prove_no_overflow(np.array([params.depth * 255 * 255]), np.array([shift]))
    return params


def run_int(params: BatchMatMulInt, first: Array, second: Array) -> Array:
    """Sums stay below 2^47: exact in float64."""
    points = params.input_zero_points
    centred = (first.astype(np.float64) - points[0], second.astype(np.float64) - points[1])
    product = np.matmul(*operands(BatchMatMul(params.adj_x, params.adj_y), *centred))
    wide = params.element == "int16"
    factors = params.reduced if wide else (params.multiplier, params.shift)
    multiplier, shift = (np.array([factor]) for factor in factors)
    rescaling = rescale_reduced if wide else rescale
    return requantize(
        product, multiplier, shift, params.output_zero_point, *params.limits, params.element, rescaling=rescaling
    )


def work(params: BatchMatMulInt) -> Work:
    moved = sum(elements(shape) for shape in (*params.input_shapes, params.output_shape))
    return Work(elements(params.output_shape) * params.depth, 0, width(params.element) * moved)


OP = Op(
    name="batch_matmul",
    summary="matrices multiplied, either one transposed; one operand may be constant",
    builtins=("BATCH_MATMUL",),
    attrs=BatchMatMul,
    params=BatchMatMulInt,
    operands=2,
    read_tflite=read_tflite,
    write_tflite=write_tflite,
    infer_shapes=infer_shapes,
    run_float=run_float,
    constraints=(one_activation, batch_apart, matrices_fit),
    quantization=FREE,
    lower=lower,
    run_int=run_int,
    dtypes=SCALED,
    work=work,
)
