"""How far a forest trusts single rows: shrinkage of trees, and the choice of its strength on rows small forests did not see."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from component_tables import full_shape
from hypothesis import given, settings
from hypothesis import strategies as st
from mle_star.engine import registry
from mle_star.engine.deadline import Deadline
from mle_star.engine.models import _smoothing
from mle_star.engine.models._forests import forest_defaults
from mle_star.engine.models._smoothing import STRENGTHS, Smoothing, choose_smoothing, smooth
from mle_star.engine.plugins import Positions, TrainingData
from mle_star.engine.task import TaskKind, resolve_metric
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

UNTOLD = Smoothing(7, 5.0)


def training_data(
    y: np.ndarray, X: np.ndarray, kind: TaskKind = "binary", groups: np.ndarray | None = None
) -> TrainingData:
    """Rows with inner folds: every fifth row, or whole groups."""

    def folds(n: int) -> list[Positions]:
        fold_of = (np.arange(len(y)) if groups is None else groups) % n
        return [(np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)) for fold in range(n)]

    metric = resolve_metric({"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}[kind], kind)
    frame = pd.DataFrame(X.astype(np.float32), columns=[f"f{number}" for number in range(X.shape[1])])
    n_classes = 0 if kind == "regression" else len(np.unique(y))
    return TrainingData(frame, y, None, kind, n_classes, metric, {}, 0, 2, Deadline(60), inner_folds=folds)


def extra_trees(leaf_rows: int) -> Any:
    return ExtraTreesClassifier(min_samples_leaf=leaf_rows, random_state=0)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1_000), strength=st.floats(0.01, 1_000.0))
def test_shrunk_leaves_lie_between_the_values_on_their_way_and_chances_stay_chances(seed: int, strength: float) -> None:
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(80, 3)), rng.integers(0, 3, 80)
    tree = DecisionTreeClassifier(random_state=0).fit(X, y).tree_
    before, paths = tree.value[:, 0].copy(), tree.decision_path(X.astype(np.float32)).toarray().astype(bool)
    smooth([tree], strength)
    shrunk = tree.value[tree.apply(X.astype(np.float32)), 0]
    assert shrunk.sum(axis=1) == pytest.approx(1.0)
    for path, value in zip(paths, shrunk, strict=True):
        assert (value >= before[path].min(axis=0) - 1e-9).all()
        assert (value <= before[path].max(axis=0) + 1e-9).all()


def test_shrinkage_of_nothing_changes_nothing_and_a_very_strong_one_leaves_the_mean() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 2)), rng.normal(size=60)
    fitted = DecisionTreeRegressor(random_state=0).fit(X, y)
    smooth([fitted.tree_], 0.0)
    assert fitted.predict(X) == pytest.approx(y)
    smooth([fitted.tree_], 1e12)
    assert fitted.predict(X) == pytest.approx(np.full(60, y.mean()))


def test_a_step_from_parent_to_child_is_divided_by_one_plus_the_strength_over_the_parents_rows() -> None:
    X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 0.0, 4.0, 8.0])
    fitted = DecisionTreeRegressor(random_state=0).fit(X, y)
    smooth([fitted.tree_], 2.0)
    # Root 3 of four rows, then 0 and 6 of two rows each, then 4 and 8.
    right = 3.0 + (6.0 - 3.0) / 1.5
    assert fitted.predict(X) == pytest.approx([3.0 - 3.0 / 1.5] * 2 + [right - 2.0 / 2.0, right + 2.0 / 2.0])


def test_trees_shrunk_together_are_shrunk_as_if_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 3)), rng.integers(0, 2, 200)
    alone, together, few = (extra_trees(1).fit(X, y) for _ in range(3))
    for estimator in alone.estimators_:
        smooth([estimator.tree_], 4.0)
    smooth([estimator.tree_ for estimator in together.estimators_], 4.0)
    monkeypatch.setattr(_smoothing, "_VALUES_AT_ONCE", 500)
    smooth([estimator.tree_ for estimator in few.estimators_], 4.0)
    assert np.array_equal(alone.predict_proba(X), together.predict_proba(X))
    assert np.array_equal(alone.predict_proba(X), few.predict_proba(X))


def chosen(data: TrainingData, leaves: tuple[int, ...] = (1, 16)) -> Smoothing:
    """What small forests say, with all the time they want."""
    kind = ExtraTreesRegressor if data.kind == "regression" else ExtraTreesClassifier
    smoothing, shortened = choose_smoothing(
        lambda rows: kind(min_samples_leaf=rows, max_leaf_nodes=15_000, random_state=0), data, leaves, STRENGTHS, UNTOLD
    )
    assert not shortened
    return smoothing


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_rows_without_noise_are_trusted_and_noisy_ones_are_not(kind: TaskKind, weighted: bool) -> None:
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(3_000, 3))
    wave = np.sin(6 * X[:, 0]) * np.cos(6 * X[:, 1])
    noise = rng.normal(size=3_000)

    def target(values: np.ndarray) -> np.ndarray:
        cuts = {"binary": [0.0], "multiclass": [-0.3, 0.3]}
        return values if kind == "regression" else np.digitize(values, cuts[kind])

    weight = rng.uniform(0.5, 1.5, 3_000) if weighted else None
    clean = chosen(replace(training_data(target(wave), X, kind), weight=weight))
    assert clean.leaf_rows == 1
    assert clean.strength < 30.0
    noisy = chosen(replace(training_data(target(0.2 * X[:, 0] + noise), X, kind), weight=weight))
    assert noisy.leaf_rows == 16 or noisy.strength >= 30.0


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_a_strength_that_is_given_leaves_the_leaf_to_be_chosen(strength: float) -> None:
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(3_000, 3))
    noisy = (rng.uniform(size=3_000) < 0.5 + 0.2 * X[:, 0]).astype(int)
    told, _ = choose_smoothing(extra_trees, training_data(noisy, X), (1, 16), (strength,), UNTOLD)
    assert told == Smoothing(16, strength)


def test_the_choice_is_made_on_rows_of_other_groups() -> None:
    """Rows of a group are alike and have the same class, mostly by chance: trusting them pays only where the groups are mixed."""
    rng = np.random.default_rng(0)
    groups, centre = np.repeat(np.arange(300), 6), rng.normal(size=(300, 3))
    X = centre[groups] + 0.01 * rng.normal(size=(1_800, 3))
    y = (rng.uniform(size=300) < 0.5 + 0.15 * centre[:, 0]).astype(int)[groups]
    mixed, apart = chosen(training_data(y, X)), chosen(training_data(y, X, groups=groups))
    assert (mixed.leaf_rows, mixed.strength) == (1, 0.0)
    assert apart.leaf_rows == 16 or apart.strength >= 30.0


def test_of_many_rows_a_sample_keeps_the_rare_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_smoothing, "_ROWS_AT_MOST", 200)
    rng = np.random.default_rng(0)
    y = (np.arange(5_000) % 49 == 0).astype(int)
    pairs = list(_smoothing._pairs(training_data(y, rng.normal(size=(5_000, 2)))))
    assert len(pairs) == 3
    for fit, held in pairs:
        assert not set(fit) & set(held)
        assert y[fit].sum() == 50
        assert y[held].sum() in (20, 21)
        assert len(held) <= 300


def test_without_inner_folds_there_is_no_choice_and_without_time_it_says_so() -> None:
    rng = np.random.default_rng(0)
    data = training_data(rng.integers(0, 2, 100), rng.normal(size=(100, 2)))
    assert chosen(replace(data, inner_folds=None)) == UNTOLD
    assert chosen(replace(data, inner_folds=lambda n: [])) == UNTOLD
    late = choose_smoothing(extra_trees, replace(data, deadline=Deadline(0)), (1, 16), STRENGTHS, UNTOLD)
    assert late == (UNTOLD, True)


def test_a_part_that_lacks_a_class_has_no_say() -> None:
    data = training_data(np.repeat([0, 1], 50), np.random.default_rng(0).normal(size=(100, 2)))
    halves = [(np.arange(50), np.arange(50, 100)), (np.arange(100), np.arange(50))]
    assert chosen(replace(data, inner_folds=lambda n: halves)) == UNTOLD


@pytest.mark.parametrize("noise", [0.0, 0.35])
@pytest.mark.parametrize("key", ["extra_trees", "random_forest"])
def test_a_forest_that_chooses_is_as_good_as_the_better_of_small_and_large_leaves(key: str, noise: float) -> None:
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(13_000, 4))
    y = ((np.sin(6 * X[:, 0]) * np.cos(6 * X[:, 1]) > 0) ^ (rng.uniform(size=13_000) < noise)).astype(np.int64)
    data, model = training_data(y[:3_000], X[:3_000]), registry.model(key)
    new = pd.DataFrame(X[3_000:].astype(np.float32), columns=data.X.columns)

    def score(leaf_rows: int | None, shrinkage: float | None) -> float:
        asked = {"min_samples_leaf": leaf_rows, "shrinkage": shrinkage}
        params = {"n_estimators": 60, "max_features": 0.5, "max_leaf_nodes": 15_000, **asked}
        fitted = model.fit(replace(data, params=params))
        return data.metric.score(y[3_000:], fitted.predict(new))

    small, large = score(1, 0.0), score(16, 0.0)
    assert abs(small - large) > 0.001
    assert score(None, None) > max(small, large) - 0.005


@pytest.mark.parametrize(
    ("n_rows", "n_classes", "trees"),
    [(500, 2, 300), (6_000, 3, 300), (10_000, 2, 200), (15_000, 26, 109), (75_000, 0, 60), (1_000_000, 100, 20)],
)
def test_a_forest_has_fewer_trees_on_many_rows_and_where_they_would_fill_the_memory(
    n_rows: int, n_classes: int, trees: int
) -> None:
    shape = replace(full_shape("multiclass" if n_classes else "regression"), n_rows=n_rows, n_classes=n_classes)
    assert forest_defaults(shape)["n_estimators"] == trees
