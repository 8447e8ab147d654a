"""Compiles rendered kernels with the host's gcc under every warning and sanitizer, runs them, returns their bytes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.shared import ROOT
from tinyptq.emit import render
from tinyptq.graph import Array

C_TYPES = {"int8": "int8_t", "int16": "int16_t", "int32": "int32_t", "uint8": "uint8_t", "int64": "int64_t"}
WARNINGS = (
    "-std=c99 -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wcast-qual -Wundef "
    "-Wmissing-prototypes -Werror"
).split()
SANITIZERS = "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all".split()


@dataclass(frozen=True, eq=False)
class CFunction:
    """One kernel to render and call.

    inputs: arrays [n, ...]; outputs have the first one's type, or output_dtype.
    rows: output rows when the kernel computes blocks.
    """

    params: Any
    inputs: tuple[Array, ...]
    output_bytes: tuple[int, ...]
    constants: Mapping[str, Array]
    scratch: int
    rows: int | None
    state: Mapping[str, Array] = field(default_factory=dict)  # what the kernel finds there on its first call
    output_dtype: np.dtype[Any] | None = None


def run_c(template: str, functions: Sequence[CFunction], folder: Path) -> list[list[bytes]]:
    """Per function its output bytes [n, ...], first computed whole, then (where it can) block by block."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler on this machine: the C law cannot be checked")
    source = harness_source(template, functions)
    (folder / "kernels.c").write_text(source)
    for index, function in enumerate(functions):
        for position, array in enumerate(function.inputs):
            (folder / f"{index}_{position}.in").write_bytes(np.ascontiguousarray(array).tobytes())
    include = f"-I{ROOT / 'templates' / 'runtime'}"
    command = [compiler, *WARNINGS, *SANITIZERS, include, "kernels.c", "-o", "kernels"]
    compiled = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert compiled.returncode == 0, compiled.stderr
    environ = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    ran = subprocess.run(["./kernels"], cwd=folder, capture_output=True, text=True, env=environ)
    assert ran.returncode == 0, ran.stderr[-4000:]
    ways = [["whole", "blocks"] if f.rows is not None else ["whole"] for f in functions]
    return [[(folder / f"{i}_{way}.out").read_bytes() for way in names] for i, names in enumerate(ways)]


def harness_source(template: str, functions: Sequence[CFunction]) -> str:
    env = render.environment()
    parts = ["#include <stdint.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"]
    parts.append('#include "tq_math.h"\n')
    parts.append(READ_FILE)
    for index, function in enumerate(functions):
        parts.append(env.get_template(template).render(p=function.params, name=f"kernel{index}"))
        parts += [_constant(index, name, array) for name, array in function.constants.items()]
        parts += [_constant(index, f"first_{name}", array) for name, array in function.state.items()]
        parts.append(_case(index, function))
    calls = "".join(f"    case{index}();\n" for index in range(len(functions)))
    parts.append(f"int main(void)\n{{\n{calls}    return 0;\n}}\n")
    return "\n".join(parts)


READ_FILE = """
static int8_t *read_file(const char *name, size_t size)
{
    int8_t *data = malloc(size);
    FILE *file = fopen(name, "rb");
    if (data == NULL || file == NULL || fread(data, 1, size, file) != size) {
        exit(9);
    }
    fclose(file);
    return data;
}
"""


def _constant(index: int, name: str, array: Array) -> str:
    values = ["(-2147483647 - 1)" if v == -(2**31) else str(v) for v in array.ravel().tolist()]
    lines = [", ".join(values[i : i + 20]) for i in range(0, len(values), 20)]
    return f"static const {C_TYPES[array.dtype.name]} c{index}_{name}[{array.size}] = {{\n" + ",\n".join(lines) + "\n};"


def _case(index: int, function: CFunction) -> str:
    """A C function that runs every sample: exact-size heap buffers, so that ASan sees one byte too many."""
    count = len(function.inputs[0])
    lines = [f"static void case{index}(void)\n{{"]
    names = []
    for position, array in enumerate(function.inputs):
        size = array.nbytes // count
        lines.append(f'    int8_t *all{position} = read_file("{index}_{position}.in", {array.nbytes}u);')
        lines.append(f"    int8_t *in{position} = malloc({size}u);")
        names.append((position, size))
    lines.append(f"    int8_t *out = malloc({sum(function.output_bytes)}u);")
    lines.append(f"    int8_t *scratch = malloc({max(function.scratch, 1)}u);")
    for name, array in function.state.items():
        lines.append(f"    {_c_type(array)} *{name} = malloc({array.nbytes}u);")
        lines.append(f"    memcpy({name}, c{index}_first_{name}, {array.nbytes}u);")
    for way in ["whole", "blocks"] if function.rows is not None else ["whole"]:
        lines.append(f'    FILE *{way} = fopen("{index}_{way}.out", "wb");')
        lines.append(f"    for (size_t sample = 0; sample < {count}u; sample++) {{")
        lines += [f"        memcpy(in{p}, all{p} + sample * {s}u, {s}u);" for p, s in names]
        lines.append(f"        memset(out, 0x55, {sum(function.output_bytes)}u);")
        lines.append(f"        memset(scratch, 0xA5, {max(function.scratch, 1)}u);")
        lines += [f"        {call}" for call in _calls(index, function, way)]
        lines.append(f"        fwrite(out, 1, {sum(function.output_bytes)}u, {way});")
        lines.append(f"    }}\n    fclose({way});")
    lines += [f"    free(all{p});\n    free(in{p});" for p, _ in names]
    lines += [f"    free({name});" for name in function.state]
    lines.append("    free(out);\n    free(scratch);\n}")
    return "\n".join(lines)


def _calls(index: int, function: CFunction, way: str) -> list[str]:
    arguments = [f"(const {_c_type(x)} *)(void *)in{position}" for position, x in enumerate(function.inputs)]
    starts = [sum(function.output_bytes[:i]) for i in range(len(function.output_bytes))]
    output = C_TYPES[str(function.output_dtype or function.inputs[0].dtype)]
    arguments += [f"({output} *)(void *)(out + {start})" for start in starts]
    arguments += [f"c{index}_{name}" for name in function.constants]
    arguments += [*function.state]
    arguments += ["scratch"] if function.scratch else []
    if function.rows is None:
        return [f"kernel{index}({', '.join(arguments)});"]
    blocks = [(0, function.rows)] if way == "whole" else row_blocks(function.rows)
    return [f"kernel{index}({', '.join([*arguments, str(a), str(b)])});" for a, b in blocks]


def _c_type(array: Array) -> str:
    return C_TYPES[array.dtype.name]


def row_blocks(rows: int) -> list[tuple[int, int]]:
    """[0,1) [1,3) [3,6) ...: a growing partition of the output rows."""
    blocks, start, size = [], 0, 1
    while start < rows:
        blocks.append((start, min(start + size, rows)))
        start, size = start + size, size + 1
    return blocks
