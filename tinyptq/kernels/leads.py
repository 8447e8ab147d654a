"""How far ahead of its input a kernel's output must begin so that nothing is read that has been written over."""

from __future__ import annotations

from collections.abc import Iterable

from tinyptq.kernels.proofs import Pointwise, group_starts


def lead_of(steps: Iterable[tuple[int, int]]) -> int:
    """steps: (output bytes written by its end, first byte of the input that is read after the step's first store)."""
    written, read = zip(*steps, strict=True)
    still_read = [min(read[step:]) for step in range(len(read))]
    return int(max(end - first for end, first in zip(written, still_read, strict=True)))


def blocks(pixels: int, size: int) -> list[tuple[int, int]]:
    """[start, end) of blocks of so many pixels, an even number; a single one left over joins the last."""
    starts = list(range(0, max(pixels - 1, 1), size))
    return list(zip(starts, [*starts[1:], pixels], strict=True))


def tile_leads(layer: Pointwise, pixels: int, copied: bool) -> tuple[int]:
    """Of a kernel that computes all channels of so many pixels before the next ones, the last tile moved back.

    copied: it reads a tile's pixels before the tile's first store, else until its last one.
    """
    tile = min(pixels, layer.pixels)
    starts = group_starts(layer.pixels, tile)
    ends = [start + tile for start in starts]
    steps = list(zip(ends, starts[1:] if copied else starts, strict=not copied))
    if not steps:
        return (-layer.pixels * layer.inputs,)
    return (lead_of((end * layer.outputs, first * layer.inputs) for end, first in steps),)


def pair_leads(done: int, rest: int) -> tuple[int, int]:
    """Of a kernel of two operands that reads elements in passes, each just before it writes them.

    done: elements of all passes but a last one that begins at element `rest` once more; 0: there is none.
    """
    again = done - rest if rest else 0
    return (again, again)
