"""What the feature components make of dates, texts, ids, numbers and categories, and what selection keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from component_tables import make_context
from mle_star.engine import registry
from mle_star.engine.roles import Role
from mle_star.engine.solution import Slot
from mle_star.engine.table import Table
from mle_star.engine.task import TaskKind


def fit(
    slot: Slot, key: str, table: Table, y: np.ndarray | None = None, kind: TaskKind = "regression", **params: Any
) -> tuple[Table, Any]:
    component = registry.component(slot, key)
    assert component.fit_table is not None
    target = np.zeros(len(table.frame)) if y is None else y
    return component.fit_table(table, target, {**component.defaults, **params}, make_context(kind, len(target)))


def one(role: Role, values: Any) -> Table:
    return Table(pd.DataFrame({"v": values}), {"v": role})


def dates(*texts: str | None) -> Table:
    return one(
        Role.DATETIME, pd.to_datetime(pd.Series(texts, dtype="object"), format="ISO8601").astype("datetime64[us]")
    )


def numbers(**columns: Any) -> Table:
    return Table(pd.DataFrame(columns), dict.fromkeys(columns, Role.NUMERIC))


def test_date_parts_replace_the_date_and_leave_out_what_never_varies() -> None:
    trained, transform = fit("features", "date_parts", dates("2020-03-01", "2021-03-03", None))
    assert list(trained.frame.columns) == ["v:days", "v:year", "v:day", "v:day_of_year", "v:day_of_week"]
    later = transform.apply(dates("2020-03-02T12:00:00")).frame.iloc[0]
    assert later.tolist() == [1.5, 2020, 2, 62, 0]
    assert trained.frame.iloc[2].isna().all()


def test_cycles_put_december_next_to_january_and_keep_the_date() -> None:
    trained, _ = fit("features", "date_cycles", dates("2021-12-31", "2021-01-01", "2021-07-01"))
    circle = trained.frame[["v:sin of year", "v:cos of year"]].to_numpy()
    assert np.linalg.norm(circle[0] - circle[1]) < 0.1
    assert np.linalg.norm(circle[0] - circle[2]) > 1.9
    assert trained.roles["v"] is Role.DATETIME


COUNTS = ["v:words", "v:characters", "v:digits", "v:capitals", "v:signs"]


def test_texts_on_one_subject_lie_together() -> None:
    animals, cars = "the cat and the dog eat", "engine wheel and brake oil"
    texts = pd.Series([animals, cars] * 20 + [np.nan], dtype="str")
    trained, transform = fit("features", "text_tfidf", one(Role.TEXT, texts), n_components=2)
    assert list(trained.frame.columns) == [*COUNTS, "v:topic0", "v:topic1"]
    topics = transform.apply(one(Role.TEXT, pd.Series(["dog and cat", "wheel of an engine", "cat"], dtype="str"))).frame
    cat_dog, wheel, cat = topics[["v:topic0", "v:topic1"]].to_numpy()
    assert np.dot(cat_dog, cat) > 5 * abs(np.dot(wheel, cat))
    assert trained.frame["v:words"].iloc[-1] == 0


def test_a_text_column_without_words_still_goes() -> None:
    texts = pd.Series([np.nan, "!!", "?"], dtype="str")
    trained, _ = fit("features", "text_tfidf", one(Role.TEXT, texts))
    assert list(trained.frame.columns) == COUNTS


def test_texts_are_counted_and_their_frequent_terms_shown() -> None:
    texts = pd.Series(["Oil on canvas, 12 x 7", "oil on wood", "pencil on paper", np.nan] * 10, dtype="str")
    trained, transform = fit("features", "text_tfidf", one(Role.TEXT, texts), n_terms=2)
    assert trained.frame[COUNTS].iloc[[0, 3]].to_numpy().tolist() == [[6.0, 21.0, 3.0, 1.0, 1.0], [0.0] * 5]
    assert trained.frame["v:on"].iloc[:4].tolist() == [1.0, 1.0, 1.0, 0.0]
    assert trained.frame["v:oil"].iloc[:4].tolist() == [1.0, 1.0, 0.0, 0.0]
    assert "v:wood" not in trained.frame
    later = transform.apply(one(Role.TEXT, pd.Series(["Oil, unseen"], dtype="str"))).frame
    assert later[["v:on", "v:oil", "v:words"]].to_numpy().tolist() == [[0.0, 1.0, 2.0]]


def test_pieces_of_words_are_left_out_of_a_column_with_too_many_characters() -> None:
    long = pd.Series(["some words " * 2_000 + str(number % 7) for number in range(100)], dtype="str")
    names = [
        fit("features", "text_tfidf", one(Role.TEXT, texts), analyzer="both")[0].frame.columns
        for texts in (long, long.str[-200:])
    ]
    assert [any(name.startswith("v:pieces") for name in found) for found in names] == [False, True]


def test_frequencies_count_training_rows_only() -> None:
    table = one(Role.CATEGORICAL, pd.Categorical(["a", "a", "b", None], categories=["a", "b", "elsewhere"]))
    _, transform = fit("features", "frequency_counts", table)
    later = transform.apply(one(Role.CATEGORICAL, pd.Categorical(["a", "b", None, "elsewhere"])))
    np.testing.assert_allclose(np.expm1(later.frame["v:frequency"]), [2, 1, 1, 0], rtol=1e-5)


def test_ids_with_a_number_become_numeric_and_others_stay() -> None:
    trained, transform = fit("features", "keep_ids", one(Role.ID, pd.Categorical(["C-007", "C-012"])))
    assert trained.frame["v:number"].tolist() == [7.0, 12.0]
    assert transform.apply(one(Role.ID, pd.Categorical(["none", "X99"]))).frame["v:number"].fillna(-1).tolist() == [
        -1,
        99,
    ]
    untouched, _ = fit("features", "keep_ids", one(Role.ID, pd.Categorical(["abc", "xyz"])))
    assert untouched.roles == {"v": Role.ID}


def test_pairs_are_made_of_the_columns_that_tell_most() -> None:
    rng = np.random.default_rng(0)
    table = numbers(noise=rng.normal(size=500), a=rng.normal(size=500), b=rng.normal(size=500))
    y = table.frame["a"].to_numpy() + table.frame["b"].to_numpy()
    for key, sign, expected in (("pair_products", "×", np.multiply), ("pair_ratios", "÷", np.divide)):
        trained, _ = fit("features", key, table, y, n_columns=2)
        (added,) = [name for name in trained.frame.columns if name not in table.frame.columns]
        left, right = added.split(f" {sign} ")
        assert {left, right} == {"a", "b"}
        np.testing.assert_allclose(trained.frame[added], expected(table.frame[left], table.frame[right]), rtol=1e-4)


def test_a_ratio_over_zero_is_missing() -> None:
    trained, _ = fit("features", "pair_ratios", numbers(a=[1.0, 2.0, 3.0], b=[0.0, 0.0, 0.0]), n_columns=2)
    ratios = trained.frame.iloc[:, 2]
    assert np.isinf(ratios).sum() == 0
    assert ratios.isna().all() or (ratios == 0).all()


def test_group_aggregates_compare_with_the_training_rows_of_the_group() -> None:
    frame = pd.DataFrame({"x": [1.0, 3.0, 10.0, 20.0], "g": pd.Categorical(["p", "p", "q", "q"])})
    roles = {"x": Role.NUMERIC, "g": Role.CATEGORICAL}
    _, transform = fit("features", "group_aggregates", Table(frame, roles), np.arange(4.0))
    later = Table(pd.DataFrame({"x": [5.0, 5.0, 5.0], "g": pd.Categorical(["p", "q", "new"])}), roles)
    applied = transform.apply(later).frame
    assert applied["x mean by g"].tolist() == [2.0, 15.0, 8.5]
    assert applied["x minus mean by g"].tolist() == [3.0, -10.0, -3.5]
    assert applied["x deviation by g"].tolist()[:2] == [1.0, 5.0]


def test_crosses_tell_combinations_apart() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, 400), rng.integers(0, 2, 400)
    frame = pd.DataFrame({"a": pd.Categorical(a.astype(str)), "b": pd.Categorical(b.astype(str))})
    table = Table(frame, dict.fromkeys(frame.columns, Role.CATEGORICAL))
    trained, _ = fit("features", "category_pairs", table, a ^ b, "binary")
    cross = trained.frame.iloc[:, 2].cat.codes.to_numpy()
    means = [(a ^ b)[cross == code].mean() for code in range(4)]
    assert sorted(means) == [0.0, 0.0, 1.0, 1.0]


# --- selection --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wide() -> tuple[Table, np.ndarray]:
    """A strong number, a strong category, a copy of the number and eight columns of noise."""
    rng = np.random.default_rng(1)
    n_rows = 800
    strong, level = rng.normal(size=n_rows), rng.integers(0, 4, n_rows)
    frame = pd.DataFrame(rng.normal(size=(n_rows, 8)), columns=[f"noise{i}" for i in range(8)])
    frame["strong"] = strong
    frame["nearly strong"] = strong + 0.01 * rng.normal(size=n_rows)
    frame["flat"] = 1.0
    frame["level"] = pd.Categorical(level.astype(str))
    roles = {name: Role.CATEGORICAL if name == "level" else Role.NUMERIC for name in frame.columns}
    return Table(frame, roles), 2 * strong + level + 0.1 * rng.normal(size=n_rows)


def test_variance_correlation_drops_flat_and_repeated_numbers(wide: tuple[Table, np.ndarray]) -> None:
    kept = fit("select", "variance_correlation", *wide)[0].frame.columns
    assert "flat" not in kept
    assert len({"strong", "nearly strong"} & set(kept)) == 1
    assert len(kept) == 10


@pytest.mark.parametrize(("key", "share"), [("mutual_information", 0.25), ("model_importance", 0.8)])
def test_what_matters_is_kept_and_noise_goes(key: str, share: float, wide: tuple[Table, np.ndarray]) -> None:
    kept = set(fit("select", key, *wide, share=share)[0].frame.columns)
    assert "level" in kept
    assert kept & {"strong", "nearly strong"}
    assert len(kept) <= 4


def test_a_constant_target_selects_something(wide: tuple[Table, np.ndarray]) -> None:
    table, y = wide
    for key in registry.components("select"):
        assert fit("select", key, table, np.ones(len(y)))[0].frame.shape[1] >= 3


def test_pca_needs_one_component_for_one_direction() -> None:
    x = np.random.default_rng(0).normal(size=300)
    trained, transform = fit("select", "pca", numbers(a=x, b=2 * x + 1, c=-x))
    assert list(trained.frame.columns) == ["component0"]
    assert transform.apply(numbers(a=[np.nan], b=[np.nan], c=[np.nan])).frame["component0"].tolist() == [0.0]
