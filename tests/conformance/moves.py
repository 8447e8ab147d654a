"""Operators that move elements: nothing is rounded, every type moves alike."""

from __future__ import annotations

from math import prod

from hypothesis import strategies as st

from tests.conformance.draws import Draw, activation, constant, qparams, run_time, seeds, shape
from tests.conformance.trial import Single
from tinyptq.graph import QParams, Shape
from tinyptq.ops.concatenation import Concatenation
from tinyptq.ops.depth_to_space import DepthToSpace
from tinyptq.ops.embedding_lookup import EmbeddingLookup
from tinyptq.ops.function import Function
from tinyptq.ops.gather import Gather
from tinyptq.ops.mirror_pad import REFLECT, SYMMETRIC, MirrorPad
from tinyptq.ops.pack import Pack
from tinyptq.ops.pad import Pad
from tinyptq.ops.pad_v2 import PadV2
from tinyptq.ops.reshape import Reshape
from tinyptq.ops.resize import Resize
from tinyptq.ops.reverse_v2 import ReverseV2
from tinyptq.ops.slice import Slice
from tinyptq.ops.space_to_depth import SpaceToDepth
from tinyptq.ops.split import Split
from tinyptq.ops.strided_slice import StridedSlice
from tinyptq.ops.tile import Tile
from tinyptq.ops.transpose import Transpose
from tinyptq.ops.unpack import Unpack

INNER = (2, 3, 4)  # ranks with an axis besides the batch
alignments = st.sampled_from([(False, False), (True, False), (False, True)])


def one(draw: Draw, attrs: object, size: Shape, dtype: str) -> Single:
    """A single operand of any quantization, which the output shares."""
    return Single(attrs, (activation(draw, size, dtype),), seed=draw(seeds))


def several(draw: Draw, attrs: object, sizes: list[Shape], dtype: str) -> Single:
    """Operands that share the output's quantization."""
    shared = qparams(draw, dtype)
    return Single(attrs, tuple(run_time(size, shared, dtype) for size in sizes), seed=draw(seeds))


def borders(draw: Draw, widest: list[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(before, after) per axis, the batch left alone."""
    pairs = [(draw(st.integers(0, most)), draw(st.integers(0, most))) for most in widest]
    return (0, *(pair[0] for pair in pairs)), (0, *(pair[1] for pair in pairs))


def concatenation(draw: Draw, dtype: str) -> Single:
    size = shape(draw, INNER)
    axis = draw(st.integers(1, len(size) - 1))
    parts = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    return several(draw, Concatenation(axis), [(*size[:axis], part, *size[axis + 1 :]) for part in parts], dtype)


def pack(draw: Draw, dtype: str) -> Single:
    size = shape(draw, (2, 3))
    return several(draw, Pack(draw(st.integers(1, len(size)))), [size] * draw(st.integers(1, 4)), dtype)


def unpack(draw: Draw, dtype: str) -> Single:
    size = shape(draw, (3, 4), 5)
    return one(draw, Unpack(draw(st.integers(1, len(size) - 1))), size, dtype)


def split(draw: Draw, dtype: str) -> Single:
    size, parts, part = shape(draw, INNER), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    axis = draw(st.integers(1, len(size) - 1))
    return one(draw, Split(axis, (part,) * parts), (*size[:axis], part * parts, *size[axis + 1 :]), dtype)


def split_v(draw: Draw, dtype: str) -> Single:
    size, parts = shape(draw, INNER), draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    axis = draw(st.integers(1, len(size) - 1))
    return one(draw, Split(axis, tuple(parts)), (*size[:axis], sum(parts), *size[axis + 1 :]), dtype)


def pad(draw: Draw, dtype: str) -> Single:
    size = shape(draw)
    return one(draw, Pad(*borders(draw, [3] * (len(size) - 1))), size, dtype)


def pad_v2(draw: Draw, dtype: str) -> Single:
    """A border of any integer of the type that float32 can name exactly."""
    size = shape(draw)
    operand = activation(draw, size, dtype, 1e-3, 1e2)
    step, zero = operand.qparams.scale[0], int(operand.qparams.zero_point[0])
    value = float(step * (draw(st.integers(-128, 127)) - zero))
    return Single(PadV2(*borders(draw, [3] * (len(size) - 1)), value), (operand,), seed=draw(seeds))


def mirror_pad(draw: Draw, dtype: str) -> Single:
    size, mode = shape(draw, (2, 3, 4)), draw(st.sampled_from([REFLECT, SYMMETRIC]))
    return one(draw, MirrorPad(*borders(draw, [min(3, s - (mode == REFLECT)) for s in size[1:]]), mode), size, dtype)


def reshape(draw: Draw, dtype: str) -> Single:
    size = shape(draw)
    flat, rest = prod(size), list[int]()
    while flat > 1 and len(rest) < 3:
        rest.append(draw(st.sampled_from([d for d in range(1, flat + 1) if flat % d == 0])))
        flat //= rest[-1]
    return one(draw, Reshape((1, *rest, flat)), size, dtype)


def transpose(draw: Draw, dtype: str) -> Single:
    size = shape(draw, INNER)
    return one(draw, Transpose((0, *draw(st.permutations(range(1, len(size)))))), size, dtype)


def slices(draw: Draw, dtype: str) -> Single:
    size = shape(draw)
    begins = [draw(st.integers(0, s - 1)) for s in size[1:]]
    counts = [draw(st.integers(1, s - b)) for s, b in zip(size[1:], begins, strict=True)]
    return one(draw, Slice((0, *begins), (1, *counts)), size, dtype)


def strided_slice(draw: Draw, dtype: str) -> Single:
    """Either direction; axes of which one index is left may vanish."""
    size, picked = shape(draw), [(0, 1, 1)]
    for side in size[1:]:
        begin, step = draw(st.integers(0, side - 1)), draw(st.sampled_from([1, 2, 3, -1, -2]))
        most = (side - 1 - begin) // step + 1 if step > 0 else begin // -step + 1
        count = draw(st.integers(1, most))
        picked.append((begin, step if count > 1 else 1, count))
    begins, steps, counts = zip(*picked, strict=True)
    kept = (1, *(count for count in counts[1:] if count > 1 or draw(st.booleans())))
    return one(draw, StridedSlice(begins, steps, counts, kept), size, dtype)


def reverse_v2(draw: Draw, dtype: str) -> Single:
    """tflite-micro and LiteRT reverse neighbouring axes only."""
    size = shape(draw, INNER)
    first = draw(st.integers(1, len(size) - 1))
    return one(draw, ReverseV2(tuple(range(first, draw(st.integers(first, len(size) - 1)) + 1))), size, dtype)


def tile(draw: Draw, dtype: str) -> Single:
    """The last axis has two elements and is repeated: else the file would say BROADCAST_TO."""
    size = shape(draw, INNER, 5)
    multiples = (1, *(draw(st.integers(1, 3)) for _ in size[2:]), draw(st.integers(2, 3)))
    return one(draw, Tile(multiples), (*size[:-1], max(size[-1], 2)), dtype)


def gather(draw: Draw, dtype: str) -> Single:
    size = shape(draw, INNER)
    axis = draw(st.integers(1, len(size) - 1))
    indices = draw(st.lists(st.integers(0, size[axis] - 1), min_size=1, max_size=6))
    places: Shape = (len(indices),) if draw(st.booleans()) or len(size) == 4 else (1, len(indices))
    return one(draw, Gather(axis, tuple(indices), places), size, dtype)


def embedding_lookup(draw: Draw, dtype: str) -> Single:
    """tflite-micro reads what lies behind the table for indices beyond it: drawn within."""
    size, rows = shape(draw, (2, 3)), draw(st.integers(1, 40))
    row = tuple(draw(st.integers(1, 5)) for _ in range(draw(st.integers(0, 2))))
    index, first = draw(st.sampled_from([("int32", 0), ("int8", -128)]))
    scale = qparams(draw, dtype)
    table = constant(draw, (rows, *row), scale, dtype)
    indices = run_time(size, QParams.per_tensor(1.0), index)
    ranges = {0: (first, first + rows - 1)}
    return Single(EmbeddingLookup(first), (indices, table), scale, dtype, ranges, seed=draw(seeds))


def function(draw: Draw, dtype: str) -> Single:
    """Any 256 values."""
    values = constant(draw, (256,), QParams.per_tensor(1.0), dtype).data
    assert values is not None
    x = activation(draw, shape(draw), dtype)
    return Single(Function(tuple(values.tolist())), (x,), qparams(draw, dtype), seed=draw(seeds))


def space_to_depth(draw: Draw, dtype: str) -> Single:
    block, (_, height, width, depth) = draw(st.integers(1, 3)), shape(draw, (4,), 4)
    return one(draw, SpaceToDepth(block), (1, height * block, width * block, depth), dtype)


def depth_to_space(draw: Draw, dtype: str) -> Single:
    block, (_, height, width, depth) = draw(st.integers(1, 3)), shape(draw, (4,), 4)
    return one(draw, DepthToSpace(block), (1, height, width, depth * block**2), dtype)


def resize(draw: Draw, dtype: str) -> Single:
    wanted = draw(st.integers(1, 11)), draw(st.integers(1, 11))
    return one(draw, Resize(wanted, *draw(alignments)), shape(draw, (4,)), dtype)


DRAWS = {
    "concatenation": concatenation,
    "depth_to_space": depth_to_space,
    "embedding_lookup": embedding_lookup,
    "function": function,
    "gather": gather,
    "mirror_pad": mirror_pad,
    "pack": pack,
    "pad": pad,
    "pad_v2": pad_v2,
    "reshape": reshape,
    "resize_bilinear": resize,
    "resize_nearest_neighbor": resize,
    "reverse_v2": reverse_v2,
    "slice": slices,
    "space_to_depth": space_to_depth,
    "split": split,
    "split_v": split_v,
    "strided_slice": strided_slice,
    "tile": tile,
    "transpose": transpose,
    "unpack": unpack,
}
