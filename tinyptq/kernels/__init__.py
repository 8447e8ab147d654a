"""Every kernel the compiler can choose from, and the choice."""

from __future__ import annotations

from collections.abc import Sequence

from tinyptq.kernels import (
    arm_affine,
    arm_dsp,
    arm_dsp_add,
    arm_dsp_conv,
    arm_dsp_depthwise,
    arm_dsp_plane,
    arm_dsp_vector,
    arm_max_pool,
    arm_mve,
    arm_mve_add,
    arm_mve_conv,
    arm_mve_depthwise,
    arm_mve_lines,
    arm_mve_vector,
    arm_pool,
    arm_table,
    scalar,
    scalar_affine,
    scalar_depthwise,
    thumb1,
    thumb1_conv,
    thumb1_depthwise,
)
from tinyptq.kernels.base import Kernel
from tinyptq.kernels.portable import portable_kernel
from tinyptq.ops import OPS
from tinyptq.program import Layer

KERNELS: tuple[Kernel, ...] = (
    *arm_mve.KERNELS,
    *arm_affine.KERNELS,
    *arm_mve_add.KERNELS,
    *arm_dsp_add.KERNELS,
    *arm_mve_vector.KERNELS,
    *arm_pool.KERNELS,
    *arm_max_pool.KERNELS,
    *arm_table.KERNELS,
    *arm_mve_lines.KERNELS,
    *arm_mve_conv.KERNELS,
    *arm_mve_depthwise.KERNELS,
    *arm_dsp.KERNELS,
    *arm_dsp_vector.KERNELS,
    *arm_dsp_conv.KERNELS,
    *arm_dsp_depthwise.KERNELS,
    *arm_dsp_plane.KERNELS,
    *thumb1.KERNELS,
    *thumb1_conv.KERNELS,
    *thumb1_depthwise.KERNELS,
    *scalar.KERNELS,
    *scalar_affine.KERNELS,
    *scalar_depthwise.KERNELS,
    *(portable_kernel(op) for op in OPS),
)


def candidates(layer: Layer, isa: Sequence[str]) -> tuple[Kernel, ...]:
    """Kernels of the listed ISAs whose preconditions this layer meets; never empty, "portable" always fits."""
    return tuple(k for k in KERNELS if k.op == layer.op and k.isa in isa and k.supports(layer.params))


def kernel_named(op: str, name: str) -> Kernel | None:
    """The operator's kernel of this name."""
    return next((kernel for kernel in KERNELS if (kernel.op, kernel.name) == (op, name)), None)


def choose(layer: Layer, isa: Sequence[str]) -> Kernel:
    """The candidate with the fewest predicted instructions; the earlier ISA of the list wins a tie."""
    return min(
        candidates(layer, isa),
        key=lambda kernel: (kernel.cost(layer.params).instructions, list(isa).index(kernel.isa)),
    )
