"""What the encodings put in the place of a category, and that target encoding does not leak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from component_tables import make_context
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mle_star.engine import registry
from mle_star.engine.errors import InvalidInput
from mle_star.engine.plugins import ParamDict, Positions
from mle_star.engine.roles import Role
from mle_star.engine.table import Table
from mle_star.engine.task import TaskKind


def encode(
    key: str, values: list[str | None], y: np.ndarray | None = None, kind: TaskKind = "binary", **params: Any
) -> tuple[Table, Any]:
    component = registry.component("encode", key)
    assert component.fit_table is not None
    target = np.zeros(len(values), dtype=np.int64) if y is None else y
    chosen: ParamDict = {**component.defaults, **params}
    return component.fit_table(table_of(values), target, chosen, make_context(kind, len(values)))


def table_of(values: list[str | None]) -> Table:
    return Table(pd.DataFrame({"c": pd.Categorical(values)}), {"c": Role.CATEGORICAL})


def numbers_of(*values: float) -> Table:
    return Table(pd.DataFrame({"x": np.array(values)}), {"x": Role.NUMERIC})


def scale(key: str, table: Table, **params: Any) -> tuple[Table, Any]:
    component = registry.component("encode", key)
    assert component.fit_table is not None
    y = np.zeros(len(table.frame), dtype=np.int64)
    return component.fit_table(table, y, {**component.defaults, **params}, make_context("binary", len(y)))


def test_native_keeps_training_levels_and_makes_others_missing() -> None:
    trained, transform = encode("native", ["a", "b", "a", None])
    assert list(trained.frame["c"].cat.categories) == ["a", "b"]
    applied = transform.apply(table_of(["b", "new", None]))
    assert applied.frame["c"].astype(object).fillna("-").tolist() == ["b", "-", "-"]
    assert applied.roles["c"] is Role.CATEGORICAL


def test_ordinal_ranks_by_frequency_with_missing_and_unseen_below() -> None:
    trained, transform = encode("ordinal", ["often", "often", "often", "some", "some", "once", None])
    assert trained.frame["c"].tolist() == [2, 2, 2, 1, 1, 0, -1]
    assert transform.apply(table_of(["new", "often"])).frame["c"].tolist() == [-1, 2]
    assert trained.roles["c"] is Role.NUMERIC


def test_ordinal_by_name_knows_that_nine_is_before_ten() -> None:
    trained, _ = encode("ordinal", ["10", "9", "100"], by="name")
    assert trained.frame["c"].tolist() == [1, 0, 2]


def test_onehot_gives_frequent_levels_a_column_and_the_rest_one_together() -> None:
    values = ["a"] * 4 + ["b"] * 3 + ["x", "y", None]
    trained, transform = encode("onehot", values, min_count=2)
    assert list(trained.frame.columns) == ["c=a", "c=b", "c=<infrequent>", "c=<missing>"]
    assert (trained.frame.sum(axis=1) == 1).all()
    assert transform.apply(table_of(["new", None, "b"])).frame.to_numpy().tolist() == [
        [0, 0, 1, 0],
        [0, 0, 0, 1],
        [0, 1, 0, 0],
    ]
    assert set(trained.roles.values()) == {Role.BOOLEAN}


def test_onehot_needs_one_column_for_two_levels() -> None:
    trained, transform = encode("onehot", ["no", "yes", "no"], min_count=1)
    assert list(trained.frame.columns) == ["c=yes"]
    assert trained.frame["c=yes"].tolist() == [0, 1, 0]
    assert transform.apply(table_of(["new", None])).frame["c=yes"].tolist() == [0, 0]


def test_onehot_caps_the_number_of_levels() -> None:
    values = [f"v{number % 40}" for number in range(400)]
    trained, _ = encode("onehot", values, max_levels=7)
    assert trained.frame.shape[1] == 8


def test_target_mean_uses_all_training_rows_for_later_ones() -> None:
    values = ["a"] * 50 + ["b"] * 50
    y = np.array([1] * 40 + [0] * 10 + [0] * 50)
    _, transform = encode("target_mean", values, y, smoothing=10.0)
    applied = transform.apply(table_of(["a", "b", "new", None])).frame["c:mean"]
    np.testing.assert_allclose(applied, [(40 + 4) / 60, 4 / 60, 0.4, 0.4], rtol=1e-6)


@pytest.mark.parametrize("kind", ["binary", "regression", "multiclass"])
def test_target_mean_of_noise_tells_the_training_rows_nothing(kind: TaskKind) -> None:
    """3,000 rows in 1,000 levels: means that included the row itself would correlate with its target at about 0.6."""
    rng = np.random.default_rng(3)
    values = [f"v{code}" for code in rng.integers(0, 1000, 3000)]
    y = rng.normal(size=3000) if kind == "regression" else rng.integers(0, 3 if kind == "multiclass" else 2, 3000)
    trained, transform = encode("target_mean", values, y, kind, smoothing=1.0)
    reference = y if kind != "multiclass" else (y == 0)
    inside = np.corrcoef(trained.frame.iloc[:, 0], reference)[0, 1]
    in_sample = np.corrcoef(transform.apply(table_of(values)).frame.iloc[:, 0], reference)[0, 1]
    # Leaving rows out makes their level's mean slightly opposite to them, never alike.
    assert inside < 0.05
    assert in_sample > 0.4


def test_target_mean_of_a_real_effect_is_kept() -> None:
    rng = np.random.default_rng(4)
    codes = rng.integers(0, 50, 2000)
    y = rng.normal(size=50)[codes] + 0.1 * rng.normal(size=2000)
    trained, _ = encode("target_mean", [f"v{code}" for code in codes], y, "regression")
    assert np.corrcoef(trained.frame["c:mean"], y)[0, 1] > 0.9


def test_target_mean_respects_the_folds_it_is_given() -> None:
    """Rows that no inner fold holds out, as the oldest ones of a time split, get the prior: nothing of their own target."""
    component = registry.component("encode", "target_mean")
    assert component.fit_table is not None

    def inner_folds(n_folds: int) -> Sequence[Positions]:
        return [(np.arange(50), np.arange(50, 100))]

    values: list[str | None] = ["a", "b"] * 50
    y = np.array([1, 0] * 25 + [0, 1] * 25)
    context = replace(make_context("binary", 100), inner_folds=inner_folds)
    trained, _ = component.fit_table(table_of(values), y, {**component.defaults, "smoothing": 0.0}, context)
    assert trained.frame["c:mean"].tolist() == [0.5] * 50 + [1.0, 0.0] * 25


def test_target_mean_gives_each_class_a_column() -> None:
    trained, _ = encode("target_mean", ["a", "b", "c"] * 20, np.array([0, 1, 2] * 20), "multiclass")
    assert list(trained.frame.columns) == ["c:mean[low]", "c:mean[middle]", "c:mean[high]"]
    np.testing.assert_allclose(trained.frame.sum(axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("key", ["standard", "robust", "quantile", "minmax"])
def test_scaling_leaves_flags_alone_and_gaps_open(key: str) -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0, np.nan, 4.0], "flag": [0.0, 1.0, 1.0, np.nan]})
    trained, _ = scale(key, Table(frame, {"x": Role.NUMERIC, "flag": Role.BOOLEAN}))
    pd.testing.assert_series_equal(trained.frame["flag"], frame["flag"])
    assert trained.frame["x"].isna().tolist() == [False, False, True, False]
    assert trained.frame["x"].dropna().is_monotonic_increasing


def test_standard_gives_mean_zero_and_deviation_one_and_survives_constants() -> None:
    rng = np.random.default_rng(0)
    trained, _ = scale("standard", numbers_of(*rng.normal(1000, 50, 500)))
    assert trained.frame["x"].mean() == pytest.approx(0.0, abs=1e-5)
    assert trained.frame["x"].std(ddof=0) == pytest.approx(1.0, abs=1e-5)
    constant, _ = scale("standard", numbers_of(0.1, 0.1, 0.1))
    np.testing.assert_allclose(constant.frame["x"], 0.0, atol=1e-12)


def test_robust_levels_an_outlier_off() -> None:
    trained, transform = scale("robust", numbers_of(*np.linspace(-1, 1, 99), 1e9))
    assert trained.frame["x"].abs().max() <= 3.0
    unbounded, _ = scale("robust", numbers_of(*np.linspace(-1, 1, 99), 1e9), bound=0.0)
    assert unbounded.frame["x"].max() > 1e6
    assert transform.apply(numbers_of(0.0)).frame["x"].iloc[0] == pytest.approx(0.0, abs=0.05)


def test_quantile_makes_a_skewed_column_normal() -> None:
    values = np.exp(3 * np.random.default_rng(1).normal(size=2000))
    trained, _ = scale("quantile", numbers_of(*values))
    assert abs(float(trained.frame["x"].skew())) < 0.2


def test_piecewise_fills_bins_one_after_the_other_and_stops_at_the_ends() -> None:
    _, transform = scale("piecewise", numbers_of(*np.linspace(0.0, 100.0, 101)), bins=4)
    applied = transform.apply(numbers_of(-50.0, 0.0, 12.5, 60.0, 100.0, 1e6, np.nan)).frame
    assert list(applied.columns) == ["x from 0", "x from 25", "x from 50", "x from 75"]
    expected = [[0, 0, 0, 0], [0, 0, 0, 0], [0.5, 0, 0, 0], [1, 1, 0.4, 0], [1, 1, 1, 1], [1, 1, 1, 1], [np.nan] * 4]
    np.testing.assert_allclose(applied.to_numpy(), expected, rtol=1e-6)


def test_piecewise_spends_its_bins_where_values_differ() -> None:
    amounts = np.exp(np.random.default_rng(3).normal(size=100))
    trained, _ = scale("piecewise", numbers_of(*np.zeros(900), *amounts), bins=8)
    assert trained.frame.shape[1] >= 5


def test_piecewise_shares_its_room_among_all_numbers_there_are() -> None:
    frame = pd.DataFrame(np.random.default_rng(4).normal(size=(500, 100)), columns=[f"x{n}" for n in range(100)])
    trained, _ = scale("piecewise", Table(frame, dict.fromkeys(frame.columns, Role.NUMERIC)), bins=40)
    assert trained.frame.shape[1] <= 256


def test_piecewise_refuses_fewer_than_one_bin() -> None:
    with pytest.raises(InvalidInput, match="1 or more, got -1"):
        scale("piecewise", numbers_of(1.0, 2.0, 3.0), bins=-1)


def test_piecewise_keeps_a_number_of_two_values_standardised() -> None:
    trained, _ = scale("piecewise", numbers_of(*[3.0, 5.0] * 20))
    np.testing.assert_allclose(trained.frame["x"], [-1.0, 1.0] * 20, atol=1e-6)


@given(
    arrays(np.float64, st.integers(3, 60), elements=st.floats(allow_nan=True, allow_infinity=True)), st.integers(2, 12)
)
def test_piecewise_is_bounded_and_rises_with_the_number(values: np.ndarray, bins: int) -> None:
    trained, transform = scale("piecewise", numbers_of(*values), bins=bins)
    pd.testing.assert_frame_equal(transform.apply(numbers_of(*values)).frame, trained.frame)
    assert trained.frame.shape[1] <= bins
    known = np.isfinite(values)
    assert trained.frame[known].notna().all(axis=None)
    ordered = trained.frame[known].to_numpy()[np.argsort(values[known], kind="stable")]
    assert (np.diff(ordered, axis=0) >= 0).all()
    if list(trained.frame.columns) != ["x"]:
        assert ((ordered >= 0.0) & (ordered <= 1.0)).all()


def test_minmax_bounds_later_values() -> None:
    _, transform = scale("minmax", numbers_of(0.0, 10.0))
    assert transform.apply(numbers_of(-5.0, 5.0, 20.0)).frame["x"].tolist() == [0.0, 0.5, 1.0]
