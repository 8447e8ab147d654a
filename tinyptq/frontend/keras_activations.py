"""Activations by name, fused or as nodes of their own, and the layers that are nothing but an activation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tinyptq.frontend.keras_builder import Call, Value
from tinyptq.frontend.keras_config import bad_config, entry, number
from tinyptq.frontend.keras_functions import FUNCTIONS as ELEMENTS
from tinyptq.frontend.keras_functions import KERAS_2, elu, function, rectified
from tinyptq.ops.activation import NONE, RELU, RELU6, RELU_N1_TO_1, Clamp
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

CLAMPS = {"linear": NONE, "relu": RELU, "relu6": RELU6, "hard_tanh": RELU_N1_TO_1}
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
    **ELEMENTS,
}


def activation_name(config: Mapping[str, Any]) -> str:
    """A layer may stand where a name is expected: "LeakyReLU()"."""
    value = config.get("activation")
    if isinstance(value, dict) and isinstance(value.get("class_name"), str):
        return f"{value['class_name']}()"
    return "linear" if value is None else str(value)


def named(call: Call, name: str) -> tuple[str, Any]:
    """(operator, attributes) of an activation that is no clamp; before Keras 3 some names meant something else."""
    return KERAS_2[name] if call.builder.keras < 3 and name in KERAS_2 else FUNCTIONS[name]


def activated(call: Call, op: str, attrs: Callable[[Clamp], Any], inputs: tuple[str, ...]) -> str:
    """The node op and the layer's own activation: a clamp is fused, anything else is a node behind it."""
    name = activation_name(call.config)
    if name in CLAMPS:
        return call.emit(op, attrs(CLAMPS[name]), inputs)
    linear = call.emit(op, attrs(NONE), inputs, "linear")
    if name in LAYERS:
        inner = replace(call, config=entry(call.config["activation"], "config"), inputs=(call.whole(linear),))
        return LAYERS[name](inner).name
    return call.emit(*named(call, name), (linear,))


def activation(call: Call) -> Value:
    name = activation_name(call.config)
    if name == "linear":
        return call.input
    if name in LAYERS:
        return LAYERS[name](replace(call, config=entry(call.config["activation"], "config")))
    op, attrs = ("relu", Relu(CLAMPS[name])) if name in CLAMPS else named(call, name)
    return Value(call.emit(op, attrs, (call.input.name,)), call.input.shape)


def element_wise(call: Call, op: str, attrs: Any, *constants: str) -> Value:
    return Value(call.emit(op, attrs, (call.input.name, *constants)), call.input.shape)


def relu(call: Call) -> Value:
    """TFLite has a slope for negative inputs, or a cap; both, or a threshold, are a function of the element."""
    slope, threshold = number(call.config, "negative_slope", 0.0), number(call.config, "threshold", 0.0)
    capped = call.config.get("max_value") is not None
    cap = number(call.config, "max_value") if capped else math.inf
    if threshold or (capped and slope):
        return element_wise(call, *function(rectified(slope, threshold, cap)))
    if slope:
        return element_wise(call, "leaky_relu", LeakyRelu(slope))
    return element_wise(call, "relu", Relu(Clamp(0.0, cap) if capped else RELU))


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


def exponential_linear(call: Call) -> Value:
    """TFLite's ELU has an alpha of one."""
    alpha = number(call.config, "alpha", 1.0)
    return element_wise(call, "elu", Elu()) if alpha == 1.0 else element_wise(call, *function(elu(alpha)))


LAYERS = {"ReLU()": relu, "LeakyReLU()": leaky_relu, "ELU()": exponential_linear}
KNOWN = (*CLAMPS, *FUNCTIONS, *LAYERS)
