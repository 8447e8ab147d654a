"""Every operator in every type it claims, drawn by hypothesis and held to an authority that is not ours.

An operator's strategy is a function (draw, dtype) -> Single (or a whole Trial) in one of the families below. A type
that an operator newly claims is drawn by the same function; a new operator is one line in its family's DRAWS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st

from tests.conformance import elements, folded, moves, recurrent, sums
from tests.conformance.draws import Draw
from tests.conformance.trial import Single, Trial, make_trial
from tinyptq.errors import TinyptqError
from tinyptq.ops import BY_NAME, OPS

DRAWS: dict[str, Callable[[Draw, str], Single | Trial]] = {
    **moves.DRAWS,
    **elements.DRAWS,
    **sums.DRAWS,
    **recurrent.DRAWS,
    **folded.DRAWS,
}
CLAIMS = tuple(sorted((op.name, dtype) for op in OPS for dtype in op.dtypes))
# Drawn numbers may leave an accumulator or a shift that no 32-bit arithmetic holds; such a model is refused, rightly.
REFUSALS = ("accumulator-overflow", "scale-out-of-range", "division-by-zero")


@st.composite
def trials(draw: Any, name: str, dtype: str) -> Trial:
    """One operator on drawn integers of this type."""
    try:
        drawn = DRAWS[name](draw, dtype)
        return drawn if isinstance(drawn, Trial) else make_trial(BY_NAME[name], drawn)
    except TinyptqError as error:
        if error.reference not in REFUSALS:
            raise
        reject()


def each_drawn(name: str, dtype: str, count: int, body: Callable[[Trial], None]) -> None:
    """body on `count` trials, always the same ones; the first one it raises for is made as simple as possible."""

    @examples(count, Phase.shrink)
    @given(trials(name, dtype))
    def run(trial: Trial) -> None:
        body(trial)

    run()


def fixed(name: str, dtype: str, count: int, among: int = 12) -> list[Trial]:
    """The `count` trials with most integers among the first ones drawn."""
    drawn: list[Trial] = []
    each_drawn(name, dtype, among, drawn.append)
    return sorted(drawn, key=lambda trial: -sum(array.size for array in trial.inputs.values()))[:count]


def examples(count: int, *phases: Phase) -> settings:
    return settings(
        max_examples=count,
        phases=(Phase.generate, *phases),
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
