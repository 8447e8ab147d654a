"""Element-wise operators, of one operand and of two."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from hypothesis import strategies as st

from tests.conformance.draws import (
    Draw,
    activation,
    clamp,
    constant,
    qparams,
    run_time,
    scaled,
    scales,
    seeds,
    shape,
    zero_point,
)
from tests.conformance.trial import Single
from tinyptq.graph import Array, QParams, Shape
from tinyptq.ops.abs import Abs
from tinyptq.ops.activation import NONE, RELU, RELU6, RELU_N1_TO_1, Clamp
from tinyptq.ops.add import Add
from tinyptq.ops.base import Operand
from tinyptq.ops.cast import Cast
from tinyptq.ops.div import Div
from tinyptq.ops.element import INTEGERS
from tinyptq.ops.elu import Elu
from tinyptq.ops.exp import Exp
from tinyptq.ops.gelu import Gelu
from tinyptq.ops.hard_swish import HardSwish
from tinyptq.ops.leaky_relu import LeakyRelu
from tinyptq.ops.log import Log
from tinyptq.ops.logistic import Logistic
from tinyptq.ops.maximum import Maximum
from tinyptq.ops.minimum import Minimum
from tinyptq.ops.mul import Mul
from tinyptq.ops.neg import Neg
from tinyptq.ops.prelu import Prelu
from tinyptq.ops.quantize import CONVERSIONS, Quantize
from tinyptq.ops.relu import Relu
from tinyptq.ops.rsqrt import Rsqrt
from tinyptq.ops.silu import Silu
from tinyptq.ops.sqrt import Sqrt
from tinyptq.ops.square import Square
from tinyptq.ops.squared_difference import SquaredDifference
from tinyptq.ops.sub import Sub
from tinyptq.ops.tanh import Tanh

slopes = st.one_of(st.sampled_from([0.0, 0.01, 0.1, 0.3, 1.0]), st.floats(-2.0, 2.0, width=32))
NUMBERS, NARROW = QParams.per_tensor(1.0), (-(2**14), 2**14)  # of int32, their products within it
LARGEST = 127.0  # of a centred int8, in steps


def unary(attrs: st.SearchStrategy[object], draw: Draw, dtype: str) -> Single:
    """Any input quantization, an output scale up to a thousand times finer or coarser."""
    x = activation(draw, shape(draw), dtype)
    output = scaled(draw, dtype, float(x.qparams.scale[0]), 1e-3, 1e3)
    return Single(draw(attrs), (x,), output, seed=draw(seeds))


def fixed(attrs: object, draw: Draw, dtype: str) -> Single:
    """An operator whose output's quantization is a matter of definition: 2^-15 in int16."""
    x = activation(draw, shape(draw), dtype)
    return Single(attrs, (x,), QParams.per_tensor(2.0**-15) if dtype == "int16" else None, seed=draw(seeds))


def real(attrs: st.SearchStrategy[object], natural: Callable[[float], float], draw: Draw, dtype: str) -> Single:
    """natural: what the largest input, a real number, becomes; the output's scale is near what that asks for."""
    steps = float(np.iinfo(dtype).max)
    x = activation(draw, shape(draw), dtype, 1e-3 / steps, 1e4 / steps)
    largest = natural(steps * float(x.qparams.scale[0]))
    return Single(draw(attrs), (x,), scaled(draw, dtype, min(largest, 1e20) / steps), seed=draw(seeds))


def hard_swish(draw: Draw, dtype: str) -> Single:
    """The output may be 128 times finer than the input, by TFLite's rule."""
    x = activation(draw, shape(draw), dtype)
    return Single(HardSwish(), (x,), scaled(draw, dtype, float(x.qparams.scale[0]), 0.01), seed=draw(seeds))


def rsqrt(draw: Draw, dtype: str) -> Single:
    """From zero up: tflite-micro stops at negative inputs."""
    x = activation(draw, shape(draw), dtype, 1e-5, 1e2)
    zero = int(x.qparams.zero_point[0])
    output = scaled(draw, dtype, 1.0 / math.sqrt(float(x.qparams.scale[0])) / LARGEST)
    return Single(Rsqrt(), (x,), output, ranges={0: (zero, int(np.iinfo(dtype).max))}, seed=draw(seeds))


def relu(draw: Draw, dtype: str) -> Single:
    """RELU and RELU6 have names in tflite-micro, other clamps become MAXIMUM and MINIMUM."""
    chosen = draw(st.sampled_from([RELU, RELU6, RELU_N1_TO_1, Clamp(0.0, 1.0), Clamp(-3.0, 2.5)]))
    x = activation(draw, shape(draw), dtype, 1e-3, 1e2)
    rescaled = chosen == RELU and draw(st.booleans())
    output = scaled(draw, dtype, float(x.qparams.scale[0]), 1e-3, 1e3) if rescaled else None
    return Single(Relu(chosen), (x,), output, seed=draw(seeds))


def quantize(draw: Draw, dtype: str) -> Single:
    """Every conversion from this type. Wide integers are brought down, as sums are."""
    target = draw(st.sampled_from([to for source, to in CONVERSIONS if source == dtype]))
    source, steps = qparams(draw, dtype), np.iinfo(dtype).bits - np.iinfo(target).bits
    scale = float(source.scale[0]) * 2.0 ** max(steps, 0)
    output = scaled(draw, target, scale, 0.9 if dtype == "int32" else 2.0**-12, 2.0**12)
    return Single(Quantize(), (run_time(shape(draw), source, dtype),), output, target, seed=draw(seeds))


def cast(draw: Draw, dtype: str) -> Single:
    """Scales do not take part: the output has the input's."""
    x = activation(draw, shape(draw), dtype)
    return Single(Cast(), (x,), x.qparams, draw(st.sampled_from(INTEGERS)), seed=draw(seeds))


def broadcast(draw: Draw) -> tuple[Shape, Shape]:
    """Two shapes that broadcast: equal, or axes of one on either side."""
    size = shape(draw)
    kept = [(draw(st.booleans()), draw(st.booleans())) for _ in size]
    if draw(st.booleans()):
        return size, size
    first = tuple(s if left or right else 1 for s, (left, right) in zip(size, kept, strict=True))
    return first, tuple(s if left or not right else 1 for s, (left, right) in zip(size, kept, strict=True))


def second_operand(draw: Draw, size: Shape, q: QParams, dtype: str) -> Operand:
    """A run-time operand, or a constant that may have fewer axes."""
    if draw(st.booleans()):
        return run_time(size, q, dtype)
    while len(size) > 1 and size[0] == 1 and draw(st.booleans()):
        size = size[1:]
    return constant(draw, size, q, dtype)


def pair(make: Callable[[Clamp], object], product: bool, draw: Draw, dtype: str) -> Single:
    """Operands of unlike scales, an output near what the combination asks for; int32 are numbers that do not wrap."""
    left, right = broadcast(draw)
    if dtype == "int32":
        numbers = tuple(run_time(size, NUMBERS, dtype) for size in (left, right))
        return Single(make(NONE), numbers, NUMBERS, ranges={0: NARROW, 1: NARROW}, seed=draw(seeds))
    first = activation(draw, left, dtype, 1e-5, 1e2)
    s0 = float(first.qparams.scale[0])
    q = qparams(draw, dtype, 1e-5, 1e2) if product else scaled(draw, dtype, s0, 1e-3, 1e3)
    s1 = float(q.scale[0])
    natural = s0 * s1 * (np.iinfo(dtype).max + 1) if product else 2 * max(s0, s1)
    operands = [first, second_operand(draw, right, q, dtype)]
    if draw(st.booleans()):
        operands.reverse()
    return Single(make(clamp(draw)), tuple(operands), scaled(draw, dtype, natural, 0.01), seed=draw(seeds))


def squared_difference(draw: Draw, dtype: str) -> Single:
    drawn = pair(lambda _: SquaredDifference(), False, draw, dtype)
    if dtype == "int32":
        return drawn
    largest = max(float(operand.qparams.scale[0]) for operand in drawn.operands) * LARGEST
    return replace(drawn, output=scaled(draw, dtype, largest**2 / LARGEST, 0.1))


def same_pair(attrs: object, draw: Draw, dtype: str) -> Single:
    left, right = broadcast(draw)
    shared = qparams(draw, dtype)
    operands = (run_time(left, shared, dtype), second_operand(draw, right, shared, dtype))
    return Single(attrs, operands, seed=draw(seeds))


def div(draw: Draw, dtype: str) -> Single:
    """Divisors of one sign, never zero, and so small that TFLite's shift, 31 + log2(divisor) − shift, is defined."""
    left, right = broadcast(draw)
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    first, second = activation(draw, left, dtype, 1e-3, 10.0), activation(draw, right, dtype, 1e-3, 10.0)
    zero, shift = int(second.qparams.zero_point[0]), draw(st.integers(0, 14))
    most = 2 ** (shift + 1) - 1
    side = (zero + 1, min(zero + most, high)) if zero <= 0 else (max(zero - most, low), zero - 1)
    quotient = float(first.qparams.scale[0]) / float(second.qparams.scale[0])
    scale = quotient / 2.0 ** (shift - 1) / draw(st.floats(1.01, 1.98))
    output = QParams.per_tensor(float(np.float32(scale)), zero_point(draw, dtype))
    return Single(Div(clamp(draw)), (first, second), output, ranges={1: side}, seed=draw(seeds))


def prelu(draw: Draw, dtype: str) -> Single:
    """Slopes per channel, for all, or for every element."""
    size = shape(draw, (2, 3, 4))
    x = activation(draw, size, dtype, 1e-5, 1e2)
    axes = draw(st.sampled_from([size, (1,) * (len(size) - 1) + size[-1:], size[-1:], (1,)]))
    alpha = constant(draw, axes, QParams.per_tensor(draw(scales(1e-4, 0.1)), zero_point(draw, dtype)), dtype)
    return Single(Prelu(), (x, alpha), scaled(draw, dtype, float(x.qparams.scale[0])), seed=draw(seeds))


def elu(attrs: object, x: Array) -> Array:
    y: Array = np.where(x > 0, x, np.expm1(x))
    return y


def gelu(attrs: object, x: Array) -> Array:
    """By the error function, or its hyperbolic tangent."""
    if attrs == Gelu(True):
        y: Array = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    else:
        y = x * np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in x.ravel()]).reshape(x.shape)
    return y


# The functions of real numbers behind operators that no integer kernel of TFLite's defines, in float64.
REAL: dict[str, Callable[..., Array]] = {
    "div": lambda attrs, x, y: np.clip(x / y, attrs.activation.low, attrs.activation.high),
    "elu": elu,
    "exp": lambda _, x: np.exp(x),
    "gelu": gelu,
    "hard_swish": lambda _, x: x * np.clip(x + 3, 0, 6) / 6,
    "l2_normalization": lambda _, x: x / np.sqrt((x * x).sum(axis=-1, keepdims=True)),
    "log": lambda _, x: np.where(x > 0, np.log(x), -np.inf),
    "neg": lambda _, x: -x,
    "prelu": lambda _, x, alpha: np.where(x >= 0, x, x * alpha),
    "silu": lambda _, x: x / (1 + np.exp(-x)),
    "sqrt": lambda _, x: np.sqrt(np.maximum(x, 0)),
    "square": lambda _, x: x * x,
}
DRAWS: dict[str, Callable[[Draw, str], Single]] = {
    "abs": partial(unary, st.just(Abs())),
    "add": partial(pair, Add, False),
    "cast": cast,
    "div": div,
    "elu": partial(unary, st.just(Elu())),
    "exp": partial(real, st.just(Exp()), lambda x: math.exp(min(x, 40.0))),
    "gelu": partial(real, st.sampled_from([Gelu(), Gelu(True)]), lambda x: x),
    "hard_swish": hard_swish,
    "leaky_relu": partial(unary, slopes.map(LeakyRelu)),
    "log": partial(real, st.just(Log()), lambda x: max(abs(math.log(x)), 0.1)),
    "logistic": partial(fixed, Logistic()),
    "maximum": partial(same_pair, Maximum()),
    "minimum": partial(same_pair, Minimum()),
    "mul": partial(pair, Mul, True),
    "neg": partial(unary, st.just(Neg())),
    "prelu": prelu,
    "quantize": quantize,
    "relu": relu,
    "rsqrt": rsqrt,
    "silu": partial(real, st.just(Silu()), lambda x: x),
    "sqrt": partial(real, st.just(Sqrt()), math.sqrt),
    "square": partial(real, st.just(Square()), lambda x: x * x),
    "squared_difference": squared_difference,
    "sub": partial(pair, Sub, False),
    "tanh": partial(fixed, Tanh()),
}
