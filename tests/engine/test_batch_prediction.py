"""Learners that predict many rows another way than one give the same predictions, and quickly."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mle_star.engine import registry
from mle_star.engine.deadline import Deadline
from mle_star.engine.models import svm_rbf
from mle_star.engine.models.lightgbm import FittedLightGBM
from mle_star.engine.plugins import EarlyStopping, FittedModel, ParamDict, TrainingData
from mle_star.engine.task import DEFAULT_METRIC, TaskKind, resolve_metric
from sklearn.svm import SVC, SVR

N_COLUMNS = 30


def problem(kind: TaskKind, n_rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(n_rows, N_COLUMNS)).astype(np.float32)).add_prefix("f")
    signal = X["f0"] * X["f1"] + X["f2"] + 0.5 * rng.normal(size=n_rows)
    if kind == "regression":
        return X, signal.to_numpy(dtype=np.float64)
    return X, np.digitize(signal, [0.0] if kind == "binary" else [-1.0, 1.0]).astype(np.int64)


def fitted(
    component: str,
    kind: TaskKind,
    params: ParamDict,
    *,
    n_rows: int = 1_000,
    rounds: int | None = None,
    early: bool = False,
) -> FittedModel:
    X, y = problem(kind, n_rows + 500)
    n_classes = {"regression": 0, "binary": 2, "multiclass": 3}[kind]
    metric = resolve_metric(DEFAULT_METRIC[kind], kind)
    held = EarlyStopping(X.iloc[n_rows:], y[n_rows:], None) if early else None
    return registry.model(component).fit(
        TrainingData(
            X.iloc[:n_rows], y[:n_rows], None, kind, n_classes, metric, params, 0, 2, Deadline(120), held, rounds
        )
    )


LARGE: ParamDict = {
    "learning_rate": 0.05, "num_leaves": 31, "min_data_in_leaf": 5, "bagging_fraction": 1.0, "feature_fraction": 1.0,
    "lambda_l2": 0.0, "n_estimators": 400, "native_levels": 100,
}  # fmt: skip


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_lightgbm_predicts_what_the_library_predicts_of_many_rows_and_of_few(kind: TaskKind, early: bool) -> None:
    model = fitted("lightgbm", kind, LARGE, early=early)
    assert isinstance(model, FittedLightGBM)
    if early:
        # The rounds after the best one must not count.
        assert model.rounds < model.booster.current_iteration()
    rows, _ = problem(kind, 2_500)
    library = np.asarray(model.booster.predict(model.form.matrix(rows), num_iteration=model.rounds))
    for ours in (model.predict(rows), np.concatenate([model.predict(rows.iloc[:50]), model.predict(rows.iloc[50:])])):
        compared = ours[:, 1] if kind == "binary" else ours.reshape(library.shape)
        np.testing.assert_allclose(compared, library, rtol=1e-9, atol=1e-12)


def test_a_target_of_one_value_needs_fewer_trees_than_rounds() -> None:
    X, _ = problem("regression", 2_500)
    metric = resolve_metric("rmse", "regression")
    data = TrainingData(X, np.full(len(X), 3.0), None, "regression", 0, metric, LARGE, 0, 2, Deadline(60), rounds=30)
    np.testing.assert_allclose(registry.model("lightgbm").fit(data).predict(X), 3.0)


XGBOOST: ParamDict = {
    "n_estimators": 200, "learning_rate": 0.05, "max_depth": 6, "min_child_weight": 1.0, "subsample": 0.8,
    "colsample_bylevel": 0.6, "reg_lambda": 1.0, "native_levels": 8, "max_cat_to_onehot": 4,
}  # fmt: skip


@pytest.mark.parametrize(("learner", "params"), [("lightgbm", LARGE), ("xgboost", XGBOOST)])
def test_two_callers_of_one_booster_get_their_own_predictions(learner: str, params: ParamDict) -> None:
    model = pickle.loads(pickle.dumps(fitted(learner, "regression", params, rounds=200)))
    rows, _ = problem("regression", 2_500)
    parts = (rows, rows.iloc[:900])
    expected = [model.predict(part) for part in parts]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(20):
            for alone, together in zip(expected, pool.map(model.predict, parts), strict=True):
                np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("n_columns", [1, 30])
@pytest.mark.parametrize("machine", [SVR(C=3.0, gamma=0.1), SVR(epsilon=1e6, gamma=0.1), SVC(C=3.0, gamma=0.1)])
def test_a_sum_of_kernels_is_the_machine_it_was_made_of(
    machine: SVR | SVC, n_columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(svm_rbf, "_KERNEL_CELLS", 20_000)  # so that the rows go by in several parts
    X, y = problem("binary" if isinstance(machine, SVC) else "regression", 700)
    rows = X.to_numpy(dtype=np.float64)[:, :n_columns]
    machine.fit(rows, y)
    new = np.vstack([rows + 0.1, 1e3 * rows[:5]])
    expected = machine.decision_function(new) if isinstance(machine, SVC) else machine.predict(new)
    np.testing.assert_allclose(svm_rbf.KernelSum.of(machine).predict(new), expected, atol=1e-9)


def best_seconds(predict: Callable[[], object]) -> float:
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        predict()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


@pytest.mark.slow
def test_a_thousand_trees_take_many_rows_faster_than_the_library_does() -> None:
    model = fitted("lightgbm", "regression", {**LARGE, "num_leaves": 100}, n_rows=8_000, rounds=1_000)
    assert isinstance(model, FittedLightGBM)
    assert model.rounds == 1_000
    rows, _ = problem("regression", 10_000)
    library_s = best_seconds(lambda: model.booster.predict(model.form.matrix(rows), num_threads=2))
    assert best_seconds(lambda: model.predict(rows)) < 0.7 * library_s


@pytest.mark.slow
def test_a_sum_of_kernels_is_faster_than_the_machine_it_was_made_of() -> None:
    X, y = problem("binary", 4_000)
    machine = SVC(gamma=1.0 / N_COLUMNS).fit(X.to_numpy(dtype=np.float64), y)
    rows = problem("binary", 10_000)[0].to_numpy(dtype=np.float64)
    kernels = svm_rbf.KernelSum.of(machine)
    assert best_seconds(lambda: kernels.predict(rows)) < 0.5 * best_seconds(lambda: machine.decision_function(rows))


def test_histogram_boosting_keeps_no_tree_that_it_only_waited_with() -> None:
    params: ParamDict = {"learning_rate": 0.3, "max_iter": 200, "max_leaf_nodes": 31}
    model: Any = fitted("hist_gradient_boosting", "regression", params, n_rows=600, early=True)
    losses = -model.estimator.validation_score_
    assert model.rounds == len(model.estimator._predictors) == int(losses.argmin())
    assert model.rounds < len(losses) - 1
