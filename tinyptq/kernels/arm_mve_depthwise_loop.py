"""The loop of the MVE depthwise convolution: assembly for 16 channels of one pixel.

r1-r5 walk along the lines under the kernel (with more lines: r3 points at their addresses, r2 is the place within them
and r1 walks), r6 along the output; r8 and r10 stay at weights and parameters; r0, r11, r12 hold zero point and clamps.
q6 and q7 are a tap's pixels and weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LANES = 16
WEIGHTS, PARAMETERS = "r8", "r10"
WORD_REACH = 508  # largest immediate offset of VLDRW, which wants addresses that are multiples of 4
BYTE_REACH = 127  # largest immediate offset of VLDRB and VSTRB


@dataclass(frozen=True)
class Walk:
    """How a kernel walks its lines, in bytes.

    flat: an image one pixel wide is a single line, its rows are the pixels.
    """

    flat: bool
    kernel: tuple[int, int]
    tap: int
    step: int
    aligned: bool  # are all pixels at multiples of 4?
    lanes: int  # channels under a predicate, 0: all 16

    @property
    def reach(self) -> int:
        return WORD_REACH if self.aligned else BYTE_REACH

    @property
    def centre(self) -> int:
        """Column every other is near enough to for immediate offsets, else -1: the pointer walks."""
        middle = self.kernel[1] // 2
        near = self.tap * max(middle, self.kernel[1] - 1 - middle) <= self.reach
        return middle if near and self.step <= self.reach else -1

    @property
    def columns(self) -> tuple[int, ...]:
        """Order of the taps of a row: the centre last, its load moves the pointer on."""
        columns = [column for column in range(self.kernel[1]) if column != self.centre]
        return tuple(columns + [self.centre] * (self.centre >= 0))


def multiplies(path: Walk, sizes: Sequence[int], lines: Sequence[str]) -> list[str]:
    """From the taps to q0-q3. The first two sums are made in q4, q5 and q2, q3, the others in q4, q5."""
    text, tap = list[str](), 0
    for number, size in enumerate(sizes):
        even, odd = ("q2", "q3") if number == 1 else ("q4", "q5")
        for place in range(size):
            enter, load, leave = load_tap(path, lines, tap)
            weights = f"vldrw.u32 q7, [{WEIGHTS}, #{LANES * tap}]"
            if place == 0:
                text += [*enter, *leave, weights, f"vmullb.s8 {even}, q6, q7", f"vmullt.s8 {odd}, q6, q7"]
            elif number < 2:  # q0 is still free
                text += [*enter, *leave, weights, "vmullb.s8 q0, q6, q7", "vmullt.s8 q6, q6, q7"]
                text += [f"vadd.i16 {even}, {even}, q0", f"vadd.i16 {odd}, {odd}, q6"]
            else:  # no register is: the pixel is loaded twice
                text += [*enter, *load, weights, "vmullb.s8 q6, q6, q7", f"vadd.i16 {even}, {even}, q6"]
                text += [*leave, "vmullt.s8 q6, q6, q7", f"vadd.i16 {odd}, {odd}, q6"]
            tap += 1
        text += widen(number, len(sizes))
    return text


def load_tap(path: Walk, lines: Sequence[str], tap: int) -> tuple[list[str], list[str], list[str]]:
    """Instructions that set up a row's pointer, load 16 channels to q6, load them and move the pointer on."""
    row, place = divmod(tap, path.kernel[1])
    last = place == path.kernel[1] - 1
    pointer = lines[row] if lines else "r1"
    enter = [f"ldr r1, [r3, #{4 * row}]", "add r1, r1, r2"] if place == 0 and not lines else []
    mnemonic = "vldrw.u32" if path.aligned and not path.lanes else "vldrbt.u8" if path.lanes else "vldrb.u8"
    predicate = ["vpst"] if path.lanes else []

    def load(address: str) -> list[str]:
        return [*predicate, f"{mnemonic} q6, {address}"]

    if path.centre >= 0:
        offset = (path.columns[place] - path.centre) * path.tap
        plain = load(f"[{pointer}, #{offset}]" if offset else f"[{pointer}]")
        return enter, plain, load(f"[{pointer}], #{path.step}") if last else plain
    move = path.step - (path.kernel[1] - 1) * path.tap if last else path.tap
    plain = load(f"[{pointer}]")
    add = [f"{'add' if move > 0 else 'sub'} {pointer}, {pointer}, #{abs(move)}"] if move else []
    return enter, plain, plain + add


def widen(number: int, count: int) -> list[str]:
    """Add a sum to q0-q3; the first waits for the second."""
    halves = (("b", "q4"), ("t", "q4"), ("b", "q5"), ("t", "q5"))
    if number == 0:
        return [f"vmovl{half}.s16 q{i}, {source}" for i, (half, source) in enumerate(halves)] if count == 1 else []
    if number == 1:
        text = ["vmovlb.s16 q0, q4", "vmovlb.s16 q6, q2", "vmovlt.s16 q1, q4", "vmovlt.s16 q7, q2"]
        text += ["vadd.i32 q0, q0, q6", "vadd.i32 q1, q1, q7", "vmovlb.s16 q2, q5", "vmovlb.s16 q6, q3"]
        return [*text, "vmovlt.s16 q7, q3", "vmovlt.s16 q3, q5", "vadd.i32 q2, q2, q6", "vadd.i32 q3, q3, q7"]
    text = []
    for i, (half, source) in enumerate(halves):
        text += [f"vmovl{half}.s16 q{6 + i % 2}, {source}", f"vadd.i32 q{i}, q{i}, q{6 + i % 2}"]
    return text


def requantize(half_up: bool) -> list[str]:
    """q0-q3: bias, doubling high multiply, rounding shift; of (x - 1 where x < 0) unless ties may round up."""
    text = []
    for i in range(4):
        q = f"q{i}"
        bias, multiplier, shift = (f"[{PARAMETERS}, #{48 * i + 16 * part}]" for part in range(3))
        text += [f"vldrw.u32 q4, {bias}", f"vadd.i32 {q}, {q}, q4", f"vldrw.u32 q5, {multiplier}"]
        text += [f"vqrdmulh.s32 {q}, {q}, q5", f"vldrw.u32 q6, {shift}"]
        text += [] if half_up else [f"vshr.s32 q7, {q}, #31", f"vadd.i32 {q}, {q}, q7"]
        text += [f"vrshl.s32 {q}, {q}, q6"]
    return text


def store(clamps: tuple[int, int], zero_point: int, step: int, lanes: int) -> list[str]:
    """Narrow q0-q3 to 16 int8, add the zero point, clamp; step: bytes to the next output.

    Where the zero point is -128, saturating to 0 ... 255 first saves an addition.
    """
    text = ["vqmovnb.s32 q0, q0", "vqmovnb.s32 q2, q2", "vqmovnt.s32 q0, q1", "vqmovnt.s32 q2, q3"]
    if zero_point == -128:
        text += ["vqmovunb.s16 q0, q0", "vqmovunt.s16 q0, q2", "vadd.i8 q0, q0, r0"]
    else:
        text += ["vqadd.s16 q0, q0, r0", "vqadd.s16 q2, q2, r0", "vqmovnb.s16 q0, q0", "vqmovnt.s16 q0, q2"]
    text += ["vdup.8 q1, r11", "vmax.s8 q0, q0, q1"] if clamps[0] > -128 else []
    text += ["vdup.8 q1, r12", "vmin.s8 q0, q0, q1"] if clamps[1] < 127 else []
    address = f"[r6], #{step}" if step <= BYTE_REACH else "[r6]"
    text += ["vpst", f"vstrbt.8 q0, {address}"] if lanes else [f"vstrb.8 q0, {address}"]
    return text + ([f"add r6, r6, #{step}"] if step > BYTE_REACH else [])
