"""Keras layers with weights, one function per kind, and the table of all layers.

A function takes a Call and returns the Value of its output. Kernel layouts: Keras convolutions are [kh, kw, in, out],
depthwise ones [kh, kw, in, multiplier], dense ones [in, out]; ours are TFLite's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tinyptq.frontend import keras_activations as activations
from tinyptq.frontend import keras_moves as moves
from tinyptq.frontend import keras_normalizations as normal
from tinyptq.frontend import keras_recurrent as recurrent
from tinyptq.frontend import keras_shapes as shapes
from tinyptq.frontend import keras_time as times
from tinyptq.frontend.keras_activations import activated, activation_name
from tinyptq.frontend.keras_builder import Call, Value
from tinyptq.frontend.keras_config import bad_config, entry, integers
from tinyptq.graph import Array, Shape
from tinyptq.ops.activation import NONE, Clamp
from tinyptq.ops.conv_2d import Conv2D
from tinyptq.ops.depthwise_conv_2d import DepthwiseConv2D
from tinyptq.ops.embedding_lookup import EmbeddingLookup
from tinyptq.ops.fully_connected import FullyConnected
from tinyptq.ops.softmax import Softmax
from tinyptq.ops.window import Window


def bias_shape(config: Mapping[str, Any], channels: int) -> dict[str, Shape]:
    return {"bias": (channels,)} if config.get("use_bias", True) else {}


def constants(call: Call, arrays: Mapping[str, Array]) -> tuple[str, ...]:
    return tuple(call.constant(role, array) for role, array in arrays.items())


def forward_kernel(kernel: Array) -> Array:
    """[k, in, out] or [kh, kw, in, out] -> [out, kh, kw, in]; a 1-D kernel runs down the rows."""
    four = kernel.reshape(kernel.shape[0], -1, *kernel.shape[-2:])
    return four.transpose(3, 0, 1, 2)


def depthwise_kernel(kernel: Array) -> Array:
    """[k, in, m] or [kh, kw, in, m] -> [1, kh, kw, in · m]: output channel = input channel · m + index."""
    four = kernel.reshape(kernel.shape[0], -1, *kernel.shape[-2:])
    return four.reshape(1, four.shape[0], four.shape[1], -1)


def convolution(call: Call) -> Value:
    dims = shapes.dimensions(call)
    x = call.ranked(dims + 2)
    (filters,) = integers(call.config, "filters", 1)
    window = shapes.convolution_window(call, x)
    kernel = integers(call.config, "kernel_size", dims)
    (groups,) = integers(call.config, "groups", 1, 1)
    if x.shape[-1] % groups or filters % groups:
        raise bad_config(f"groups={groups} of {x.shape[-1]} channels and {filters} filters")
    arrays = call.weights({"kernel": (*kernel, x.shape[-1] // groups, filters), **bias_shape(call.config, filters)})
    arrays["kernel"] = forward_kernel(arrays["kernel"])
    inputs = (call.image(x), *constants(call, arrays))
    return shapes.spatial(call, activated(call, "conv_2d", lambda clamp: Conv2D(window, clamp), inputs))


def depthwise(call: Call) -> Value:
    dims = shapes.dimensions(call)
    x = call.ranked(dims + 2)
    channels = x.shape[-1]
    (multiplier,) = integers(call.config, "depth_multiplier", 1, 1)
    window = shapes.convolution_window(call, x)
    kernel = integers(call.config, "kernel_size", dims)
    arrays = call.weights({"kernel": (*kernel, channels, multiplier), **bias_shape(call.config, channels * multiplier)})
    arrays["kernel"] = depthwise_kernel(arrays["kernel"])
    inputs = (call.image(x), *constants(call, arrays))

    def attrs(clamp: Clamp) -> DepthwiseConv2D:
        return DepthwiseConv2D(window, multiplier, clamp)

    return shapes.spatial(call, activated(call, "depthwise_conv_2d", attrs, inputs))


def separable(call: Call) -> Value:
    """A depthwise convolution without bias or activation, then a 1x1 convolution with both."""
    dims = shapes.dimensions(call)
    x = call.ranked(dims + 2)
    channels = x.shape[-1]
    (filters,) = integers(call.config, "filters", 1)
    (multiplier,) = integers(call.config, "depth_multiplier", 1, 1)
    window = shapes.convolution_window(call, x)
    kernel = integers(call.config, "kernel_size", dims)
    arrays = call.weights(
        {
            "depthwise": (*kernel, channels, multiplier),
            "pointwise": (*(1,) * dims, channels * multiplier, filters),
            **bias_shape(call.config, filters),
        }
    )
    first = call.constant("depthwise", depthwise_kernel(arrays.pop("depthwise")))
    arrays["pointwise"] = forward_kernel(arrays["pointwise"])
    attrs = DepthwiseConv2D(window, multiplier, NONE)
    middle = call.emit("depthwise_conv_2d", attrs, (call.image(x), first), "depthwise_output")
    inputs = (middle, *constants(call, arrays))
    return shapes.spatial(call, activated(call, "conv_2d", lambda clamp: Conv2D(Window((1, 1)), clamp), inputs))


def dense(call: Call) -> Value:
    x = call.input
    (units,) = integers(call.config, "units", 1)
    arrays = call.weights({"kernel": (x.shape[-1], units), **bias_shape(call.config, units)})
    arrays["kernel"] = arrays["kernel"].T
    inputs = (x.name, *constants(call, arrays))

    def attrs(clamp: Clamp) -> FullyConnected:
        return FullyConnected(clamp, keep_dims=len(x.shape) > 2)

    return Value(activated(call, "fully_connected", attrs, inputs), (*x.shape[:-1], units))


def embedding(call: Call) -> Value:
    """Rows of a table, named by an input of the model, which becomes int32 (Keras casts it)."""
    x = call.input
    (rows,), (size,) = integers(call.config, "input_dim", 1), integers(call.config, "output_dim", 1)
    table = call.constant("embeddings", call.weights({"embeddings": (rows, size)})["embeddings"])
    call.builder.hold_integers(x.name)
    call.builder.masked |= bool(call.config.get("mask_zero", False))
    return call.whole(call.emit("embedding_lookup", EmbeddingLookup(), (x.name, table)))


def softmax(call: Call) -> Value:
    normal.require_last_axis(call)
    return Value(call.emit("softmax", Softmax(1.0), (call.input.name,)), call.input.shape)


@dataclass(frozen=True, eq=False)
class Layer:
    """build: Call -> Value, a tuple where several. limits: configuration key -> values that work, the default first."""

    build: Callable[[Call], Value | tuple[Value, ...]]
    limits: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


IMAGE = {"data_format": ("channels_last", None)}
PADDED = {**IMAGE, "padding": ("valid", "same")}
CONV = {**PADDED, "groups": (1, None)}
TRANSPOSED = {**PADDED, "output_padding": (None,), "dilation_rate": (1, [1], [1, 1])}
CAUSAL = {"padding": ("valid", "same", "causal")}
RESIZED = {
    **IMAGE,
    "interpolation": ("bilinear", "nearest"),
    **dict.fromkeys(("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias"), (False, None)),
}
IDENTITIES = ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "AlphaDropout")

LAYERS: Mapping[str, Layer] = {
    "InputLayer": Layer(shapes.identity, {"sparse": (False, None), "ragged": (False, None)}),
    "Conv2D": Layer(convolution, PADDED),
    "Conv1D": Layer(convolution, {**PADDED, **CAUSAL}),
    **{f"Conv{n}DTranspose": Layer(moves.transposed_convolution, TRANSPOSED) for n in (1, 2)},
    "DepthwiseConv2D": Layer(depthwise, PADDED),
    "DepthwiseConv1D": Layer(depthwise, PADDED),
    "SeparableConv2D": Layer(separable, CONV),
    "SeparableConv1D": Layer(separable, {**CONV, **CAUSAL}),
    "Dense": Layer(dense, {"lora_rank": (None,)}),
    "Embedding": Layer(embedding, {"lora_rank": (None,), "quantization_config": (None,)}),
    "BatchNormalization": Layer(normal.batch_normalization, {"renorm": (False, None)}),
    "LayerNormalization": Layer(normal.layer_normalization, {"rms_scaling": (False, None)}),
    "GroupNormalization": Layer(normal.group_normalization),
    "UnitNormalization": Layer(normal.unit_normalization),
    "Normalization": Layer(normal.normalization, {"invert": (False, None)}),
    "Rescaling": Layer(normal.rescaling),
    "Activation": Layer(activations.activation),
    "ReLU": Layer(activations.relu),
    "LeakyReLU": Layer(activations.leaky_relu),
    "PReLU": Layer(activations.parametric_relu),
    "ELU": Layer(activations.exponential_linear),
    "Softmax": Layer(softmax),
    "Add": Layer(shapes.add),
    "Multiply": Layer(shapes.multiply),
    "Concatenate": Layer(shapes.concatenate),
    "Subtract": Layer(moves.subtract),
    "Maximum": Layer(moves.maximum),
    "Minimum": Layer(moves.minimum),
    "Average": Layer(moves.average),
    "Permute": Layer(moves.permute),
    "RepeatVector": Layer(moves.repeat_vector),
    "TimeDistributed": Layer(lambda call: time_distributed(call)),
    **{f"Cropping{n}D": Layer(moves.cropping_layer, IMAGE) for n in (1, 2)},
    "CenterCrop": Layer(moves.center_crop, IMAGE),
    "Resizing": Layer(moves.resizing, RESIZED),
    "UpSampling1D": Layer(moves.up_sampling),
    "UpSampling2D": Layer(moves.up_sampling, {**IMAGE, "interpolation": tuple(moves.RESIZE_OPS)}),
    "Flatten": Layer(shapes.flatten, IMAGE),
    "Reshape": Layer(shapes.reshape),
    "ZeroPadding1D": Layer(shapes.zero_padding, IMAGE),
    "ZeroPadding2D": Layer(shapes.zero_padding, IMAGE),
    **{f"MaxPooling{n}D": Layer(shapes.max_pooling, PADDED) for n in (1, 2)},
    **{f"AveragePooling{n}D": Layer(shapes.average_pooling, PADDED) for n in (1, 2)},
    **{f"GlobalMaxPooling{n}D": Layer(shapes.global_max_pooling, IMAGE) for n in (1, 2)},
    **{f"GlobalAveragePooling{n}D": Layer(shapes.global_average_pooling, IMAGE) for n in (1, 2)},
    **{name: Layer(recurrent.recurrent, recurrent.LIMITS) for name in recurrent.KINDS},
    "RNN": Layer(recurrent.rnn),
    "Bidirectional": Layer(recurrent.bidirectional, {"merge_mode": recurrent.MERGE_MODES}),
    **{name: Layer(shapes.identity) for name in (*IDENTITIES, "ActivityRegularization")},
}
RECURRENT = dict.fromkeys(("ConvLSTM1D", "ConvLSTM2D"), "recurrent; use LSTM, GRU or Conv1D")
ADVICE = {
    **RECURRENT,
    "Masking": "skips time steps that only the running model knows; train without it",
    "Lambda": "holds Python code, which is never run; use layers",
    "TFOpLambda": "a bare TensorFlow operation; use a layer",
}
# What a wrapper may hold, by its class.
SEQUENCES = tuple(recurrent.KINDS)
INSIDE = {"TimeDistributed": times.INSIDE, "RNN": SEQUENCES, "Bidirectional": SEQUENCES}
FLOAT_TYPES = ("float32", "float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16")
NUMBERS = ("int32", "int64", "uint8")  # of an input: indices, or pixels that a Rescaling makes floats


def inner_layers(class_name: str, config: Mapping[str, Any]) -> tuple[recurrent.Inner, ...]:
    """The layers a wrapper holds; none for any other layer."""
    if class_name == "TimeDistributed":
        return (recurrent.inner_layer(config, "layer"),)
    if class_name == "RNN":
        return (recurrent.rnn_layer(config),)
    return recurrent.directions(config) if class_name == "Bidirectional" else ()


def time_distributed(call: Call) -> Value:
    class_name, _ = recurrent.inner_layer(call.config, "layer")
    return times.time_distributed(call, LAYERS[class_name].build)


def refusals(class_name: str, config: Mapping[str, Any]) -> Iterator[str]:
    """Every reason why a layer cannot be compiled, with what would work."""
    if class_name not in LAYERS:
        yield ADVICE.get(class_name, "no such layer is known")
        return
    for inside, inner in inner_layers(class_name, config):
        if inside not in INSIDE[class_name]:
            yield f"wraps {inside or 'nothing':.40}, only {' or '.join(INSIDE[class_name])} works"
            return
        yield from refusals(inside, inner)
    for key, accepted in LAYERS[class_name].limits.items():
        value = config.get(key, accepted[0])
        if value not in accepted:
            yield f"{key}={value!r:.40}, only {' or '.join(repr(a) for a in accepted if a is not None)} works"
    dtype = config.get("dtype")
    policy = entry(dtype, "config").get("name") if isinstance(dtype, dict) else dtype
    if policy is not None and policy not in (*FLOAT_TYPES, *(NUMBERS if class_name == "InputLayer" else ())):
        yield f"dtype={policy!r:.40}, only float32 works"
    if activation_name(config) not in activations.KNOWN:
        yield f"activation={activation_name(config):.60}, only {', '.join(activations.KNOWN)} work"
