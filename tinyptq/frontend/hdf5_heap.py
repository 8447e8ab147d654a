"""Checks the global heaps of an HDF5 file before libhdf5, which trusts them, hangs or crashes.

Strings of variable length lie in global heaps ("GCOL"), and an attribute refers to them by length (4 bytes), address
of the heap (8), index in it (4). libhdf5 believes the length and never returns from free space that claims no bytes.

Layout of a heap: "GCOL", version and 3 bytes, size of the whole (8), then objects: index (2), references (2), 4 bytes,
size (8), the data rounded up to 8 bytes. Index 0 is free space; its size counts the header.
Source: HDF5 File Format Specification, III.E and IV.A.2.d. Keras' files place attributes at multiples of 8.
"""

from __future__ import annotations

import struct

HEADER = 16  # bytes before the first object, and of every object before its data
OBJECT = struct.Struct("<HxxxxxxQ")  # index, size


def damaged_heap(data: bytes) -> str | None:
    """What is wrong with the global heaps in the bytes of an HDF5 file; None when nothing is."""
    start = data.find(b"GCOL")
    while start >= 0:
        sizes = heap_objects(data, start)
        if sizes is None:
            return "a global heap never ends"
        if not all(sizes.get(index) == length for length, index in references(data, start)):
            return "a string is not where its attribute says"
        start = data.find(b"GCOL", start + 4)
    return None


def heap_objects(data: bytes, start: int) -> dict[int, int] | None:
    """{index: size} of the heap at start; None when walking it would never end."""
    end = min(start + int.from_bytes(data[start + 8 : start + HEADER], "little"), len(data))
    sizes = {}
    here = start + HEADER
    while here + OBJECT.size <= end:
        index, size = OBJECT.unpack_from(data, here)
        if index == size == 0:
            return None
        sizes[index] = size
        here += size if index == 0 else HEADER + -(-size // 8) * 8
    return sizes


def references(data: bytes, start: int) -> list[tuple[int, int]]:
    """(length, index) of every reference to the heap at start: its address four bytes behind a multiple of 8."""
    address = start.to_bytes(8, "little")
    found = []
    here = data.find(address)
    while here >= 0:
        if here % 8 == 4 and here + 12 <= len(data):
            found.append(
                (int.from_bytes(data[here - 4 : here], "little"), int.from_bytes(data[here + 8 : here + 12], "little"))
            )
        here = data.find(address, here + 1)
    return found
