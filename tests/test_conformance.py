"""Every operator, in every type it claims: the authority, the simulator and host C agree in every byte of drawn cases.

`python scripts/conformance.py` does the same with many more of them and writes docs/conformance.md.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.conformance import CLAIMS, DRAWS, trials
from tests.conformance.authority import authority
from tests.conformance.together import on_host
from tests.conformance.trial import Trial
from tinyptq.ops import OPS

EXAMPLES = 25
COMPILED = 6
SETTINGS = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


def test_no_operator_is_left_out() -> None:
    assert sorted(DRAWS) == sorted(op.name for op in OPS)


@pytest.mark.parametrize(("name", "dtype"), CLAIMS)
def test_every_byte(name: str, dtype: str, tmp_path: Path) -> None:
    pytest.importorskip("tflite_micro")
    drawn: list[Trial] = []

    @SETTINGS
    @given(trials(name, dtype))
    def agrees(trial: Trial) -> None:
        drawn.append(trial)
        assert authority(name, dtype).judge(trial) == 0

    agrees()
    comparison = on_host(drawn[-COMPILED:], tmp_path)
    assert comparison.equal, "\n".join(map(str, comparison.mismatches))
