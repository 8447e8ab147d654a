"""Keras layers that rearrange, enlarge or combine tensors, and transposed convolutions. Call in, Value out."""

from __future__ import annotations

import numpy as np

from tinyptq.frontend import keras_shapes as shapes
from tinyptq.frontend.keras_activations import activated
from tinyptq.frontend.keras_builder import Call, Value
from tinyptq.frontend.keras_config import bad_config, integers, number, text
from tinyptq.graph import Array
from tinyptq.ops.activation import NONE, Clamp
from tinyptq.ops.add import Add
from tinyptq.ops.maximum import Maximum
from tinyptq.ops.minimum import Minimum
from tinyptq.ops.mul import Mul
from tinyptq.ops.resize import Resize
from tinyptq.ops.slice import Slice
from tinyptq.ops.sub import Sub
from tinyptq.ops.transpose import Transpose
from tinyptq.ops.transpose_conv import TransposeConv, cropping

RESIZE_OPS = {"nearest": "resize_nearest_neighbor", "bilinear": "resize_bilinear"}


def permute(call: Call) -> Value:
    """dims count from 1, the batch left out."""
    x = call.input
    dims = call.config.get("dims")
    if not isinstance(dims, list) or any(type(d) is not int for d in dims) or sorted(dims) != [*range(1, len(x.shape))]:
        raise bad_config(f"dims={dims!r:.40} do not fit the shape {x.shape}")
    return call.whole(call.emit("transpose", Transpose((0, *dims)), (call.plain(x),)))


def cropping_layer(call: Call) -> Value:
    """cropping: a number, one per side pair, or [[top, bottom], [left, right]]."""
    dims = shapes.dimensions(call)
    (top, bottom), (left, right) = shapes.side_pairs(call, "cropping", 1 if dims == 1 else 0)
    image = call.image(call.ranked(dims + 2))
    _, height, width, channels = call.builder.tensors[image].shape
    size = (1, height - top - bottom, width - left - right, channels)
    if min(size) < 1:
        raise bad_config(f"crops all of {call.input.shape}")
    return shapes.spatial(call, call.emit("slice", Slice((0, top, left, 0), size), (image,)))


def up_sampling(call: Call) -> Value:
    """Every pixel becomes a block (nearest), or blocks are interpolated (bilinear); pixels are squares."""
    dims = shapes.dimensions(call)
    image = call.image(call.ranked(dims + 2))
    factors = shapes.rows_and_columns(integers(call.config, "size", dims, 2))
    _, height, width, _ = call.builder.tensors[image].shape
    op = RESIZE_OPS[text(call.config, "interpolation", "nearest")]
    attrs = Resize((height * factors[0], width * factors[1]), half_pixel_centers=True)
    return shapes.spatial(call, call.emit(op, attrs, (image,)))


def center_crop(call: Call) -> Value:
    """The middle of an image that is large enough; an odd rest is cut behind."""
    x = call.ranked(4)
    size = (*integers(call.config, "height", 1), *integers(call.config, "width", 1))
    if size[0] > x.shape[1] or size[1] > x.shape[2]:
        raise bad_config(f"a middle of {size[0]}x{size[1]} of {x.shape}, which Keras would resize first")
    begin = (0, (x.shape[1] - size[0]) // 2, (x.shape[2] - size[1]) // 2, 0)
    return call.whole(call.emit("slice", Slice(begin, (1, *size, x.shape[3])), (call.plain(x),)))


def resizing(call: Call) -> Value:
    """As UpSampling2D, to any size."""
    size = (*integers(call.config, "height", 1), *integers(call.config, "width", 1))
    op = RESIZE_OPS[text(call.config, "interpolation", "bilinear")]
    attrs = Resize((size[0], size[1]), half_pixel_centers=True)
    return call.whole(call.emit(op, attrs, (call.plain(call.ranked(4)),)))


def repeat_vector(call: Call) -> Value:
    """[1, c] -> [1, n, c]: an image of one pixel, enlarged; TFLM has no TILE."""
    (count,) = integers(call.config, "n", 1)
    x = call.ranked(2)
    pixel = call.shaped(x, (1, 1, 1, x.shape[1]))
    attrs = Resize((count, 1), half_pixel_centers=True)
    return call.sequence(call.emit("resize_nearest_neighbor", attrs, (pixel,)))


def backward_kernel(kernel: Array) -> Array:
    """[k, out, in] or [kh, kw, out, in] -> [out, kh, kw, in]; a 1-D kernel runs down the rows."""
    four = kernel.reshape(kernel.shape[0], -1, *kernel.shape[-2:])
    return four.transpose(2, 0, 1, 3)


def transposed_convolution(call: Call) -> Value:
    """Output size: in · stride with padding "same", the kernel's overhang more with "valid"."""
    dims = 1 if call.class_name.startswith("Conv1D") else 2
    x = call.ranked(dims + 2)
    (filters,) = integers(call.config, "filters", 1)
    sides = integers(call.config, "kernel_size", dims)
    bias = {"bias": (filters,)} if call.config.get("use_bias", True) else {}
    arrays = call.weights({"kernel": (*sides, filters, x.shape[-1]), **bias})
    arrays["kernel"] = backward_kernel(arrays["kernel"])
    kernel = shapes.rows_and_columns(sides)
    stride = shapes.rows_and_columns(integers(call.config, "strides", dims, 1))
    padding = text(call.config, "padding", "valid")
    image = call.image(x)
    _, height, width, _ = call.builder.tensors[image].shape
    overhang = [0 if padding == "same" else max(k - s, 0) for k, s in zip(kernel, stride, strict=True)]
    size = height * stride[0] + overhang[0], width * stride[1] + overhang[1]

    def attrs(clamp: Clamp) -> TransposeConv:
        return TransposeConv(stride, cropping(padding, size, kernel, stride), size, clamp)

    inputs = (image, *(call.constant(role, array) for role, array in arrays.items()))
    output = activated(call, "transpose_conv", attrs, inputs)
    return call.sequence(output) if dims == 1 else call.whole(output)


def subtract(call: Call) -> Value:
    """Two tensors, or a tensor less a number."""
    if len(call.inputs) == 2 and len(call.arguments) == 2:
        return shapes.folded(call, "sub", Sub(NONE))
    if len(call.inputs) == 1 and len(call.arguments) == 2 and isinstance(call.arguments[1], float):
        negative = number({"operand": -call.arguments[1]}, "operand")
        output = call.emit("add", Add(NONE), (call.input.name, call.constant("number", np.array([negative]))))
        return Value(output, call.input.shape)
    raise bad_config("needs two tensors, or a tensor less a number")


def maximum(call: Call) -> Value:
    return shapes.folded(call, "maximum", Maximum())


def minimum(call: Call) -> Value:
    return shapes.folded(call, "minimum", Minimum())


def average(call: Call) -> Value:
    """The sum, times 1 / n."""
    total = shapes.folded(call, "add", Add(NONE), "sum")
    share = call.constant("share", np.array([1 / len(call.inputs)]))
    return Value(call.emit("mul", Mul(NONE), (total.name, share)), total.shape)
