"""Every operator, in every type it claims: the authority, the simulator and host C agree in every byte of drawn cases.

`python scripts/conformance.py` does the same with many more of them and writes docs/conformance.md.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance import CLAIMS, DRAWS, each_drawn, fixed
from tests.conformance.authority import authority
from tests.conformance.together import on_board, on_host
from tests.conformance.trial import Trial
from tests.firmware_fixture import require_tools
from tinyptq.board import load_board
from tinyptq.ops import OPS

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
