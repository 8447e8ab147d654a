"""Every operator, in every type it claims: the authority, the simulator and host C agree in every byte of drawn cases.

`python scripts/conformance.py` does the same with many more of them and writes docs/conformance.md.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.conformance import CLAIMS, DRAWS, each_drawn, fixed
from tests.conformance.authority import REFUSED, authority, by_tflm
from tests.conformance.folded import imported
from tests.conformance.together import on_board, on_host
from tests.conformance.trial import Trial, make_trial
from tests.firmware_fixture import require_tools
from tinyptq.board import load_board
from tinyptq.errors import TinyptqError
from tinyptq.graph import QParams
from tinyptq.ops import BY_NAME, OPS

EXAMPLES, COMPILED = 30, 8
PER_BOARD = 2


def test_no_operator_is_left_out() -> None:
    assert sorted(DRAWS) == sorted(op.name for op in OPS)


@pytest.mark.parametrize(("name", "dtype"), CLAIMS)
def test_every_byte(name: str, dtype: str, tmp_path: Path) -> None:
    pytest.importorskip("tflite_micro")
    drawn: list[Trial] = []

    def agrees(trial: Trial) -> None:
        drawn.append(trial)
        assert authority(name, dtype).judge(trial) == 0

    each_drawn(name, dtype, EXAMPLES, agrees)
    comparison = on_host(drawn[-COMPILED:], tmp_path)
    assert comparison.equal, "\n".join(map(str, comparison.mismatches))


@pytest.mark.parametrize("blocks", [False, True], ids=["whole", "blocks"])
@pytest.mark.parametrize("name", ["cortex-m55", "cortex-m4", "cortex-m0", "riscv32"])
def test_every_operator_on_every_isa(name: str, blocks: bool, tmp_path: Path) -> None:
    """Two drawn cases of each operator and type in one firmware, traced layer by layer."""
    board = load_board(name)
    require_tools(board)
    chosen = [trial for claim in CLAIMS for trial in fixed(*claim, PER_BOARD)]
    comparison = on_board(chosen, board, tmp_path, blocks)
    assert comparison.equal, "\n".join(map(str, comparison.mismatches))
    assert comparison.layers >= PER_BOARD * len(CLAIMS)


@pytest.mark.parametrize(("name", "dtype"), sorted(REFUSED))
def test_what_tflite_micro_refuses(name: str, dtype: str) -> None:
    """Once it computes one of these, it is the authority."""
    pytest.importorskip("tflite_micro")
    (trial,) = fixed(name, dtype, 1, among=2)
    with pytest.raises((TinyptqError, RuntimeError)):
        by_tflm(trial)


def test_concatenations_of_unequal_scales_are_refused() -> None:
    """What the file says then is computed here with a QUANTIZE before the input that differs."""
    pytest.importorskip("tflite_micro")
    (trial,) = fixed("concatenation", "int8", 1)
    single = trial.single
    assert single is not None and len(single.operands) > 1
    first = replace(single.operands[0], qparams=QParams.per_tensor(0.7, 3))
    unequal = make_trial(BY_NAME["concatenation"], replace(single, operands=(first, *single.operands[1:])))
    with pytest.raises((TinyptqError, RuntimeError)):
        by_tflm(unequal)
    assert [layer.op for layer in imported(unequal.model).layers].count("quantize") >= 1
