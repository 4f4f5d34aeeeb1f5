"""The adapter: a few rows are taken all columns at once, more of them one column after the other, to the same values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from component_tables import make_table
from mle_star.engine.adapter import Adapter
from mle_star.engine.plugins import Needs
from mle_star.engine.roles import Role


@pytest.mark.parametrize("no_missing", [True, False])
@pytest.mark.parametrize("categories", [True, False])
def test_a_few_rows_get_the_values_they_get_among_many(no_missing: bool, categories: bool) -> None:
    table = make_table(400)
    if not categories:
        table = table.drop(table.columns(Role.CATEGORICAL))
    frame = table.frame.copy()
    frame["a"] = frame["a"].where(frame.index % 7 > 0, 1e300)
    frame["b"] = frame["b"].where(frame.index % 5 > 0, -np.inf).astype(np.float32)
    table = table.replace(frame)
    adapter = Adapter.fit(table, Needs(numeric_only=categories, no_missing=no_missing))
    assert {column.role for column in adapter.columns} >= {Role.NUMERIC, Role.BOOLEAN, Role.DATETIME}
    assert any(column.role is Role.CATEGORICAL for column in adapter.columns) is categories
    many = adapter.apply(table)
    for rows in (slice(0, 1), slice(17, 60), slice(300, 400)):
        few = adapter.apply(table.take(np.arange(400)[rows]))
        pd.testing.assert_frame_equal(few, many.iloc[rows], check_exact=True)
    values = many.to_numpy()
    assert np.isfinite(values).all() == no_missing
    assert np.abs(values[np.isfinite(values)]).max() == np.finfo(np.float32).max


def test_a_column_that_is_gone_is_no_other_one_however_few_the_rows() -> None:
    table = make_table(400)
    adapter = Adapter.fit(table, Needs(numeric_only=True, no_missing=True))
    without = table.drop(["a"])
    for n_rows in (1, 400):
        with pytest.raises(KeyError, match="a"):
            adapter.apply(without.take(np.arange(n_rows)))
