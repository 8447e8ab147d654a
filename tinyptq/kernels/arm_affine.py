"""ADD and SUB of equal shapes where they are one affine function (affine.py): MVE and DSP loops of few instructions.

Helium: the elements of eight bytes as int16, even and odd ones apart as int32, VMLAS (·a + c), VMLA (+ ·b), and two
narrowing shifts that saturate and round (c makes up for that). DSP: two MLA and an SSAT per element.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinyptq.kernels.affine import Affine, affine
from tinyptq.kernels.base import Cost, Kernel, Part
from tinyptq.kernels.leads import pair_leads
from tinyptq.ops.add import AddInt
from tinyptq.ops.base import elements
from tinyptq.ops.sub import SubInt

Params = AddInt | SubInt

LANES = 8  # elements of a pass


@dataclass(frozen=True)
class Clamped:
    """What templates/kernels/add/arm_{mve,dsp}_passes.c.j2 look up: layers with the same share the loop.

    lanes  elements of a pass: eight, or all there are.
    """

    lanes: int
    shift: int
    low: int
    high: int

    @property
    def narrowed(self) -> int:
        """What Helium's second shift leaves to do: its first is by 16."""
        return self.shift - 16


@dataclass(frozen=True)
class Loop:
    """What templates/kernels/add/arm_{mve,dsp}_affine.c.j2 look up besides the params.

    rest  element where one more pass ends the tensor, 0 when none is needed.
    """

    function: Affine
    passes: int
    rest: int
    clamped: Clamped

    @property
    def rounded_c(self) -> int:
        """c less the halves that Helium's rounding shifts add."""
        return self.function.c - (1 << 15) - (1 << (15 + self.clamped.narrowed))


def supports(params: Params) -> bool:
    """int8 of equal shapes, and the proof."""
    pair = params.pair
    shapes = {*pair.input_shapes, pair.output_shape}
    return params.element == "int8" and len(shapes) == 1 and affine(params) is not None


def supports_mve(params: Params) -> bool:
    """A vector's worth of elements, too."""
    return elements(params.pair.output_shape) >= LANES and supports(params)


def details(params: Params) -> Loop:
    function, count = affine(params), elements(params.pair.output_shape)
    assert function is not None
    lanes = min(LANES, count)
    return Loop(
        function=function,
        passes=count // lanes,
        rest=count - lanes if count % lanes else 0,
        clamped=Clamped(lanes, function.shift, params.pair.activation_min, params.pair.activation_max),
    )


def cost_mve(params: Params) -> Cost:
    """Instructions of the loop, counted, and of what surrounds it (measured)."""
    loop = details(params)
    body = 15 + (loop.clamped.low > -128) + (loop.clamped.high < 127)
    calls = 2 if loop.rest else 1
    return Cost(loop.passes * body + 18 * calls + (calls - 1) * (body + 4), 4 * body + 90)


def cost_dsp(params: Params) -> Cost:
    """Instructions of the loop, counted, and of what surrounds it (measured)."""
    loop = details(params)
    body = loop.clamped.lanes * (6 + 3 * (loop.clamped.low > -128) + 3 * (loop.clamped.high < 127)) + 2
    calls = 2 if loop.rest else 1
    return Cost(loop.passes * body + 15 * calls + (calls - 1) * (body + 4), 4 * body + 60)


def leads(params: Params) -> tuple[int, int]:
    loop = details(params)
    return pair_leads(loop.passes * loop.clamped.lanes, loop.rest)


def kernel(op: str, isa: str) -> Kernel:
    helium = isa == "arm_mve"
    return Kernel(
        op=op,
        isa=isa,
        template=f"add/{isa}_affine.c.j2",
        supports=supports_mve if helium else supports,
        pack=lambda params: {},
        scratch=lambda params: 0,
        by_rows=lambda params: False,
        cost=cost_mve if helium else cost_dsp,
        leads=leads,
        details=details,
        parts=lambda params: {"affine_passes": Part(f"add/{isa}_passes.c.j2", details(params).clamped)},
    )


KERNELS = tuple(kernel(op, isa) for op in ("add", "sub") for isa in ("arm_mve", "arm_dsp"))
