"""ADD and SUB as one affine function: equal to the specification for every pair of bytes, then in the emulator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import dsp_checks, mve_checks
from tests.arm_layers import build, inputs_and_expected, joined, pair_glue, planned, side_by_side
from tests.programs import activation, qparams, single_layer_program
from tests.test_kernels_arm import EDGES
from tinyptq.board import load_board
from tinyptq.graph import Shape
from tinyptq.kernels import arm_affine
from tinyptq.kernels.affine import Affine, affine, proved
from tinyptq.ops import BY_NAME
from tinyptq.ops.activation import NONE, RELU, RELU6, Clamp
from tinyptq.ops.add import Add
from tinyptq.ops.sub import Sub
from tinyptq.program import Program
from tinyptq.run import run_firmware

CHECKS = {"arm_mve": mve_checks, "arm_dsp": dsp_checks}


def layer(
    op: str, shape: Shape, scales: tuple[float, ...], clamp: Clamp = NONE, zero_points: tuple[int, ...] = (-3, 9, 5)
) -> Program:
    first, second = (activation(shape, scales[i], zero_points[i]) for i in range(2))
    attrs = Add(clamp) if op == "add" else Sub(clamp)
    return single_layer_program(op, attrs, [first, second], qparams(scales[2], zero_points[2]))


def table() -> Program:
    return side_by_side(
        {
            "plain": layer("add", (1, 8, 8, 16), (0.02, 0.03, 0.03)),
            "relu": layer("add", (1, 8, 8, 16), (0.05, 0.011, 0.04), RELU, (-128, 4, -128)),
            "relu6": layer("add", (1, 7, 8, 16), (0.02, 0.02, 0.025), RELU6, (127, -128, -60)),
            "apart": layer("add", (1, 8, 16, 16), (0.00013, 0.4, 0.3)),
            "rest": layer("add", (1, 67), (0.02, 0.03, 0.03)),
            "eight": layer("add", (1, 8), (0.02, 0.03, 0.01)),
            "nine": layer("add", (1, 9), (0.02, 0.03, 0.01)),
            "halves": layer("add", (1, 11, 5), (0.02, 0.02, 0.04), zero_points=(0, 0, 0)),
            "minus": layer("sub", (1, 9, 7, 5), (0.02, 0.03, 0.03)),
            "minus-relu6": layer("sub", (1, 9, 7, 5), (0.05, 0.03, 0.05), RELU6, (-7, 100, -90)),
        }
    )


@settings(max_examples=40, deadline=None)
@given(
    op=st.sampled_from(["add", "sub"]),
    scales=st.tuples(*[st.floats(0.001, 0.1)] * 3),
    zero_points=st.tuples(*[st.integers(-128, 127)] * 3),
    clamp=st.sampled_from([NONE, RELU, RELU6]),
)
def test_the_function_is_the_layer(
    op: str, scales: tuple[float, ...], zero_points: tuple[int, ...], clamp: Clamp
) -> None:
    """Whenever one is found; computed here in plain integers, for every pair of bytes."""
    params = layer(op, (1, 8), (*scales[:2], max(scales)), clamp, zero_points).layers[0].params
    function = affine(params)
    if function is None:
        return
    x = np.arange(-128, 128)
    y = (function.a * x[:, None] + function.b * x + function.c) >> function.shift
    everything = replace(params, pair=replace(params.pair, input_shapes=((1, 256, 1), (1, 1, 256))))
    everything = replace(everything, pair=replace(everything.pair, output_shape=(1, 256, 256)))
    first, second = x.astype(np.int8).reshape(1, 256, 1), x.astype(np.int8).reshape(1, 1, 256)
    want = BY_NAME[op].run_int(everything, first, second)[0]
    np.testing.assert_array_equal(np.clip(y, params.pair.activation_min, params.pair.activation_max), want)


def test_on_paper() -> None:
    """Half of x0 + x1, ties away from zero: slopes above 1/2 push 127/2 up, c just below 1/2 leaves -127/2 down."""
    params = layer("add", (1, 8), (0.02, 0.02, 0.04), zero_points=(0, 0, 0)).layers[0].params
    function = affine(params)
    assert function == Affine((1 << 22) + 1, (1 << 22) + 1, (1 << 22) - 1, 23)
    for total, half in ((127, 64), (1, 1), (-1, -1), (-127, -64), (-126, -63)):
        assert (total * function.a + function.c) >> 23 == half


def test_no_function_no_kernel() -> None:
    """A table that no line makes: one entry is moved."""
    params = layer("add", (1, 8), (0.02, 0.03, 0.03)).layers[0].params
    table = params.table.copy()
    table[3, 5] += 9
    arguments = (0.02 / 0.03, 1.0, -128, 127)
    assert proved(*arguments, params.table.tobytes()) is not None
    assert proved(*arguments, table.tobytes()) is None


def test_other_shapes_and_elements_are_left_to_others() -> None:
    params = layer("add", (1, 8, 8, 16), (0.02, 0.03, 0.03)).layers[0].params
    assert arm_affine.supports(params)
    spread = replace(params.pair, input_shapes=((1, 1, 1, 16), (1, 8, 8, 16)))
    assert not arm_affine.supports(replace(params, pair=spread))
    assert not arm_affine.supports(replace(params, pair=replace(params.pair, element="int16")))


def test_fewer_elements_than_a_vector(tmp_path: Path) -> None:
    programs = {str(count): layer("add", (1, count), (0.02, 0.03, 0.029)) for count in (3, 5, 7)}
    dsp_checks.check_every_byte(side_by_side(programs), "whole", tmp_path, kernel="arm_dsp_affine")
    assert not any(arm_affine.supports_mve(program.layers[0].params) for program in programs.values())


@pytest.mark.parametrize("isa", CHECKS)
def test_every_byte_equals_numpy(isa: str, tmp_path: Path) -> None:
    CHECKS[isa].check_every_byte(table(), "whole", tmp_path, kernel=f"{isa}_affine")


@pytest.mark.parametrize("isa", CHECKS)
def test_every_byte_equals_numpy_when_clang_compiles(isa: str, tmp_path: Path) -> None:
    pytest.importorskip("ziglang", reason="zig cc, a clang, comes with tinyptq[toolchain]")
    CHECKS[isa].check_every_byte(table(), "whole", tmp_path, prefix="absent-", kernel=f"{isa}_affine")


@pytest.mark.parametrize(("isa", "name"), [("arm_mve", "cortex-m55"), ("arm_dsp", "cortex-m33")])
def test_nothing_outside_the_tensors_is_touched(isa: str, name: str, tmp_path: Path) -> None:
    """Both inputs and the output lie at the edges of memory in turn: a touch beyond is a fault."""
    board, program = load_board(name), table()
    memory = planned(program, board, f"{isa}_affine")
    images = build(program, memory, board, tmp_path, glue=pair_glue(len(program.layers), *EDGES[name]))
    inputs, expected = inputs_and_expected(program, 3)
    want = joined(program, program.outputs, expected)
    result = run_firmware(board, images.elf, inputs, want.shape[1], len(expected))
    np.testing.assert_array_equal(result.outputs, want)


@pytest.mark.parametrize("level", ["-O0", "-Os", "-O3"])
@pytest.mark.parametrize("compiler", ["arm-none-eabi-gcc", "clang"])
@pytest.mark.parametrize("isa", CHECKS)
def test_compiles_without_a_warning_at_every_level(isa: str, compiler: str, level: str, tmp_path: Path) -> None:
    CHECKS[isa].check_no_warning(table(), compiler, level, tmp_path)


@pytest.mark.parametrize(("isa", "limit"), [("arm_mve", 2), ("arm_dsp", 6.5)])
def test_instructions(isa: str, limit: float, tmp_path: Path) -> None:
    """CMSIS-NN needs 13.8 and 81 instructions per element (gcc 12.2 -O3)."""
    program = side_by_side({"ic": layer("add", (1, 32, 32, 16), (0.02, 0.03, 0.03), RELU, (3, 4, -128))})
    CHECKS[isa].check_instructions(program, int(limit * 16384), tmp_path)
