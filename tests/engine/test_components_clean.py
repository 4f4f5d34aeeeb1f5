"""What cleaning leaves of a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from component_tables import make_context
from mle_star.engine import registry
from mle_star.engine.roles import Role
from mle_star.engine.table import Table


def clean(key: str, table: Table, **params: Any) -> tuple[Table, Any]:
    component = registry.component("clean", key)
    assert component.fit_table is not None
    y = np.zeros(len(table.frame), dtype=np.int64)
    return component.fit_table(table, y, {**component.defaults, **params}, make_context("binary", len(y)))


def table_of(roles: dict[str, Role], **columns: Any) -> Table:
    return Table(pd.DataFrame(columns), roles)


NUMBERS = {"x": Role.NUMERIC, "flag": Role.BOOLEAN, "c": Role.CATEGORICAL}


def gappy() -> Table:
    return table_of(
        NUMBERS,
        x=[1.0, 2.0, 9.0, np.nan],
        flag=[1.0, 1.0, 0.0, np.nan],
        c=pd.Categorical(["a", None, "b", "a"]),
    )


@pytest.mark.parametrize(("key", "value"), [("impute_median", 2.0), ("impute_mean", 4.0), ("impute_constant", 0.0)])
def test_gaps_are_filled_from_the_training_rows(key: str, value: float) -> None:
    trained, transform = clean(key, gappy())
    assert trained.frame["x"].tolist() == [1.0, 2.0, 9.0, value]
    assert trained.frame["flag"].tolist() == [1.0, 1.0, 0.0, 1.0]
    later = table_of(NUMBERS, x=[np.nan], flag=[np.nan], c=pd.Categorical([None], categories=["a"]))
    assert transform.apply(later).frame["x"].tolist() == [value]


def test_a_constant_lies_below_all_training_values() -> None:
    trained, _ = clean("impute_constant", table_of({"x": Role.NUMERIC}, x=[-5.0, 15.0, np.nan]))
    assert trained.frame["x"].tolist() == [-5.0, 15.0, -7.0]


def test_indicators_mark_what_was_missing() -> None:
    trained, transform = clean("impute_median", gappy(), indicator=True)
    assert trained.frame["x is missing"].tolist() == [0, 0, 0, 1]
    assert trained.roles["x is missing"] is Role.BOOLEAN
    assert list(transform.apply(gappy().take(np.array([0]))).frame.columns) == list(trained.frame.columns)


def test_categories_can_get_a_level_for_missing_and_unseen() -> None:
    trained, transform = clean("impute_median", gappy(), categories=True)
    assert trained.frame["c"].tolist() == ["a", "missing", "b", "a"]
    later = table_of(NUMBERS, x=[1.0], flag=[1.0], c=pd.Categorical(["new"]))
    assert transform.apply(later).frame["c"].tolist() == ["missing"]


def test_outliers_are_clipped_by_quantile_or_quartiles() -> None:
    table = table_of({"x": Role.NUMERIC}, x=[*np.linspace(0.0, 1.0, 999), 1000.0])
    by_quantile, _ = clean("clip_outliers", table, tail=0.01)
    assert by_quantile.frame["x"].max() < 1.0
    by_quartile, transform = clean("clip_outliers", table, method="iqr", factor=3.0)
    assert 1.5 < by_quartile.frame["x"].max() < 3.0
    assert transform.apply(table_of({"x": Role.NUMERIC}, x=[np.nan, -1e9])).frame["x"].isna().tolist() == [True, False]


def test_a_column_that_is_mostly_one_value_is_not_clipped_flat() -> None:
    table = table_of({"x": Role.NUMERIC}, x=[0.0] * 95 + [1.0, 2.0, 3.0, 4.0, 5.0])
    trained, _ = clean("clip_outliers", table, method="iqr", factor=3.0)
    assert trained.frame["x"].max() == 5.0


def test_rare_levels_join_and_unseen_ones_too() -> None:
    table = table_of({"c": Role.CATEGORICAL}, c=pd.Categorical(["a"] * 5 + ["b"] * 2 + ["c", None]))
    trained, transform = clean("rare_levels", table, min_count=3)
    assert trained.frame["c"].astype(object).fillna("-").tolist() == ["a"] * 5 + ["rare"] * 3 + ["-"]
    later = table_of({"c": Role.CATEGORICAL}, c=pd.Categorical(["new", "a"]))
    assert transform.apply(later).frame["c"].tolist() == ["rare", "a"]


def test_constant_columns_go_and_a_gap_is_a_value() -> None:
    columns: dict[str, Any] = {
        "one": [1.0] * 10,
        "empty": [np.nan] * 10,
        "gap": [1.0] * 9 + [np.nan],
        "level": pd.Categorical(["a"] * 10, categories=["a", "b"]),
        "varied": np.arange(10.0),
    }
    roles = {name: Role.CATEGORICAL if name == "level" else Role.NUMERIC for name in columns}
    trained, _ = clean("drop_constant", table_of(roles, **columns))
    assert list(trained.frame.columns) == ["gap", "varied"]
    nearly, _ = clean("drop_constant", table_of(roles, **columns), share=0.9)
    assert list(nearly.frame.columns) == ["varied"]


def test_repeated_columns_go_also_when_only_the_labels_differ() -> None:
    columns: dict[str, Any] = {
        "x": [1.0, np.nan, -0.0],
        "again": np.array([1.0, np.nan, 0.0], dtype=np.float32),
        "other": [1.0, 2.0, 0.0],
        "code": pd.Categorical(["1", "2", "1"]),
        "name": pd.Categorical(["one", "two", "one"]),
        "t": pd.Series(["p", "q", "r"], dtype="str"),
        "u": pd.Series(["s", "t", "u"], dtype="str"),
    }
    kinds = [Role.NUMERIC] * 3 + [Role.CATEGORICAL] * 2 + [Role.TEXT] * 2
    trained, _ = clean("drop_duplicate_columns", table_of(dict(zip(columns, kinds, strict=True)), **columns))
    assert list(trained.frame.columns) == ["x", "other", "code", "t", "u"]


def test_iterative_imputation_uses_the_other_columns() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    y = 2.0 * x + 0.01 * rng.normal(size=300)
    hidden = np.where(np.arange(300) % 5 == 0, np.nan, y)
    table = table_of({"x": Role.NUMERIC, "y": Role.NUMERIC}, x=x, y=hidden)
    trained, transform = clean("impute_iterative", table)
    np.testing.assert_allclose(trained.frame["y"], y, atol=0.2)
    np.testing.assert_allclose(transform.apply(table).frame["y"], y, atol=0.2)
