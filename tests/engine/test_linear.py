"""The linear learner's own solver beside scikit-learn's, and how folds share the memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from component_tables import full_shape
from hypothesis import given, settings
from hypothesis import strategies as st
from mle_star.engine import registry
from mle_star.engine.deadline import Deadline
from mle_star.engine.models import _linear_form, _newton
from mle_star.engine.models._linear_form import Taming
from mle_star.engine.models._newton import Problem, solve
from mle_star.engine.plugins import Needs, TrainingData
from mle_star.engine.side_by_side import SideBySide, side_by_side
from mle_star.engine.task import resolve_metric
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss


def problem(seed: int, logistic: bool, penalty: float, weighted: bool = False) -> Problem:
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(400, 6)).astype(np.float32) * [1, 1, 5, 1, 0.1, 100])
    score = X[0] - 0.5 * X[1] + 0.01 * X[5] + rng.normal(size=400)
    y = (score > 0.3).to_numpy(dtype=np.int64) if logistic else score.to_numpy()
    weight = rng.uniform(0.5, 2.0, 400) if weighted else None
    # Inputs as they are: this is about the solver.
    return Problem(X, replace(Taming.fit(X), reach=np.inf), y, weight, logistic, penalty)


@pytest.mark.parametrize("learner", ["linear", "elastic_net", "svm_linear", "svm_rbf", "mlp"])
def test_a_row_far_beyond_all_others_is_followed_by_its_logarithm(learner: str) -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(500, 3)).astype(np.float32) * [1, 50, 1000]).astype(np.float32)
    y = 2.0 * X[0].to_numpy(dtype=np.float64) + 0.01 * X[2].to_numpy(dtype=np.float64)
    model = registry.model(learner)
    data = TrainingData(X, y, None, "regression", 0, resolve_metric("rmse", "regression"), {}, 0, 1, Deadline(60))
    fitted = model.fit(replace(data, params=dict(model.defaults(full_shape("regression")))))
    far = np.full((1, 3), 1_000.0) * [1, 50, 1000]
    value = fitted.predict(pd.DataFrame(far.astype(np.float32)))[0, 0]
    # As it is, the line would end at a thousand times the largest target.
    assert abs(value) < 10.0 * y.max()


def test_levels_and_bins_stay_as_they_are_however_rare() -> None:
    X = pd.DataFrame({"rare level": np.r_[np.ones(3), np.zeros(997)], "bin": np.linspace(0, 1, 1000), "same": 7.0})
    X["number"] = np.random.default_rng(0).normal(50, 20, 1000)
    taming = Taming.fit(X.astype(np.float32))
    tamed = taming.apply(X.astype(np.float32))
    np.testing.assert_allclose(tamed[:, :3], X.iloc[:, :3] - X.iloc[:, :3].mean(), atol=1e-5)
    # A number keeps its place among the others.
    assert (np.diff(tamed[np.argsort(X["number"]), 3]) >= 0.0).all()
    # Beyond what was seen even a share counts by its logarithm, and nothing comes of a column that never varied.
    new = pd.DataFrame({"rare level": [1.0], "bin": [500.0], "same": [1e6], "number": [1e9]}).astype(np.float32)
    assert np.abs(taming.apply(new)).max() < 30.0


def test_a_model_saved_before_inputs_had_a_reach_predicts_as_it_did() -> None:
    X = pd.DataFrame({"number": [1.0, 2.0, 30.0]}).astype(np.float32)
    old = Taming.__new__(Taming)
    old.__dict__.update(centre=np.array([11.0]), spread=np.array([13.4]))
    np.testing.assert_allclose(old.apply(X)[:, 0], (X["number"] - 11.0) / 13.4, rtol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("penalty", [0.01, 1.0, 300.0])
def test_two_classes_are_fitted_as_by_scikit_learn(penalty: float, weighted: bool) -> None:
    asked = problem(0, True, penalty, weighted)
    point, cut = solve(asked, Deadline(60))
    rows = asked.taming.apply(asked.X)
    reference = LogisticRegression(C=1.0 / penalty, tol=1e-8, max_iter=1000).fit(rows, asked.y, asked.weight)
    np.testing.assert_allclose(point[:-1], reference.coef_[0], atol=2e-3)
    assert point[-1] == pytest.approx(reference.intercept_[0], abs=2e-3)
    assert not cut


@pytest.mark.parametrize("weighted", [False, True])
def test_values_are_fitted_as_by_scikit_learn_in_parts_as_well(weighted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_linear_form, "_PART_VALUES", 100)
    asked = problem(1, False, 3.0, weighted)
    point, _ = solve(asked, Deadline(60))
    reference = Ridge(alpha=3.0).fit(asked.taming.apply(asked.X), asked.y, asked.weight)
    np.testing.assert_allclose(point[:-1], reference.coef_, atol=1e-6)
    assert point[-1] == pytest.approx(reference.intercept_, abs=1e-6)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1e-6, 0.1, 10.0]), st.booleans())
def test_a_fit_ends_with_finite_coefficients_where_columns_repeat_and_classes_are_apart(
    seed: int, penalty: float, separable: bool
) -> None:
    asked = problem(seed, True, penalty)
    X = pd.concat([asked.X, asked.X, pd.Series(np.ones(400, dtype=np.float32))], axis=1)
    y = (X.iloc[:, 0] > 0).to_numpy(dtype=np.int64) if separable else asked.y
    asked = replace(asked, X=X, taming=Taming.fit(X), y=y)
    point, _ = solve(asked, Deadline(60))
    assert np.isfinite(point).all()
    reference = LogisticRegression(C=1.0 / penalty, max_iter=5000).fit(asked.taming.apply(X), y)
    known = _newton._pass(asked, np.append(reference.coef_[0], reference.intercept_[0])).loss
    assert _newton._pass(asked, point).loss <= known + 5e-3 * len(y)


def test_a_class_that_the_rows_for_the_penalty_lack_does_no_harm() -> None:
    rng = np.random.default_rng(5)
    X = pd.DataFrame(rng.normal(size=(400, 3)).astype(np.float32), columns=["f0", "f1", "f2"])
    y = np.where(X["f0"] + 0.3 * rng.normal(size=400) > 0, 2, 1)
    probe = np.random.default_rng(5).permutation(400)
    y[probe[0]] = 0
    y = y.astype(np.int64)
    model = registry.model("linear")
    data = TrainingData(
        X, y, None, "multiclass", 3, resolve_metric("auto", "multiclass"), {"penalty": None}, 5, 1, Deadline(60)
    )
    fitted = model.fit(data)
    assert log_loss(y, fitted.predict(X), labels=[0, 1, 2]) < 0.3


@pytest.mark.parametrize("learner", ["linear", "elastic_net"])
def test_the_clock_of_a_whole_run_that_is_half_over_does_not_shorten_the_search(learner: str) -> None:
    rng = np.random.default_rng(7)
    X = pd.DataFrame(rng.normal(size=(600, 4)).astype(np.float32), columns=["f0", "f1", "f2", "f3"])
    y = (X["f0"] + 0.3 * rng.normal(size=600) > 0).to_numpy(dtype=np.int64)
    now = [0.0]
    late = Deadline(100.0, clock=lambda: now[0])
    now[0] = 60.0
    model, metric = registry.model(learner), resolve_metric("auto", "binary")
    params = model.defaults(replace(full_shape("binary"), n_rows=600))
    losses = []
    for deadline in (Deadline(40.0), late):
        fitted = model.fit(TrainingData(X, y, None, "binary", 2, metric, params, 0, 1, deadline))
        assert not fitted.cut
        losses.append(log_loss(y, fitted.predict(X)))
    assert losses[0] == pytest.approx(losses[1])
    assert losses[0] < 0.35


def test_more_columns_than_newton_takes_are_fitted_too() -> None:
    rng = np.random.default_rng(6)
    X = pd.DataFrame(rng.normal(size=(300, 520)).astype(np.float32))
    y = (X[0] > 0).to_numpy(dtype=np.int64)
    metric = resolve_metric("auto", "binary")
    data = TrainingData(X, y, None, "binary", 2, metric, {"penalty": None}, 0, 1, Deadline(60))
    assert registry.model("linear").fit(data).predict(X).shape == (300, 2)


def test_the_clock_ends_a_fit_after_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    original = _newton._pass
    monkeypatch.setattr(_newton, "_pass", lambda *given: (passes.append(1), original(*given))[1])
    point, cut = solve(problem(2, True, 1.0), Deadline(0.0))
    assert cut
    assert np.abs(point[:-1]).max() > 0.0
    assert len(passes) == 1


def test_a_start_at_the_solution_costs_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, passes = problem(3, True, 1.0), []
    solved, _ = solve(asked, Deadline(60))
    original = _newton._pass
    monkeypatch.setattr(_newton, "_pass", lambda *given: (passes.append(1), original(*given))[1])
    solve(asked, Deadline(60), solved)
    assert len(passes) == 2


def test_folds_of_wide_dense_tables_are_fitted_one_after_the_other() -> None:
    shape = replace(full_shape("binary"), n_rows=70_000, n_numeric=250)
    dense, trees = Needs(scaling=True), Needs(numeric_only=False)
    assert side_by_side(dense, shape, 4, 2).waves == 4
    assert side_by_side(dense, replace(shape, n_rows=30_000), 4, 8) == SideBySide(2, (4, 4, 4, 4))
    assert side_by_side(trees, shape, 4, 2).at_once == 2
    assert side_by_side(dense, replace(shape, n_rows=7_000), 4, 2).waves == 2


@pytest.mark.parametrize(
    ("n_folds", "threads", "expected"),
    [(5, 2, (1, 1, 1, 1, 2)), (4, 2, (1, 1, 1, 1)), (3, 8, (2, 2, 2)), (3, 1, (1, 1, 1)), (5, 4, (1, 1, 1, 1, 4))],
)
def test_no_core_is_idle_in_the_last_wave(n_folds: int, threads: int, expected: tuple[int, ...]) -> None:
    plan = side_by_side(Needs(), full_shape("binary"), n_folds, threads)
    assert plan.threads == expected
    assert plan.alone == (sum(one == 1 for one in expected) if n_folds > threads else n_folds)
