"""MVE and DSP kernels of 1x1 convolution and fully connected layers: every byte, none outside, few instructions."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.arm_layers import Case, build, combine, in_row_blocks, inputs_and_expected, joined, layer_program, planned
from tinyptq.board import load_board
from tinyptq.emit.c import emit_c
from tinyptq.emit.firmware import WARNINGS
from tinyptq.errors import TinyptqError
from tinyptq.fixedpoint import multiply_by_quantized_multiplier
from tinyptq.kernels import arm_dsp, arm_mve, choose
from tinyptq.ops.activation import RELU, RELU6
from tinyptq.ops.window import Window
from tinyptq.run import profile_firmware, run_firmware

CASES = (
    Case("plain", "conv_2d", (1, 4, 4, 64), 64, "all tiles full"),
    Case("relu", "conv_2d", (1, 4, 4, 64), 64, "negative ties may round either way", RELU, -128),
    Case("relu6", "conv_2d", (1, 3, 4, 16), 8, "both clamps inside the int8 range", RELU6, -100),
    Case("pixel", "conv_2d", (1, 1, 1, 16), 4, "a single pixel"),
    Case("column", "conv_2d", (1, 5, 1, 7), 9, "rows of one pixel, shorter than a vector"),
    Case("pair", "conv_2d", (1, 1, 2, 16), 4, "exactly one MVE tile"),
    Case("three", "conv_2d", (1, 3, 3, 17), 6, "odd pixels; one input more than a vector"),
    Case("one-input", "conv_2d", (1, 3, 5, 1), 4, "one lane"),
    Case("odd", "conv_2d", (1, 3, 3, 129), 127, "channels a multiple of nothing"),
    Case("far", "conv_2d", (1, 2, 2, 130), 131, "stores beyond the immediate offset"),
    Case("long", "conv_2d", (1, 1, 5, 260), 12, "vectors in chunks, an odd count of them"),
    Case("longer", "conv_2d", (1, 2, 3, 160), 7, "vectors in chunks, an even count"),
    Case("limit", "conv_2d", (1, 2, 3, 1024), 5, "the longest tile"),
    Case("beyond", "conv_2d", (1, 2, 2, 1030), 5, "too long for MVE"),
    Case("few-outputs", "conv_2d", (1, 2, 4, 12), 3, "too few channels for MVE"),
    Case("two-outputs", "conv_2d", (1, 3, 3, 6), 2, "one DSP tile"),
    Case("one-output", "conv_2d", (1, 3, 3, 6), 1, "too few channels for either"),
    Case("heavy", "conv_2d", (1, 2, 3, 600), 6, "|acc| beyond 2^23: channels accumulate apart", fill=127),
    Case("heavy-fc", "fully_connected", (1, 600), 5, "the same for a single pixel", fill=-127),
    Case("lowest", "conv_2d", (1, 2, 3, 80), 6, "weights of -128: half-words would overflow", fill=-128),
    Case("lowest-fc", "fully_connected", (1, 80), 6, "the same for a single pixel", fill=-128),
    Case("fc-one", "fully_connected", (1, 30), 1, "a single output"),
    Case("fc-three", "fully_connected", (1, 30), 3, "outputs that overlap", RELU6, -100),
    Case("fc-five", "fully_connected", (1, 68), 5, "four channels and one; a group of four inputs left over"),
    Case("fc", "fully_connected", (1, 64), 12, "one vector of inputs"),
    Case("fc-long", "fully_connected", (1, 640), 33, "many turns of the loop"),
    Case("fc-flat", "fully_connected", (1, 2, 3, 5), 9, "flattened input", RELU, -128),
    Case("fc-rows", "fully_connected", (1, 3, 7), 6, "three vectors", keep_dims=True),
    Case("fc-many", "fully_connected", (1, 6, 33), 6, "six vectors", keep_dims=True),
    Case("fc-two", "fully_connected", (1, 256), 2, "a classifier of two classes"),
)
ISA = {"cortex-m55": "arm_mve", "cortex-m4": "arm_dsp", "cortex-m7": "arm_dsp", "cortex-m33": "arm_dsp"}
POINTWISE = Case("kws", "conv_2d", (1, 25, 5, 64), 64, "the pointwise layers of the keyword spotter")


@pytest.mark.parametrize("way", ["whole", "blocks"])
@pytest.mark.parametrize("name", ISA)
def test_every_byte_equals_numpy(name: str, way: str, tmp_path: Path) -> None:
    check_every_byte(name, way, tmp_path, prefix=None)


@pytest.mark.parametrize("name", ["cortex-m55", "cortex-m4"])
def test_every_byte_equals_numpy_when_clang_compiles(name: str, tmp_path: Path) -> None:
    pytest.importorskip("ziglang", reason="zig cc, a clang, comes with tinyptq[toolchain]")
    check_every_byte(name, "whole", tmp_path, prefix="absent-")


def check_every_byte(name: str, way: str, folder: Path, prefix: str | None) -> None:
    board = load_board(name)
    board = board if prefix is None else replace(board, prefix=prefix)
    program = combine(CASES)
    memory = planned(program, board)
    memory = memory if way == "whole" else in_row_blocks(program, memory)
    assert sum(kernel.isa == ISA[name] for kernel in memory.kernels) >= 20
    images = build(program, memory, board, folder)
    inputs, expected = inputs_and_expected(program, 5)
    bytes_out = joined(program, program.outputs, expected).shape[1]
    sizes = [e.shape[1] for e in expected]
    result = run_firmware(board, images.trace_elf, inputs, bytes_out, len(CASES), list(enumerate(sizes)))
    for case, want, got in zip(CASES, expected, result.layers, strict=True):
        assert len(np.unique(want)) > 3, case.id
        np.testing.assert_array_equal(got, want, f"{case.id}: {case.why}")


# Memory the firmware itself does not use, (first byte, end): what lies next to it does not exist, a touch is a fault.
# The other boards' emulators ignore such accesses.
EDGES = {"cortex-m55": (0x2100_0000, 0x2140_0000), "cortex-m33": (0x8000_0000, 0x8100_0000)}
EDGE_CASES = tuple(case for case in CASES if case.fill is None)


@pytest.mark.parametrize("name", EDGES)
def test_nothing_outside_the_tensors_is_touched(name: str, tmp_path: Path) -> None:
    board, program = load_board(name), combine(EDGE_CASES)
    low, high = EDGES[name]
    images = build(program, planned(program, board), board, tmp_path, glue=edge_glue(len(EDGE_CASES), low, high))
    inputs, expected = inputs_and_expected(program, 3)
    want = joined(program, program.outputs, expected)
    result = run_firmware(board, images.elf, inputs, want.shape[1], len(EDGE_CASES))
    np.testing.assert_array_equal(result.outputs, want)


@pytest.mark.parametrize("name", EDGES)
@pytest.mark.parametrize("side", ["low", "high"])
def test_the_edges_are_edges(name: str, side: str, tmp_path: Path) -> None:
    board, program = load_board(name), combine(EDGE_CASES[:1])
    low, high = EDGES[name]
    low, high = (low - 1, high) if side == "low" else (low, high + 1)
    images = build(program, planned(program, board), board, tmp_path, glue=edge_glue(1, low, high))
    inputs, expected = inputs_and_expected(program, 2)
    with pytest.raises(TinyptqError, match=r"fault|locked up"):
        run_firmware(board, images.elf, inputs, expected[0].shape[1], 1)


def edge_glue(layers: int, low: int, high: int) -> str:
    """tq_model_run that puts each layer's input and output at the edges of memory in turn; differing bytes spoil 0."""
    macros = [(f"MANY_INPUT{i}_SIZE", f"MANY_OUTPUT{i}_SIZE") for i in range(layers)]
    if layers == 1:
        macros = [("MANY_INPUT_SIZE", "MANY_OUTPUT_SIZE")]
    round_up = "((offset) + 15u) / 16u * 16u"
    places = "    {array}[{i}] = {round_up};\n    offset = {array}[{i}] + {size};\n"
    reads, writes = (
        "".join(places.format(array=a, i=i, round_up=round_up, size=pair[column]) for i, pair in enumerate(macros))
        for column, a in enumerate(("in_at", "out_at"))
    )
    sizes = ", ".join(f"{{{a}, {b}}}" for a, b in macros)
    arguments = ", ".join([f"in[{i}]" for i in range(layers)] + [f"out[{i}]" for i in range(layers)])
    total = f"TQ_MODEL_INPUT_BYTES ({sum_of(macros, 0)})\n#define TQ_MODEL_OUTPUT_BYTES ({sum_of(macros, 1)})"
    return f"""#ifndef TQ_MODEL_H
#define TQ_MODEL_H
#include <string.h>
#include "many.h"
#define TQ_MODEL_NAME "many"
#define {total}
#define TQ_MODEL_LAYERS {layers}
static inline void tq_model_reset(void)
{{
}}
static inline void tq_model_run(const int8_t *inputs, int8_t *outputs)
{{
    const size_t sizes[{layers}][2] = {{{sizes}}};
    size_t in_at[{layers}];
    size_t out_at[{layers}];
    size_t offset = 0u;
{reads}    offset = 0u;
{writes}    for (size_t place = 0u; place < 2u * {layers}u; place++) {{
        const size_t which = place / 2u;
        int8_t *const edge_in = (int8_t *)(uintptr_t)((place % 2u) ? {low}u : {high}u - sizes[which][0]);
        int8_t *const edge_out = (int8_t *)(uintptr_t)((place % 2u) ? {high}u - sizes[which][1] : {low}u);
        const int8_t *in[{layers}];
        int8_t *out[{layers}];
        for (size_t i = 0u; i < {layers}u; i++) {{
            in[i] = inputs + in_at[i];
            out[i] = outputs + out_at[i];
        }}
        for (size_t i = 0u; i < sizes[which][0]; i++) {{
            edge_in[i] = in[which][i];
        }}
        in[which] = edge_in;
        out[which] = edge_out;
        many_run({arguments});
        for (size_t i = 0u; i < sizes[which][1]; i++) {{
            int8_t *const kept = &outputs[out_at[which] + i];
            *kept = (int8_t)((place % 2u == 1u && *kept != edge_out[i]) ? ~edge_out[i] : edge_out[i]);
        }}
    }}
}}
#endif
"""


def sum_of(macros: list[tuple[str, str]], column: int) -> str:
    """Bytes of tensors side by side, each but the last rounded up to 16, as a C expression."""
    sizes = [pair[column] for pair in macros]
    return " + ".join([f"({size} + 15) / 16 * 16" for size in sizes[:-1]] + sizes[-1:])


@pytest.mark.parametrize(
    ("name", "clamp", "zero_point", "limit"),
    [("cortex-m55", None, 7, 83_000), ("cortex-m55", RELU, -128, 79_000), ("cortex-m4", None, 7, 438_000)],
)
def test_instructions_of_a_pointwise_layer(
    name: str, clamp: object, zero_point: int, limit: int, tmp_path: Path
) -> None:
    """CMSIS-NN needs 202,937 on the M55 and 1,068,976 on the M4 for a layer of this shape (gcc 12.2 -O3)."""
    board = load_board(name)
    case = POINTWISE if clamp is None else replace(POINTWISE, clamp=clamp, zero_point=zero_point)
    program = combine([case])
    memory = planned(program, board)
    images = build(program, memory, board, tmp_path)
    inputs, expected = inputs_and_expected(program, 1)
    counts = profile_firmware(board, images.elf, images.trace_elf, inputs, expected[0].shape[1], 1)
    assert counts.layers[0] <= limit
    predicted = memory.kernels[0].cost(program.layers[0].params).instructions
    assert abs(predicted - counts.layers[0]) <= 0.03 * counts.layers[0]


@pytest.mark.parametrize("level", ["-O0", "-Os", "-O3"])
@pytest.mark.parametrize("name", ["cortex-m55", "cortex-m4"])
@pytest.mark.parametrize("compiler", ["arm-none-eabi-gcc", "clang"])
def test_compiles_without_a_warning_at_every_level(compiler: str, name: str, level: str, tmp_path: Path) -> None:
    """r7 is the frame pointer of clang, and of gcc -O0; C99 compilers know strings of 4095 characters."""
    found = shutil.which(compiler) or (shutil.which("clang-19") if compiler == "clang" else None)
    if found is None:
        pytest.skip(f"{compiler} is not installed")
    board, program = load_board(name), combine(CASES)
    for path, text in emit_c(program, planned(program, board), board).items():
        (tmp_path / path).write_text(text)
    (tmp_path / "string.h").write_text(
        "#include <stddef.h>\nvoid *memcpy(void *, const void *, size_t);\nvoid *memset(void *, int, size_t);\n"
    )
    flags = [flag for flag in board.cflags if not flag.startswith("-O")]
    target = ["--target=arm-none-eabi"] if "clang" in compiler else []
    command = [found, *target, *flags, level, "-std=c99", "-ffreestanding", "-I.", *WARNINGS, "-c", "many.c"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:2000]


# Proofs: the instructions' own arithmetic, written out, against gemmlowp's two roundings.


def vqrdmulh(a: int, b: int) -> int:
    return min((2 * a * b + (1 << 31)) >> 32, 2**31 - 1)


def short_mve(acc: int, multiplier: int, right: int, zero_point: int, half_up: bool) -> int:
    """VQRDMULH; VSHR, VADD unless half_up; VRSHL; VQMOVN to 16 bits; VQADD; VQMOVN to 8."""
    x = vqrdmulh(acc, multiplier)
    x += 0 if half_up else x >> 31
    x = (x + (1 << (right - 1))) >> right
    return max(-128, min(127, max(-(2**15), min(2**15 - 1, x)) + zero_point))


def short_dsp(acc: int, multiplier: int, right: int, zero_point: int, half_up: bool) -> int:
    """ADD rounding, acc asr #31 unless half_up; SMMLAR of 2·acc; ASR; SSAT."""
    t = (1 << (right - 1)) + zero_point * (1 << right)
    t += 0 if half_up else (2 * acc) >> 31
    t = ((t << 32) + 2 * acc * multiplier + (1 << 31)) >> 32
    assert -(2**31) <= t < 2**31
    return max(-128, min(127, t >> right))


@settings(max_examples=2000, deadline=None)
@given(
    acc=st.integers(-(2**29), 2**29),
    multiplier=st.integers(2**30, 2**31 - 1),
    right=st.integers(1, 20),
    zero_point=st.integers(-128, 127),
)
@example(acc=-1, multiplier=2**30, right=1, zero_point=0)
@example(acc=-3, multiplier=2**30, right=1, zero_point=0)
@example(acc=-(2**29), multiplier=2**31 - 1, right=1, zero_point=-128)
def test_short_requantization_is_gemmlowps(acc: int, multiplier: int, right: int, zero_point: int) -> None:
    """At ties, too: the accumulator is moved to one whose first rounding gives (2j + 1) · 2^(right - 1)."""
    half = 1 << (right - 1)
    tie = ((acc // (2 * half)) * 2 + 1) * half
    near = [(tie << 31) // multiplier + d for d in (-1, 0, 1)]
    for a in [acc, *(n for n in near if abs(n) < 2**29)]:
        x = int(multiply_by_quantized_multiplier(np.array([a], np.int64), multiplier, -right)[0])
        expected = max(-128, min(127, x + zero_point))
        assert short_mve(a, multiplier, right, zero_point, False) == expected
        assert short_dsp(a, multiplier, right, zero_point, False) == expected
        for short in (short_mve, short_dsp):
            assert max(zero_point, short(a, multiplier, right, zero_point, True)) == max(zero_point, expected)


def test_half_words_on_paper() -> None:
    """w0 = -1, w1 = 3: half-word 3·256 - 1 = 767, whose low byte reads as -1 again."""
    case = Case("paper", "conv_2d", (1, 1, 1, 4), 2, "")
    params = layer_program(case).layers[0].params
    params = replace(params, weights=np.array([[-1, 2, 5, 6], [3, -4, 7, -8]], np.int8).reshape(2, 1, 1, 4))
    params = replace(params, bias=np.array([5, -7], np.int32), shift=np.full(2, -3, np.int8))  # the output must change
    stream = arm_dsp.pack(params)["stream"].view(np.uint32).reshape(-1)
    assert stream[2:4].tolist() == [(5 + 256 * 7) << 16 | 767, (6 - 256 * 8) % 65536 << 16 | (2 - 256 * 4) % 65536]
    bias0, bias1 = params.folded_bias.tolist()
    assert stream[:2].view(np.int32).tolist() == [bias0 + 256 * bias1, bias0]


def test_preconditions_are_proved_or_the_kernel_steps_back() -> None:
    params = layer_program(CASES[0]).layers[0].params
    assert arm_mve.supports(params)
    assert arm_dsp.supports(params)
    for changed in (
        replace(params, window=Window((1, 1), (2, 2))),
        replace(params, window=Window((1, 1), pad_left=1)),
        replace(params, shift=np.zeros(64, np.int8)),
    ):
        assert not arm_mve.supports(changed)
        assert not arm_dsp.supports(changed)
    lowest = params.weights.copy()
    lowest[0, 0, 0, 0] = -128
    assert arm_dsp.details(params).product.mixed
    first, second = lowest.copy(), lowest.copy()
    first[0], second[1], first[1], second[0] = 0, -128, -128, -1
    assert arm_dsp.details(replace(params, weights=first)).product.mixed  # 0 - 128 * 256 is an int16
    assert not arm_dsp.details(replace(params, weights=second)).product.mixed  # -1 - 128 * 256 is none
    shifted = replace(params, bias=np.full(64, 2**23, np.int32), shift=np.full(64, -17, np.int8))
    assert not arm_dsp.details(shifted).product.mixed


def test_a_board_without_the_extension_gets_the_portable_kernel() -> None:
    layer = layer_program(CASES[0]).layers[0]
    assert choose(layer, ["portable"]).isa == "portable"
    assert choose(layer, ["arm_dsp", "portable"]).isa == "arm_dsp"
    assert choose(layer, ["arm_mve", "arm_dsp", "portable"]).isa == "arm_mve"
