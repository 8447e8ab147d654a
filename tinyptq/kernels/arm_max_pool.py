"""MAX_POOL_2D for Arm cores: sixteen channels of a pixel in a Helium vector, four in a word of the DSP extension.

Windows clipped by the image have few shapes; each gets a loop over output pixels whose taps are straight-line code.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from tinyptq.kernels.base import Cost, Kernel
from tinyptq.ops.pool import PoolInt, leads

LANES = {"arm_mve": 16, "arm_dsp": 4}  # channels at a time
LEAST = {"arm_mve": 2, "arm_dsp": 4}  # channels: a vector is predicated, but portable C does a single one faster
MAX_TAPS = 25
MAX_SHAPES = 9  # of clipped windows, each a function
MAX_RUNS = 4
REACH = 127  # largest increment of a pointer within a load of a vector
IMMEDIATE = 4095  # largest offset of a load, largest literal of an addition


@dataclass(frozen=True)
class Run:
    """Output columns [column, column + count) whose windows have one width, the first at input column left."""

    column: int
    count: int
    left: int
    width: int


@dataclass(frozen=True)
class MaxPool:
    """What templates/kernels/max_pool_2d/arm_{mve,dsp}.c.j2 look up besides the params.

    heights, widths  of clipped windows, largest first.  step: bytes from an output pixel's window to the next one's.
    groups           of channels, whole ones (DSP).  rest: channels beyond them; the last group overlaps by `over`.
    post             the load of a vector moves its pointer to the next pixel.
    low, high        clamps that are needed, else None.
    """

    channels: int
    row: int
    step: int
    heights: tuple[int, ...]
    widths: tuple[int, ...]
    runs: tuple[Run, ...]
    groups: int
    rest: int
    post: bool
    low: int | None
    high: int | None

    @property
    def over(self) -> int:
        return 4 - self.rest

    @property
    def vectors_over(self) -> int:
        """Bytes by which the last store of a pixel moves its pointer too far (MVE)."""
        return -self.channels % LANES["arm_mve"]

    @property
    def clamps(self) -> int:
        return (self.low is not None) + (self.high is not None)


def clipped(count: int, stride: int, before: int, kernel: int, size: int) -> list[tuple[int, int]]:
    """(first input position, extent) of every output position's window inside the image."""
    starts = [i * stride - before for i in range(count)]
    return [(max(s, 0), min(s + kernel, size) - max(s, 0)) for s in starts]


def runs_of(windows: list[tuple[int, int]], stride: int) -> tuple[Run, ...]:
    """Columns in runs of equal width, a stride apart."""
    breaks = [i + 1 for i, (a, b) in enumerate(pairwise(windows)) if b != (a[0] + stride, a[1])]
    spans = pairwise([0, *breaks, len(windows)])
    return tuple(Run(first, end - first, *windows[first]) for first, end in spans)


def rows_of(params: PoolInt) -> list[tuple[int, int]]:
    window = params.window
    return clipped(params.output_shape[1], window.stride[0], window.pad_top, window.kernel[0], params.input_shape[1])


def details(params: PoolInt, isa: str) -> MaxPool:
    window, channels = params.window, params.input_shape[3]
    columns = clipped(
        params.output_shape[2], window.stride[1], window.pad_left, window.kernel[1], params.input_shape[2]
    )
    return MaxPool(
        channels=channels,
        row=params.input_row,
        step=window.stride[1] * channels,
        heights=tuple(sorted({height for _, height in rows_of(params)}, reverse=True)),
        widths=tuple(sorted({width for _, width in columns}, reverse=True)),
        runs=runs_of(columns, window.stride[1]),
        groups=channels // 4,
        rest=channels % 4,
        post=channels <= REACH,
        low=params.activation_min if params.activation_min > -128 else None,
        high=params.activation_max if params.activation_max < 127 else None,
    )


def supports(params: PoolInt, isa: str) -> bool:
    """int8, windows few and small, offsets that instructions can hold."""
    if params.element != "int8" or params.taps > MAX_TAPS or params.input_shape[3] < LEAST[isa]:
        return False
    if params.input_shape[3] * params.window.kernel[1] > IMMEDIATE:
        return False
    k = details(params, isa)
    return len(k.runs) <= MAX_RUNS and len(k.heights) * len(k.widths) <= MAX_SHAPES


def group_mve(k: MaxPool, height: int, width: int) -> int:
    """Instructions of sixteen channels of an output pixel, counted."""
    return 4 + 2 * height * width - 1 + height - 1 + k.clamps + height * (width - 1) * (not k.post)


def group_dsp(k: MaxPool, height: int, width: int) -> int:
    """Instructions of four channels of an output pixel, counted."""
    return 3 * height * width - 2 + height - 1 + 2 * k.clamps + 3


def pixel_mve(k: MaxPool, height: int, width: int) -> int:
    return 5 + (k.vectors_over > 0) + group_mve(k, height, width) * -(-k.channels // LANES["arm_mve"])


def pixel_dsp(k: MaxPool, height: int, width: int) -> int:
    return 5 + group_dsp(k, height, width) * (k.groups + (k.rest > 0))


def cost(params: PoolInt, isa: str) -> Cost:
    """Instructions of the loops, counted, and of what surrounds them (measured)."""
    k = details(params, isa)
    pixel, around = {"arm_mve": (pixel_mve, 11), "arm_dsp": (pixel_dsp, 7)}[isa]
    rows = rows_of(params)
    total = 14 if len(rows) > 1 else 0
    for _, height in rows:
        total += 8 + sum(around + 2 * k.clamps + run.count * pixel(k, height, run.width) for run in k.runs)
    group, copies = (group_mve, 1) if isa == "arm_mve" else (group_dsp, 1 + (k.rest > 0))
    code = sum(4 * (copies * group(k, h, w) + 16) for h in k.heights for w in k.widths)
    return Cost(total, code + 100 + 20 * len(k.runs) * len(k.heights))


def kernel(isa: str) -> Kernel:
    return Kernel(
        op="max_pool_2d",
        isa=isa,
        template=f"max_pool_2d/{isa}.c.j2",
        supports=lambda params: supports(params, isa),
        pack=lambda params: {},
        scratch=lambda params: 0,
        by_rows=lambda params: True,
        cost=lambda params: cost(params, isa),
        leads=leads,
        details=lambda params: details(params, isa),
    )


KERNELS = (kernel("arm_mve"), kernel("arm_dsp"))
