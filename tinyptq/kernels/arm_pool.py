"""Average over all pixels of an image for Arm cores: sums of channels in int16, division by a proved multiplication.

(a · sum + c) >> shift is the rounded quotient for every sum there can be: all are tried (affine.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tinyptq.graph import Array
from tinyptq.kernels.affine import NEIGHBOURS, SHIFTS, constant
from tinyptq.kernels.base import Cost, Kernel
from tinyptq.ops.pool import PoolInt

MAX_PIXELS = 255  # 128 · 255 < 2^15
LANES = {"arm_mve": 8, "arm_dsp": 4}  # channels at a time
REACH = {"arm_mve": 127, "arm_dsp": 255}  # largest increment of a pointer within a load
MAX_UNROLL = 8


@dataclass(frozen=True)
class Average:
    """What templates/kernels/average_pool_2d/arm_{mve,dsp}_whole.c.j2 look up besides the params.

    full    whole groups of channels.  rest: first channel of one more that overlaps them, 0 when none does.
    unroll  pixels of straight-line code, turns of it.  post: the load moves the pointer to the next pixel.
    """

    pixels: int
    channels: int
    full: int
    rest: int
    unroll: int
    post: bool
    factor: int
    constant: int
    shift: int
    low: int
    high: int

    @property
    def turns(self) -> int:
        return self.pixels // self.unroll

    @property
    def narrowed(self) -> int:
        """What Helium's second shift leaves to do: its first is by 16."""
        return self.shift - 16

    @property
    def rounded_constant(self) -> int:
        """Less the halves that Helium's rounding shifts add."""
        return self.constant - (1 << 15) - (1 << (15 + self.narrowed))


@lru_cache(maxsize=64)
def quotient(pixels: int, low: int, high: int) -> tuple[int, int, int] | None:
    """(factor, constant, shift) that divide every sum of so many int8, nearest, ties away from zero, then clamped."""
    sums = np.arange(-128 * pixels, 127 * pixels + 1)
    mean: Array = np.sign(sums) * ((np.abs(sums) + pixels // 2) // pixels)
    expected = np.clip(mean, low, high)
    for shift in SHIFTS:
        for near in NEIGHBOURS:
            factor = round(2**shift / pixels) + near
            c = constant(factor * sums, expected, (low, high), shift)
            if c is not None:
                return factor, c, shift
    return None


def pixels_of(params: PoolInt) -> int:
    return params.input_shape[1] * params.input_shape[2]


def supports(params: PoolInt, isa: str) -> bool:
    """One window of int8, the whole image, few enough pixels, and the proof."""
    return (
        params.element == "int8"
        and params.window.kernel == params.input_shape[1:3]
        and not params.window.padded
        and params.input_shape[3] >= LANES[isa]
        and pixels_of(params) <= MAX_PIXELS
        and params.input_shape[3] <= 4095
        and quotient(pixels_of(params), params.activation_min, params.activation_max) is not None
    )


def details(params: PoolInt, isa: str) -> Average:
    pixels, channels = pixels_of(params), params.input_shape[3]
    found = quotient(pixels, params.activation_min, params.activation_max)
    assert found is not None
    factor, c, shift = found
    return Average(
        pixels=pixels,
        channels=channels,
        full=channels // LANES[isa],
        rest=channels - LANES[isa] if channels % LANES[isa] else 0,
        unroll=max(n for n in range(1, MAX_UNROLL + 1) if pixels % n == 0),
        post=channels <= REACH[isa],
        factor=factor,
        constant=c,
        shift=shift,
        low=params.activation_min,
        high=params.activation_max,
    )


def cost(params: PoolInt, isa: str) -> Cost:
    """Instructions of the loop, counted, and of what surrounds it (measured)."""
    k = details(params, isa)
    clamps = (k.low > -128) + (k.high < 127)
    around = {"arm_mve": 19, "arm_dsp": 12}[isa]
    if isa == "arm_mve":
        group = k.pixels * (2 + (not k.post)) + k.turns + 14 + clamps
    else:
        group = k.pixels * (3 + (not k.post)) + 2 * k.turns + 25 + 12 * clamps
    calls = 1 + (k.rest > 0)
    return Cost((k.full + calls - 1) * group + around * calls, 4 * (k.unroll * 4 + 40) + 60)


def nothing(params: PoolInt) -> Mapping[str, Array]:
    return {}


def kernel(isa: str) -> Kernel:
    return Kernel(
        op="average_pool_2d",
        isa=isa,
        template=f"average_pool_2d/{isa}_whole.c.j2",
        supports=lambda params: supports(params, isa),
        pack=nothing,
        scratch=lambda params: 0,
        by_rows=lambda params: False,
        cost=lambda params: cost(params, isa),
        details=lambda params: details(params, isa),
    )


KERNELS = (kernel("arm_mve"), kernel("arm_dsp"))
