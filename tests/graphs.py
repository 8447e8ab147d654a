"""Random small float graphs for hypothesis: chains, residuals, branches, every operator of the compiler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinyptq.graph import Array, Graph, Node, Shape, Tensor, rebuild, require_well_formed
from tinyptq.ops import BY_NAME
from tinyptq.ops.abs import Abs
from tinyptq.ops.activation import NONE, RELU, RELU6, Clamp
from tinyptq.ops.add import Add
from tinyptq.ops.average_pool_2d import AveragePool2D
from tinyptq.ops.concatenation import Concatenation
from tinyptq.ops.conv_2d import Conv2D
from tinyptq.ops.depth_to_space import DepthToSpace
from tinyptq.ops.depthwise_conv_2d import DepthwiseConv2D
from tinyptq.ops.elu import Elu
from tinyptq.ops.fully_connected import FullyConnected
from tinyptq.ops.gelu import Gelu
from tinyptq.ops.hard_swish import HardSwish
from tinyptq.ops.l2_normalization import L2Normalization
from tinyptq.ops.leaky_relu import LeakyRelu
from tinyptq.ops.log_softmax import LogSoftmax
from tinyptq.ops.logistic import Logistic
from tinyptq.ops.max_pool_2d import MaxPool2D
from tinyptq.ops.maximum import Maximum
from tinyptq.ops.mean import Mean
from tinyptq.ops.minimum import Minimum
from tinyptq.ops.mirror_pad import REFLECT, MirrorPad
from tinyptq.ops.mul import Mul
from tinyptq.ops.neg import Neg
from tinyptq.ops.pad import Pad
from tinyptq.ops.pad_v2 import PadV2
from tinyptq.ops.prelu import Prelu
from tinyptq.ops.reduce_max import ReduceMax
from tinyptq.ops.reduce_min import ReduceMin
from tinyptq.ops.relu import Relu
from tinyptq.ops.reshape import Reshape
from tinyptq.ops.resize import Resize
from tinyptq.ops.reverse_v2 import ReverseV2
from tinyptq.ops.silu import Silu
from tinyptq.ops.softmax import Softmax
from tinyptq.ops.space_to_depth import SpaceToDepth
from tinyptq.ops.split import Split
from tinyptq.ops.sqrt import Sqrt
from tinyptq.ops.squared_difference import SquaredDifference
from tinyptq.ops.strided_slice import StridedSlice
from tinyptq.ops.sub import Sub
from tinyptq.ops.sum import Sum
from tinyptq.ops.tanh import Tanh
from tinyptq.ops.transpose import Transpose
from tinyptq.ops.transpose_conv import TransposeConv, cropping
from tinyptq.ops.unpack import Unpack
from tinyptq.ops.window import Window, make_window

FLOAT32 = np.dtype(np.float32)
MAX_CHANNELS = 12
activations = st.sampled_from([NONE, RELU, RELU6])
small = st.integers(1, 3)
UNARY = (LeakyRelu(0.25), Elu(), Gelu(), Gelu(True), Silu(), HardSwish(), Abs(), Neg(), Sqrt())
UNARY_NAMES = {op.attrs: op.name for op in BY_NAME.values()}
PLAIN_PAIRS = [("maximum", Maximum()), ("minimum", Minimum()), ("squared_difference", SquaredDifference())]
SQUASHES = [
    ("logistic", Logistic()),
    ("tanh", Tanh()),
    ("softmax", Softmax(1.0)),
    ("log_softmax", LogSoftmax()),
    ("l2_normalization", L2Normalization()),
]
Draw = Callable[[st.SearchStrategy[Any]], Any]


@dataclass
class Sketch:
    """A graph in the making. current: the tensor the next operator most likely reads."""

    draw: Draw
    random: np.random.Generator
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    current: str = ""

    def new(self, shape: Shape, data: Array | None = None) -> str:
        name = f"{'t' if data is None else 'c'}{len(self.tensors)}"
        self.tensors[name] = Tensor(name, shape, FLOAT32, data)
        return name

    def constant(self, *shape: int, scale: float = 1.0) -> str:
        return self.new(shape, (self.random.standard_normal(shape) * scale).astype(np.float32))

    def shape(self, name: str) -> Shape:
        return self.tensors[name].shape

    def add(self, op: str, attrs: Any, *inputs: str) -> None:
        """Append a node; its first output becomes current."""
        shapes = BY_NAME[op].infer_shapes(attrs, *(self.shape(name) for name in inputs))
        outputs = tuple(self.new(shape) for shape in shapes)
        self.nodes.append(Node(op, f"n{len(self.nodes)}", inputs, outputs, attrs, f"operator {len(self.nodes)}"))
        self.current = outputs[0]

    def like(self, accept: Callable[[Shape], bool]) -> str:
        """One of the activations whose shape is accepted, current among them."""
        return str(
            self.draw(st.sampled_from([n for n, t in self.tensors.items() if t.data is None and accept(t.shape)]))
        )


def draw_window(s: Sketch, explicit: bool, dilated: bool) -> Window:
    """A window that fits the current image."""
    _, height, width, _ = s.shape(s.current)
    kernel = (s.draw(st.integers(1, min(3, height))), s.draw(st.integers(1, min(3, width))))
    stride = (s.draw(small), s.draw(small))
    dilation = (1, 1)
    if dilated and s.draw(st.booleans()):
        fits = [(size - 1) // (k - 1) if k > 1 else 2 for size, k in zip((height, width), kernel, strict=True)]
        dilation = (s.draw(st.integers(1, min(2, fits[0]))), s.draw(st.integers(1, min(2, fits[1]))))
    padding = s.draw(st.sampled_from(["same", "valid", "explicit"] if explicit else ["same", "valid"]))
    if padding == "explicit":
        return Window(kernel, stride, dilation, *(s.draw(st.integers(0, 2)) for _ in range(4)))
    return make_window(padding, (height, width), kernel, stride, dilation)


def conv(s: Sketch) -> None:
    window, depth, out = draw_window(s, True, True), s.shape(s.current)[3], s.draw(st.integers(1, 6))
    kernel = s.constant(out, *window.kernel, depth, scale=1 / np.sqrt(depth * np.prod(window.kernel)))
    bias = [s.constant(out, scale=0.3)] if s.draw(st.booleans()) else []
    s.add("conv_2d", Conv2D(window, s.draw(activations)), s.current, kernel, *bias)


def depthwise(s: Sketch) -> None:
    window, depth = draw_window(s, True, True), s.shape(s.current)[3]
    multiplier = s.draw(st.integers(1, max(1, min(3, MAX_CHANNELS // depth))))
    kernel = s.constant(1, *window.kernel, depth * multiplier, scale=1 / np.sqrt(np.prod(window.kernel)))
    bias = [s.constant(depth * multiplier, scale=0.3)] if s.draw(st.booleans()) else []
    s.add("depthwise_conv_2d", DepthwiseConv2D(window, multiplier, s.draw(activations)), s.current, kernel, *bias)


def average_pool(s: Sketch) -> None:
    s.add("average_pool_2d", AveragePool2D(draw_window(s, False, False), s.draw(activations)), s.current)


def max_pool(s: Sketch) -> None:
    s.add("max_pool_2d", MaxPool2D(draw_window(s, False, False), s.draw(activations)), s.current)


def pad(s: Sketch) -> None:
    before, after = ((0, *(s.draw(st.integers(0, 2)) for _ in range(2)), 0) for _ in range(2))
    s.add("pad", Pad(before, after), s.current)


def residual(s: Sketch) -> None:
    """current + or · an activation of the same shape (itself when there is no other), in either order."""
    shape = s.shape(s.current)
    pair = [s.current, s.like(lambda other: other == shape)]
    elementwise(s, *(pair if s.draw(st.booleans()) else pair[::-1]))


def gate(s: Sketch) -> None:
    """current + or · a constant per channel: a batch norm nobody folded."""
    rank, depth = len(s.shape(s.current)), s.shape(s.current)[-1]
    shape = s.draw(st.sampled_from([(depth,), (1,) * (rank - 1) + (depth,)]))
    elementwise(s, s.current, s.constant(*shape))


def elementwise(s: Sketch, first: str, second: str) -> None:
    fused = s.draw(activations)
    pairs = [("add", Add(fused)), ("mul", Mul(fused)), ("sub", Sub(fused)), *PLAIN_PAIRS]
    s.add(*s.draw(st.sampled_from(pairs)), first, second)


def concatenate(s: Sketch) -> None:
    shape = s.shape(s.current)
    other = s.like(lambda o: o[:-1] == shape[:-1] and o[-1] + shape[-1] <= MAX_CHANNELS) if shape[-1] < 6 else s.current
    s.add("concatenation", Concatenation(len(shape) - 1), s.current, other)


def relu(s: Sketch) -> None:
    s.add("relu", Relu(s.draw(st.sampled_from([RELU, RELU6, Clamp(0.0, 1.5)]))), s.current)


def squash(s: Sketch) -> None:
    s.add(*s.draw(st.sampled_from(SQUASHES)), s.current)


def bend(s: Sketch) -> None:
    """A table of 256 entries, or slopes per channel."""
    attrs = s.draw(st.sampled_from((*UNARY, Prelu())))
    slopes = [s.constant(s.shape(s.current)[-1], scale=0.3)] if attrs == Prelu() else []
    s.add(UNARY_NAMES[type(attrs)], attrs, s.current, *slopes)


def grouped(s: Sketch) -> None:
    """A 3x3 convolution in two groups."""
    _, height, width, depth = s.shape(s.current)
    if depth % 2:
        conv(s)
    else:
        kernel = s.constant(2 * s.draw(small), 3, 3, depth // 2, scale=1 / np.sqrt(4.5 * depth))
        s.add("conv_2d", Conv2D(make_window("same", (height, width), (3, 3)), s.draw(activations)), s.current, kernel)


def grow(s: Sketch) -> None:
    """A transposed convolution as Keras makes it."""
    _, height, width, depth = s.shape(s.current)
    kernel, stride = ((s.draw(small), s.draw(small)) for _ in range(2))
    padding, out = s.draw(st.sampled_from(["same", "valid"])), s.draw(st.integers(1, 4))
    over = [0 if padding == "same" else max(k - t, 0) for k, t in zip(kernel, stride, strict=True)]
    size = height * stride[0] + over[0], width * stride[1] + over[1]
    attrs = TransposeConv(stride, cropping(padding, size, kernel, stride), size, s.draw(activations))
    if size[0] * size[1] > 256:
        relu(s)
    else:
        weights = s.constant(out, *kernel, depth, scale=1 / np.sqrt(depth * np.prod(kernel)))
        s.add("transpose_conv", attrs, s.current, weights)


def resize(s: Sketch) -> None:
    size = s.draw(st.integers(1, 9)), s.draw(st.integers(1, 9))
    alignment = s.draw(st.sampled_from([(False, False), (True, False), (False, True)]))
    op = s.draw(st.sampled_from(["resize_nearest_neighbor", "resize_bilinear"]))
    s.add(op, Resize(size, *alignment), s.current)


def move(s: Sketch) -> None:
    """The same elements elsewhere: permuted, backwards, mirrored, every second one."""
    shape = s.shape(s.current)
    inner = tuple(range(1, len(shape)))
    permutation = (0, *s.draw(st.permutations(inner)))
    steps = tuple(s.draw(st.sampled_from([1, 2, -1])) for _ in inner)
    counts = tuple(-(-size // abs(step)) for size, step in zip(shape[1:], steps, strict=True))
    begin = tuple(size - 1 if step < 0 else 0 for size, step in zip(shape[1:], steps, strict=True))
    border = tuple(s.draw(st.integers(0, min(2, size - 1))) for size in shape[1:])
    choices = [
        ("transpose", Transpose(permutation)),
        ("strided_slice", StridedSlice((0, *begin), (1, *steps), (1, *counts), (1, *counts))),
        ("reverse_v2", ReverseV2((s.draw(st.sampled_from(inner)),))),
        ("mirror_pad", MirrorPad((0, *border), (0, *border), REFLECT)),
        ("pad_v2", PadV2((0, *border), (0,) * len(shape), 0.5)),
    ]
    op, attrs = s.draw(st.sampled_from(choices))
    s.add(op, attrs, s.current)


def take_apart(s: Sketch) -> None:
    """Halves, or every index along an axis; the first part goes on, the others may be read or not."""
    shape = s.shape(s.current)
    axis = s.draw(st.integers(1, len(shape) - 1))
    if shape[axis] % 2 == 0:
        s.add("split", Split(axis, (shape[axis] // 2,) * 2), s.current)
    elif len(shape) > 2:
        s.add("unpack", Unpack(axis), s.current)
    else:
        relu(s)


def blocks(s: Sketch) -> None:
    _, height, width, depth = s.shape(s.current)
    if height % 2 == 0 == width % 2 and depth <= MAX_CHANNELS // 4:
        s.add("space_to_depth", SpaceToDepth(2), s.current)
    elif depth % 4 == 0:
        s.add("depth_to_space", DepthToSpace(2), s.current)
    else:
        relu(s)


def reduce_space(s: Sketch) -> None:
    keep = s.draw(st.booleans())
    kinds = [("mean", Mean), ("reduce_max", ReduceMax), ("reduce_min", ReduceMin), ("sum", Sum)]
    op, attrs = s.draw(st.sampled_from(kinds))
    s.add(op, attrs((1, 2), keep), s.current)


def flatten(s: Sketch) -> None:
    s.add("reshape", Reshape((1, int(np.prod(s.shape(s.current))))), s.current)


def dense(s: Sketch) -> None:
    size, out = int(np.prod(s.shape(s.current))), s.draw(st.integers(1, 8))
    kernel = s.constant(out, size, scale=1 / np.sqrt(size))
    bias = [s.constant(out, scale=0.3)] if s.draw(st.booleans()) else []
    s.add("fully_connected", FullyConnected(s.draw(activations)), s.current, kernel, *bias)


ANY_RANK = (residual, gate, concatenate, relu, squash, bend, move, take_apart, dense)
IMAGE = (conv, depthwise, average_pool, max_pool, pad, reduce_space, flatten, conv, depthwise)
IMAGE = (*IMAGE, grouped, grow, resize, blocks)


def step(s: Sketch) -> None:
    """One more operator; now and then it starts a branch from an earlier tensor."""
    if s.draw(st.integers(0, 3)) == 0:
        s.current = s.like(lambda shape: True)
    choices = (*ANY_RANK, *IMAGE) if len(s.shape(s.current)) == 4 else ANY_RANK
    s.draw(st.sampled_from(choices))(s)


@st.composite
def graphs(draw: Any, max_nodes: int = 8) -> Graph:
    """A well-formed graph of 1 to max_nodes nodes, one or two inputs; every tensor nobody reads is an output."""
    sketch = Sketch(draw, np.random.default_rng(draw(st.integers(0, 2**16))))
    image = (1, draw(st.integers(1, 8)), draw(st.integers(1, 7)), draw(st.integers(1, 4)))
    offered = [sketch.new(image) for _ in range(draw(st.integers(1, 2)))]
    sketch.current = offered[0]
    for _ in range(draw(st.integers(1, max_nodes))):
        step(sketch)
    read = {name for node in sketch.nodes for name in node.inputs}
    inputs = tuple(name for name in offered if name in read)
    outputs = tuple(name for node in sketch.nodes for name in node.outputs if name not in read)
    graph = Graph("random", sketch.tensors, (), inputs, outputs)
    return require_well_formed(rebuild(graph, tuple(sketch.nodes)), "drawing")
