"""Every operator, one record each; a new one is a line here."""

from __future__ import annotations

from tinyptq.ops import (
    add,
    average_pool_2d,
    concatenation,
    conv_2d,
    depthwise_conv_2d,
    dequantize,
    fully_connected,
    logistic,
    max_pool_2d,
    maximum,
    mean,
    minimum,
    mul,
    pad,
    quantize,
    reduce_max,
    reduce_min,
    relu,
    reshape,
    softmax,
    squared_difference,
    sub,
    sum,
    tanh,
)
from tinyptq.ops.base import Op

OPS: tuple[Op, ...] = (
    conv_2d.OP,
    depthwise_conv_2d.OP,
    fully_connected.OP,
    average_pool_2d.OP,
    max_pool_2d.OP,
    mean.OP,
    reduce_max.OP,
    add.OP,
    mul.OP,
    relu.OP,
    logistic.OP,
    tanh.OP,
    softmax.OP,
    pad.OP,
    concatenation.OP,
    reshape.OP,
    quantize.OP,
    dequantize.OP,
    sub.OP,
    squared_difference.OP,
    maximum.OP,
    minimum.OP,
    reduce_min.OP,
    sum.OP,
)
BY_NAME = {op.name: op for op in OPS}
BY_BUILTIN = {builtin: op for op in OPS for builtin in op.builtins}
