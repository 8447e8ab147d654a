"""What is emitted: integers only, the same bytes every time, harmless whatever a model calls its tensors."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.c_harness import WARNINGS
from tests.c_model import run_c_model
from tests.programs import chain_program, random_inputs
from tinyptq.board import board_names, load_board
from tinyptq.emit.c import emit_c
from tinyptq.emit.ports import io_layout
from tinyptq.emit.render import c_array, c_comment, c_int, c_list, tidy
from tinyptq.names import c_identifier
from tinyptq.output import write_files
from tinyptq.plan.planner import plan
from tinyptq.program import Program
from tinyptq.simulate import simulate
from tinyptq.verify import checkpoints, compare

HOSTILE = ('*/ int x;', 'a\nb', '"; system("x"); "', "../../etc", "ünï", "??/", "\\", "/* open", "\x1b[31m", "")


def emitted(program: Program, board: str = "host") -> dict[str, str]:
    target = load_board(board)
    return emit_c(program, plan(program, target), target)


def renamed(program: Program, names: tuple[str, ...]) -> Program:
    """program whose values and layers carry these names, as far as they reach."""
    new = {old: f"{i}{names[i % len(names)]}" for i, old in enumerate(program.values)}
    return replace(
        program,
        values={new[n]: replace(v, name=new[n]) for n, v in program.values.items()},
        layers=tuple(
            replace(
                layer,
                name=names[i % len(names)],
                inputs=tuple(new[n] for n in layer.inputs),
                outputs=tuple(new[n] for n in layer.outputs),
                folded=tuple(new[n] for n in layer.folded),
            )
            for i, layer in enumerate(program.layers)
        ),
        inputs=tuple(new[n] for n in program.inputs),
        outputs=tuple(new[n] for n in program.outputs),
        warnings=names,
    )


@pytest.mark.parametrize("board", board_names())
def test_no_floats_no_heap_no_host_paths(board: str) -> None:
    files = emitted(chain_program(), board)
    for path, text in files.items():
        code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
        if not path.endswith(("_io.h",)):
            assert not re.search(r"\b(float|double)\b", code), path
        assert not re.search(r"\b(malloc|calloc|realloc|free|printf|goto|setjmp)\b", code), path
        assert str(Path.cwd()) not in text
        assert text.isascii() and text.endswith("\n") and not re.search(r"[ \t]+$", text, re.MULTILINE), path


def test_same_program_same_bytes() -> None:
    assert emitted(chain_program(), "cortex-m55") == emitted(chain_program(), "cortex-m55")


def test_hostile_names_stay_inside_comments(tmp_path: Path) -> None:
    """The C of a program full of hostile names differs from the plain one in comments only, and computes the same."""
    plain, hostile = chain_program(), renamed(chain_program(), HOSTILE)
    strip = lambda files: {p: re.sub(r"/\*.*?\*/", "", t, flags=re.DOTALL) for p, t in files.items()}  # noqa: E731
    assert strip(emitted(hostile)) == strip(emitted(plain))
    inputs = random_inputs(np.random.default_rng(0), hostile, 4)
    actual = run_c_model(hostile, inputs, tmp_path)
    assert compare(simulate(hostile, inputs), actual, checkpoints(hostile)).equal


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("standard", ["-std=c99", "-std=c11"])
def test_every_file_is_clean_under_every_warning(compiler: str, standard: str, tmp_path: Path) -> None:
    compiler = next((name for name in (compiler, f"{compiler}-19") if shutil.which(name)), "")
    if not compiler:
        pytest.skip("this compiler is not installed")
    program = chain_program()
    write_files(tmp_path, emitted(program))
    (tmp_path / "io.c").write_text(f'#include "{program.name}_io.h"\ntypedef int not_empty;\n')
    for source in (f"{program.name}.c", f"{program.name}_weights.c", "io.c"):
        command = [compiler, *WARNINGS, standard, "-O2", "-Wmissing-prototypes", "-c", source, "-o", "x.o"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_io_header_quantizes_like_numpy(tmp_path: Path) -> None:
    """The float helpers of <model>_io.h, compiled, against the rounding rule on ties, limits and not-a-number."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler on this machine")
    write_files(tmp_path, emitted(chain_program()))
    main = """
#include <stdio.h>
#include "chain_io.h"
int main(void)
{
    static const float reals[] = {0.5f, -0.5f, 1.5f, 2.5f, 126.5f, 1e30f, -1e30f, 0.0f / 0.0f};
    for (int i = 0; i < 8; i++) {
        printf("%d ", (int) chain_quantize_one(reals[i], 1.0f, 0, -128, 127));
    }
    return 0;
}
"""
    (tmp_path / "main.c").write_text(main)
    subprocess.run([compiler, "-std=c99", "main.c", "-o", "main"], cwd=tmp_path, check=True)
    printed = subprocess.run(["./main"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert [int(w) for w in printed.split()] == [1, -1, 2, 3, 127, 127, -128, 0]


def test_literals_on_paper() -> None:
    assert c_int(-(2**31)) == "(-2147483647 - 1)"
    assert (c_int(-5), c_int(7)) == ("(-5)", "7")
    assert c_array(np.array([1, -2, -(2**31)])) == "    1, -2, (-2147483647 - 1),"
    assert c_array(np.array([2**40, -(2**31) - 1])) == "    1099511627776, -2147483649,"
    assert c_comment("*/\n??") == "* /\\n? ?"
    assert c_list("f(", ["a", "b"], ");") == "f(a, b);"
    assert tidy("a {\n\n\n b  \n\n\n}\n\n") == "a {\n b\n\n}\n"


def test_long_lists_wrap_below_the_line_width() -> None:
    lines = c_list("call(", [f"argument_{i}" for i in range(30)], ");").splitlines()
    assert len(lines) > 1 and max(len(line) for line in lines) <= 100


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("KWS ref.v2", "kws_ref_v2"),
        ("../My Model*/", "my_model"),
        ("9lives", "model_9lives"),
        ("ü", "model"),
        ("", "model"),
    ],
)
def test_identifiers(text: str, expected: str) -> None:
    assert c_identifier(text) == expected


def test_io_buffers_are_aligned_on_paper() -> None:
    assert io_layout([3, 20, 1]) == ([0, 16, 48], 49)
