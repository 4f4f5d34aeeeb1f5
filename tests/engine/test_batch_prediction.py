"""Learners that predict many rows another way than one give the same predictions, and quickly."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from mle_star.engine import registry
from mle_star.engine.deadline import Deadline
from mle_star.engine.models.svm_rbf import KernelSum
from mle_star.engine.plugins import FittedModel, ParamDict, TrainingData
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


def fitted(component: str, kind: TaskKind, params: ParamDict, n_rows: int = 1_000) -> FittedModel:
    X, y = problem(kind, n_rows)
    n_classes = {"regression": 0, "binary": 2, "multiclass": 3}[kind]
    model = registry.model(component)
    return model.fit(
        TrainingData(
            X, y, None, kind, n_classes, resolve_metric(DEFAULT_METRIC[kind], kind), params, 0, 2, Deadline(120)
        )
    )


LARGE: ParamDict = {
    "learning_rate": 0.05, "num_leaves": 31, "min_data_in_leaf": 5, "bagging_fraction": 1.0, "feature_fraction": 1.0,
    "lambda_l2": 0.0, "n_estimators": 60, "native_levels": 100,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_lightgbm_predicts_many_rows_like_few(kind: TaskKind) -> None:
    model = fitted("lightgbm", kind, LARGE)
    rows, _ = problem(kind, 2_500)
    few = np.concatenate([model.predict(rows.iloc[start : start + 250]) for start in range(0, 2_500, 250)])
    many = model.predict(rows)
    np.testing.assert_allclose(many, few, rtol=1e-9, atol=1e-12)
    if kind != "regression":
        np.testing.assert_allclose(many.sum(axis=1), 1.0)
        assert (many >= 0.0).all()


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_lightgbm_predicts_what_the_library_predicts(kind: TaskKind) -> None:
    model = fitted("lightgbm", kind, LARGE)
    rows, _ = problem(kind, 2_500)
    library = np.asarray(model.booster.predict(model.form.matrix(rows), num_iteration=model.rounds))  # type: ignore[attr-defined]
    ours = model.predict(rows)
    np.testing.assert_allclose(ours[:, 1] if kind == "binary" else ours.reshape(library.shape), library, rtol=1e-9)


@pytest.mark.parametrize("n_columns", [1, 30])
@pytest.mark.parametrize("machine", [SVR(C=3.0, gamma=0.1), SVR(epsilon=1e6, gamma=0.1), SVC(C=3.0, gamma=0.1)])
def test_a_sum_of_kernels_is_the_machine_it_was_made_of(machine: SVR | SVC, n_columns: int) -> None:
    X, y = problem("binary" if isinstance(machine, SVC) else "regression", 700)
    rows = X.to_numpy(dtype=np.float64)[:, :n_columns]
    machine.fit(rows, y)
    new = np.vstack([rows + 0.1, 1e3 * rows[:5]])
    expected = machine.decision_function(new) if isinstance(machine, SVC) else machine.predict(new)
    np.testing.assert_allclose(KernelSum.of(machine).predict(new), expected, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("component", "params", "kind"),
    [
        ("lightgbm", {**LARGE, "n_estimators": 1_000}, "regression"),
        ("svm_rbf", {"C": 1.0, "gamma_scale": 1.0}, "binary"),
    ],
)
def test_a_batch_of_thirty_columns_goes_by_at_twenty_thousand_rows_a_second(
    component: str, params: ParamDict, kind: TaskKind
) -> None:
    model = fitted(component, kind, params, n_rows=4_000)
    rows, _ = problem(kind, 20_000)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        model.predict(rows)
        seconds.append(time.perf_counter() - start)
    assert len(rows) / min(seconds) >= 20_000
