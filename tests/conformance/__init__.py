"""Every operator in every type it claims, drawn by hypothesis and held to an authority that is not ours.

An operator's strategy is a function (draw, dtype) -> Single (or a whole Trial) in one of the families below. A type
that an operator newly claims is drawn by the same function; a new operator is one line in its family's DRAWS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import reject
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
