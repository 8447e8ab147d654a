"""Tables: where entries lie, the exported operators, and quantizations that no table can have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.exhaustive import ALL_BYTES
from tinyptq.errors import TinyptqError
from tinyptq.graph import QParams
from tinyptq.ops import BY_NAME
from tinyptq.ops.base import Operand
from tinyptq.ops.lookup import TableInt, gather_codes, look_up, tabulate

UNARY = "leaky_relu elu gelu silu hard_swish abs neg square sqrt rsqrt exp log".split()
per_tensor = QParams.per_tensor
SHAPE = (1, 256)


def lowered(name: str, source: Operand, result: QParams) -> Any:
    return BY_NAME[name].lower(BY_NAME[name].attrs(), (source,), (Operand(SHAPE, result),))


def test_entries_lie_at_unsigned_bytes() -> None:
    table = tabulate(lambda x: x // 2)
    assert table[[0, 127, 128, 255]].tolist() == [0, 63, -64, -1]
    assert look_up(table, np.int8([[-128, -1, 127]])).tolist() == [[-64, -1, 63]]


def test_the_exported_table_starts_at_the_lowest_input() -> None:
    cast, add, gather = gather_codes(TableInt(SHAPE, "int8", tabulate(lambda x: x)))
    assert (cast.builtin, add.builtin, gather.builtin) == ("CAST", "ADD", "GATHER")
    assert add.operands[0].tolist() == [128]
    assert gather.leading[0].tolist() == list(range(-128, 128))


@pytest.mark.parametrize("name", UNARY)
def test_quantizations_that_mean_nothing_are_refused(name: str) -> None:
    sound = Operand(SHAPE, per_tensor(0.1))
    for source in (
        replace(sound, qparams=per_tensor(0.0)),
        replace(sound, qparams=per_tensor(0.1, 128)),
        replace(sound, qparams=per_tensor(0.1, -(2**31))),
    ):
        with pytest.raises(TinyptqError, match="with zero point"):
            lowered(name, source, per_tensor(0.1))
    with pytest.raises(TinyptqError, match=r"integers of type int16, only int8|beside int16|with zero point"):
        lowered(name, replace(sound, dtype=np.dtype(np.int16)), per_tensor(0.1))


@settings(deadline=None, max_examples=150)
@given(
    name=st.sampled_from(UNARY),
    exponents=st.tuples(st.integers(-126, 126), st.integers(-126, 126)),
    zero_points=st.tuples(st.sampled_from([-128, 0, 127]), st.sampled_from([-128, 0, 127])),
)
def test_any_scales_give_a_table_or_a_sentence(
    name: str, exponents: tuple[int, int], zero_points: tuple[int, int]
) -> None:
    source, result = (per_tensor(2.0**e, z) for e, z in zip(exponents, zero_points, strict=True))
    refusal = None
    try:
        params = lowered(name, Operand(SHAPE, source), result)
        y = BY_NAME[name].run_int(params, ALL_BYTES.reshape(SHAPE))
    except TinyptqError as error:
        refusal = error.reference
    else:
        assert y.dtype == np.int8 and y.shape == SHAPE
    assert refusal in (None, "scale-out-of-range")
