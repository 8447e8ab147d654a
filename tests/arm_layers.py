"""Programs of independent layers, one per case: one build and one emulator run cover a whole table of shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tests.c_harness import row_blocks
from tests.firmware_fixture import require_tools
from tests.programs import activation, bias, qparams, random_inputs, single_layer_program, weights
from tinyptq.board import Board
from tinyptq.emit.c import emit_c
from tinyptq.emit.ports import io_layout
from tinyptq.graph import Array, Shape
from tinyptq.kernels import kernel_named
from tinyptq.ops import BY_NAME
from tinyptq.ops.activation import NONE, Clamp
from tinyptq.ops.base import Operand
from tinyptq.ops.conv_2d import Conv2D
from tinyptq.ops.fully_connected import FullyConnected
from tinyptq.ops.window import Window
from tinyptq.output import write_files
from tinyptq.plan.planner import plan, plan_kernels
from tinyptq.plan.types import Plan, Step
from tinyptq.program import Program
from tinyptq.toolchain import Images, build_files, compile_firmware


@dataclass(frozen=True)
class Case:
    """shape: of the input, batch 1 first. zero_point: of the output. fill: every weight, else random ones."""

    id: str
    op: str
    shape: Shape
    outputs: int
    why: str
    clamp: Clamp = NONE
    zero_point: int = 7
    keep_dims: bool = False
    fill: int | None = None


def layer_program(case: Case) -> Program:
    """One layer whose outputs use the whole int8 range."""
    rng = np.random.default_rng(len(case.id) + 1000 * case.outputs)
    inputs = case.shape[-1] if case.op == "conv_2d" or case.keep_dims else int(np.prod(case.shape))
    middle = (1, 1) if case.op == "conv_2d" else ()
    x = activation(case.shape, 0.02, -3)
    w = weights(rng, (case.outputs, *middle, inputs), axis=0, scale=0.08 / np.sqrt(inputs))
    if case.fill is not None:
        w = Operand(w.shape, w.qparams, np.full(w.shape, case.fill, np.int8))
    attrs = Conv2D(Window((1, 1)), case.clamp)
    if case.op == "fully_connected":
        attrs = FullyConnected(case.clamp, case.keep_dims)
    scale = 0.05 if case.fill is None else 1e-3 * inputs
    return single_layer_program(case.op, attrs, [x, w, bias(rng, x, w)], qparams(scale, case.zero_point))


def combine(cases: Sequence[Case]) -> Program:
    """All cases as unconnected layers of one program, with an input and an output each."""
    return side_by_side({case.id: layer_program(case) for case in cases})


def side_by_side(programs: Mapping[str, Program]) -> Program:
    """Programs of one layer each as the unconnected layers of one program, their inputs and outputs in order."""
    values, layers = {}, []
    for title, program in programs.items():
        names = {name: f"{title}/{name}" for name in program.values}
        values |= {names[name]: replace(value, name=names[name]) for name, value in program.values.items()}
        (layer,) = program.layers
        inputs, outputs, folded = (
            tuple(names[name] for name in group) for group in (layer.inputs, layer.outputs, layer.folded)
        )
        layers.append(replace(layer, name=title, inputs=inputs, outputs=outputs, folded=folded))
    inputs = tuple(name for layer in layers for name in layer.inputs if values[name].data is None)
    ports = inputs, tuple(layer.outputs[0] for layer in layers)
    return Program("many", "0" * 64, values, tuple(layers), *ports)


def in_row_blocks(program: Program, memory: Plan) -> Plan:
    """The same plan, every layer that can computes growing blocks of its rows: 1, 2, 3 ..."""
    steps = []
    for index, layer in enumerate(program.layers):
        rows = BY_NAME[layer.op].rows(layer.params)
        steps += [Step(index, *block) for block in (row_blocks(rows.count) if rows else [(0, 1)])]
    return replace(memory, schedule=tuple(steps))


def build(program: Program, memory: Plan, board: Board, folder: Path, glue: str | None = None) -> Images:
    """A linked firmware. glue: replaces the generated tq_model.h."""
    require_tools(board)
    write_files(folder / "src", emit_c(program, memory, board) | ({"tq_model.h": glue} if glue else {}))
    write_files(folder, build_files(board, program.name))
    return compile_firmware(board, folder)


def planned(program: Program, board: Board, kernel: str | None = None) -> Plan:
    """The plan of the chosen kernels, or of the one with this name for every layer."""
    if kernel is None:
        return plan(program, board)
    named = (kernel_named(layer.op, kernel) for layer in program.layers)
    kernels = tuple(k for k, layer in zip(named, program.layers, strict=True) if k and k.supports(layer.params))
    assert len(kernels) == len(program.layers), f"{kernel} does not do all layers"
    return plan_kernels(program, kernels)


def joined(program: Program, names: Sequence[str], arrays: Sequence[Array]) -> Array:
    """Tensors [n, ...] side by side as the firmware's buffers hold them, int8 [n, bytes]."""
    offsets, size = io_layout([program.values[name].size_bytes for name in names])
    buffer = np.zeros((len(arrays[0]), size), np.int8)
    for offset, array in zip(offsets, arrays, strict=True):
        rows = array.reshape(len(array), -1)
        buffer[:, offset : offset + rows.shape[1]] = rows
    return buffer


def inputs_and_expected(program: Program, count: int) -> tuple[Array, list[Array]]:
    """(input buffer [n, bytes]: all -128, all 127, random; output of every layer by run_int, [n, bytes] each)."""
    drawn = random_inputs(np.random.default_rng(5), program, count)
    expected = [
        BY_NAME[layer.op].run_int(layer.params, *(drawn[name] for name in layer.inputs)).reshape(count, -1)
        for layer in program.layers
    ]
    return joined(program, program.inputs, [drawn[name] for name in program.inputs]), expected


def pair_glue(layers: int, low: int, high: int) -> str:
    """As test_kernels_arm.edge_glue, for layers of two inputs and an output of the same size.

    Each tensor lies at either edge of memory once, the others in the middle; differing bytes spoil the result.
    """
    macros = [f"MANY_OUTPUT{i}_SIZE" for i in range(layers)]
    rounded = "(offset + 15u) / 16u * 16u"
    inputs, outputs = (
        "".join(
            f"    {array}[{i}] = {rounded};\n    offset = {array}[{i}] + {macros[i // each]};\n"
            for i in range(each * layers)
        )
        for array, each in (("in_at", 2), ("out_at", 1))
    )
    arguments = ", ".join([f"in[{i}]" for i in range(2 * layers)] + [f"out[{i}]" for i in range(layers)])
    twice = [macro for macro in macros for _ in range(2)]
    sizes = [" + ".join([f"({m} + 15) / 16 * 16" for m in some[:-1]] + some[-1:]) for some in (twice, macros)]
    return f"""#ifndef TQ_MODEL_H
#define TQ_MODEL_H
#include <string.h>
#include "many.h"
#define TQ_MODEL_NAME "many"
#define TQ_MODEL_INPUT_BYTES ({sizes[0]})
#define TQ_MODEL_OUTPUT_BYTES ({sizes[1]})
#define TQ_MODEL_LAYERS {layers}
static inline void tq_model_reset(void)
{{
}}
static inline void tq_model_run(const int8_t *inputs, int8_t *outputs)
{{
    const size_t sizes[{layers}] = {{{", ".join(macros)}}};
    const uintptr_t middle = ({low}u + ({high}u - {low}u) / 2u);
    size_t in_at[{2 * layers}];
    size_t out_at[{layers}];
    size_t offset = 0u;
{inputs}    offset = 0u;
{outputs}    for (size_t place = 0u; place < 6u * {layers}u; place++) {{
        const size_t which = place / 6u;
        const size_t tensor = (place % 6u) / 2u;
        const uintptr_t edge = (place % 2u) ? {high}u - sizes[which] : {low}u;
        int8_t *at[3];
        const int8_t *in[{2 * layers}];
        int8_t *out[{layers}];
        for (size_t i = 0u; i < 3u; i++) {{
            at[i] = (int8_t *)((i == tensor) ? edge : middle + i * 65536u);
        }}
        for (size_t i = 0u; i < {2 * layers}u; i++) {{
            in[i] = inputs + in_at[i];
        }}
        for (size_t i = 0u; i < {layers}u; i++) {{
            out[i] = outputs + out_at[i];
        }}
        for (size_t i = 0u; i < 2u; i++) {{
            memcpy(at[i], in[2u * which + i], sizes[which]);
            in[2u * which + i] = at[i];
        }}
        out[which] = at[2];
        many_run({arguments});
        for (size_t i = 0u; i < sizes[which]; i++) {{
            int8_t *const kept = &outputs[out_at[which] + i];
            *kept = (int8_t)((place % 6u > 0u && *kept != at[2][i]) ? ~at[2][i] : at[2][i]);
        }}
    }}
}}
#endif
"""
