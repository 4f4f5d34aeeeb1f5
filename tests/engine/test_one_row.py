"""A single row is read in a quick way, which must give exactly what the general way gives."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mle_star.engine.columns import ColumnSpec, read_column
from mle_star.engine.one_row import read_cell
from mle_star.engine.roles import Role
from mle_star.engine.schema import Schema

ROLES = (Role.NUMERIC, Role.BOOLEAN, Role.DATETIME, Role.CATEGORICAL, Role.TEXT, Role.ID, Role.CONSTANT)
NUMBERS = "0 1 1.0 007 -0 +5 3,5 1e5 12345678901234567890 1.10 1_0 $5 -0.0"
DATES = "2024-02-30|2024-02-29|2024-02-29 12:30|2024-02-29T12:30:01"
WORDS = [
    *NUMBERS.split(),
    *DATES.split("|"),
    *["", "?", " ", "yes", "No", "TRUE", "nan", "NA", "inf", "é", "a b", "x "],
]
CELLS = (
    st.sampled_from(WORDS)
    | st.text(max_size=6)
    | st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats()
    | st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1))
)


@given(st.sampled_from(ROLES), CELLS, st.booleans(), st.booleans())
def test_the_quick_way_gives_what_the_general_way_gives(role: Role, cell: object, comma: bool, as_object: bool) -> None:
    column = pd.Series([cell], dtype=object) if as_object else pd.Series([cell])
    spec = ColumnSpec("x", role, decimal_comma=comma)
    quick = read_cell(spec, column.array[0])
    if quick is None:
        return
    expected, issues = read_column(spec, column)
    pd.testing.assert_series_equal(pd.Series(quick, name="x"), expected)
    assert {issue.code for issue in issues} <= {"missing_words"}


@pytest.mark.parametrize(
    ("role", "cell"),
    [
        (Role.NUMERIC, 1.5), (Role.NUMERIC, "1.5"), (Role.NUMERIC, np.int64(3)), (Role.NUMERIC, None), (Role.BOOLEAN, "Yes"),
        (Role.DATETIME, "2024-02-29"), (Role.DATETIME, pd.Timestamp("2024-02-29 10:00")), (Role.CATEGORICAL, "red"),
        (Role.CATEGORICAL, 3), (Role.CATEGORICAL, 3.0), (Role.CATEGORICAL, np.nan), (Role.TEXT, "some words"), (Role.ID, "a-1"),
    ],
)  # fmt: skip
def test_common_cells_are_read_in_the_quick_way(role: Role, cell: object) -> None:
    assert read_cell(ColumnSpec("x", role), cell) is not None


@pytest.mark.parametrize(("role", "cell"), [(Role.NUMERIC, "many"), (Role.BOOLEAN, "perhaps"), (Role.DATETIME, "soon")])
def test_what_cannot_be_read_is_still_reported(role: Role, cell: str) -> None:
    frame, warnings = Schema((ColumnSpec("x", role),)).apply(pd.DataFrame({"x": [cell]}))
    assert frame["x"].isna().all()
    assert len(warnings) == 1
    assert cell in warnings[0]
