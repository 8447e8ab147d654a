"""Activations by name, fused or as nodes of their own, and the layers that are nothing but an activation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinyptq.frontend.keras_builder import Call, Value
from tinyptq.frontend.keras_config import bad_config, number
from tinyptq.ops.activation import NONE, RELU, RELU6, Clamp
from tinyptq.ops.elu import Elu
from tinyptq.ops.exp import Exp
from tinyptq.ops.gelu import Gelu
from tinyptq.ops.hard_swish import HardSwish
from tinyptq.ops.leaky_relu import LeakyRelu
from tinyptq.ops.log_softmax import LogSoftmax
from tinyptq.ops.logistic import Logistic
from tinyptq.ops.prelu import Prelu
from tinyptq.ops.relu import Relu
from tinyptq.ops.silu import Silu
from tinyptq.ops.softmax import Softmax
from tinyptq.ops.tanh import Tanh

CLAMPS = {"linear": NONE, "relu": RELU, "relu6": RELU6}
FUNCTIONS: Mapping[str, tuple[str, Any]] = {
    "softmax": ("softmax", Softmax(1.0)),
    "log_softmax": ("log_softmax", LogSoftmax()),
    "sigmoid": ("logistic", Logistic()),
    "tanh": ("tanh", Tanh()),
    "elu": ("elu", Elu()),
    "gelu": ("gelu", Gelu()),
    "silu": ("silu", Silu()),
    "swish": ("silu", Silu()),
    "hard_silu": ("hard_swish", HardSwish()),
    "hard_swish": ("hard_swish", HardSwish()),
    "leaky_relu": ("leaky_relu", LeakyRelu(0.2)),
    "exponential": ("exp", Exp()),
}
KNOWN = (*CLAMPS, *FUNCTIONS)


def activation_name(config: Mapping[str, Any]) -> str:
    value = config.get("activation")
    return "linear" if value is None else str(value)


def activated(call: Call, op: str, attrs: Callable[[Clamp], Any], inputs: tuple[str, ...]) -> str:
    """The node op and the layer's own activation: a clamp is fused, anything else is a node behind it."""
    name = activation_name(call.config)
    if name in CLAMPS:
        return call.emit(op, attrs(CLAMPS[name]), inputs)
    linear = call.emit(op, attrs(NONE), inputs, "linear")
    function, function_attrs = FUNCTIONS[name]
    return call.emit(function, function_attrs, (linear,))


def activation(call: Call) -> Value:
    name = activation_name(call.config)
    if name == "linear":
        return call.input
    op, attrs = ("relu", Relu(CLAMPS[name])) if name in CLAMPS else FUNCTIONS[name]
    return Value(call.emit(op, attrs, (call.input.name,)), call.input.shape)


def element_wise(call: Call, op: str, attrs: Any, *constants: str) -> Value:
    return Value(call.emit(op, attrs, (call.input.name, *constants)), call.input.shape)


def relu(call: Call) -> Value:
    """With a slope for negative inputs it is a leaky ReLU, which TFLite cannot cap."""
    slope = number(call.config, "negative_slope", 0.0)
    if call.config.get("max_value") is None:
        return element_wise(call, "leaky_relu", LeakyRelu(slope)) if slope else element_wise(call, "relu", Relu(RELU))
    if slope:
        raise bad_config(f"negative_slope={slope} together with max_value, only one of them works")
    return element_wise(call, "relu", Relu(Clamp(0.0, number(call.config, "max_value"))))


def leaky_relu(call: Call) -> Value:
    """Keras 2 calls the slope alpha."""
    key = "negative_slope" if "negative_slope" in call.config else "alpha"
    return element_wise(call, "leaky_relu", LeakyRelu(number(call.config, key, 0.3)))


def parametric_relu(call: Call) -> Value:
    """Slopes in the shape of the input, one long along shared axes; those of a sequence fit its image too."""
    x = call.input
    shared = call.config.get("shared_axes") or []
    if not isinstance(shared, list) or any(axis not in range(1, len(x.shape)) for axis in shared):
        raise bad_config(f"shared_axes={shared!r:.40} on the shape {x.shape}")
    shape = tuple(1 if axis in shared else size for axis, size in enumerate(x.shape) if axis > 0)
    slopes = call.weights({"alpha": shape})["alpha"]
    if len(call.builder.held(x)) > len(x.shape):
        return element_wise(call, "prelu", Prelu(), call.constant("alpha_image", slopes[:, np.newaxis]))
    return element_wise(call, "prelu", Prelu(), call.constant("alpha", slopes))


def elu(call: Call) -> Value:
    return element_wise(call, "elu", Elu())
