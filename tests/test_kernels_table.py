"""MVE and DSP kernels of tables: every byte, none outside, few instructions; vectors and words end anywhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import dsp_checks, mve_checks
from tests.arm_layers import side_by_side
from tests.programs import activation, qparams, single_layer_program
from tinyptq.graph import Shape
from tinyptq.kernels import arm_table, candidates, kernel_named
from tinyptq.ops import BY_NAME
from tinyptq.ops.function import Function
from tinyptq.ops.hard_swish import HardSwish
from tinyptq.ops.leaky_relu import LeakyRelu
from tinyptq.ops.relu import Relu
from tinyptq.program import Program

CHECKS = {"arm_mve": mve_checks, "arm_dsp": dsp_checks}


def function(shape: Shape, op: str = "leaky_relu", attrs: Any = None) -> Program:
    attrs = LeakyRelu(0.3) if attrs is None else attrs
    return single_layer_program(op, attrs, [activation(shape, 0.02, -3)], qparams(0.017, 7))


def rescaling_relu(shape: Shape) -> Program:
    """RELU is a table only where its output has a scale of its own."""
    x, result = activation(shape, 0.02, -3), activation(shape, 0.017, 7)
    program = single_layer_program("relu", Relu(), [x])
    (layer,) = program.layers
    params = BY_NAME["relu"].lower(Relu(), (x,), (result,))
    return replace(program, layers=(replace(layer, params=params),))


def table() -> Program:
    sizes = (17, 24, 31, 32, 33, 100, 1000)
    layers = {f"size{size}": function((1, size)) for size in sizes}
    return side_by_side(layers | {"swish": function((1, 5, 5, 3), "hard_swish", HardSwish())})


@pytest.mark.parametrize("isa", CHECKS)
def test_every_byte_equals_numpy(isa: str, tmp_path: Path) -> None:
    CHECKS[isa].check_every_byte(table(), "whole", tmp_path, kernel=f"{isa}_table")


@pytest.mark.parametrize("isa", CHECKS)
def test_every_operator_that_is_a_table(isa: str, tmp_path: Path) -> None:
    attrs = {op: BY_NAME[op].attrs() for op in arm_table.TABLE_OPS if op not in ("function", "relu")}
    attrs["function"] = Function(tuple(range(127, -129, -1)))
    layers = {op: function((1, 3, 11), op, attrs[op]) for op in attrs} | {"relu": rescaling_relu((1, 3, 11))}
    CHECKS[isa].check_every_byte(side_by_side(layers), "whole", tmp_path, kernel=f"{isa}_table")


def test_vectors_of_few_bytes(tmp_path: Path) -> None:
    few = side_by_side({f"size{size}": function((1, size)) for size in (4, 5, 15, 16)})
    mve_checks.check_every_byte(few, "whole", tmp_path, kernel="arm_mve_table")
    mve_checks.check_nothing_outside(few, tmp_path / "edges", kernel="arm_mve_table")


@pytest.mark.parametrize("isa", CHECKS)
def test_every_byte_equals_numpy_when_clang_compiles(isa: str, tmp_path: Path) -> None:
    pytest.importorskip("ziglang", reason="zig cc, a clang, comes with tinyptq[toolchain]")
    CHECKS[isa].check_every_byte(table(), "whole", tmp_path, prefix="absent-", kernel=f"{isa}_table")


@pytest.mark.parametrize("isa", CHECKS)
def test_nothing_outside_the_tensors_is_touched(isa: str, tmp_path: Path) -> None:
    CHECKS[isa].check_nothing_outside(table(), tmp_path, kernel=f"{isa}_table")


@pytest.mark.parametrize("level", ["-O0", "-Os", "-O3"])
@pytest.mark.parametrize("compiler", ["arm-none-eabi-gcc", "clang"])
@pytest.mark.parametrize("isa", CHECKS)
def test_compiles_without_a_warning_at_every_level(isa: str, compiler: str, level: str, tmp_path: Path) -> None:
    CHECKS[isa].check_no_warning(table(), compiler, level, tmp_path)


@pytest.mark.parametrize(("isa", "limit"), [("arm_mve", 520), ("arm_dsp", 7_020)])
def test_instructions(isa: str, limit: int, tmp_path: Path) -> None:
    CHECKS[isa].check_instructions(side_by_side({"plane": function((1, 25, 5, 16))}), limit, tmp_path)


def test_only_tables_of_bytes_are_looked_up() -> None:
    (layer,) = function((1, 64)).layers
    for isa in CHECKS:
        kernel = kernel_named("leaky_relu", f"{isa}_table")
        assert kernel in candidates(layer, (isa, "portable"))
        assert kernel is not None and not kernel.supports(replace(layer.params, element="int16"))
    assert arm_table.table_of("leaky_relu", replace(layer.params, element="int16")) is None
