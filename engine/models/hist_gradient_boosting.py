"""Scikit-learn's histogram gradient boosting: needs no library beyond the core ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..native_threads import openmp_threads
from ..plugins import FittedModel, Model, Needs, ParamDict, TrainingData
from ..shape import DataShape
from ._categories import MatrixForm
from ._pace import rows_of_a_leaf
from ._rounds import Stopper, planned_rounds

if TYPE_CHECKING:
    import optuna

_MOST_LEVELS = 255
_PATIENCE = 25
_LEAST_ROWS_PER_THREAD = 500
_STRETCH = 40
"""Rounds between two looks at the clock; each stretch bins the rows anew."""


@dataclass
class FittedHistBoosting:
    """An estimator with the form of its input."""

    estimator: Any
    form: MatrixForm
    kind: str
    threads: int
    rounds: int
    cut: bool

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Probabilities (n_rows, n_classes) or values (n_rows, 1), float64."""
        rows = self.form.matrix(X)
        with openmp_threads(self.threads if len(X) >= _LEAST_ROWS_PER_THREAD else 1):
            if self.kind == "regression":
                return np.asarray(self.estimator.predict(rows), dtype=np.float64).reshape(-1, 1)
            return np.asarray(self.estimator.predict_proba(rows), dtype=np.float64)


def _defaults(shape: DataShape) -> ParamDict:
    """Leaves and rate of LGBM-TD (Holzmüller et al. 2024, arXiv 2407.04491) as far as this library has them."""
    regression = shape.kind == "regression"
    return {
        "max_iter": 1000,
        "learning_rate": 0.06,
        "max_leaf_nodes": 63 if regression else 31,
        "min_samples_leaf": rows_of_a_leaf(5 if regression else 20, shape),
        "l2_regularization": 0.0,
        "max_features": 0.8,
    }


def _space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.2, log=True),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 8, 128, log=True),
        "min_samples_leaf": trial.suggest_int(
            "min_samples_leaf", 2, int(np.clip(shape.n_rows // 20, 10, 100)), log=True
        ),
        "l2_regularization": trial.suggest_float("l2_regularization", 0.0, 10.0),
        "max_features": trial.suggest_float("max_features", 0.3, 1.0),
    }


def _fit(data: TrainingData) -> FittedModel:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    params = dict(data.params)
    rate = float(params["learning_rate"] or 0.1)
    rounds = planned_rounds(data.rounds, int(params.pop("max_iter") or 1), rate, data.early is not None)
    form = MatrixForm.of(data.X)
    native = [
        position for position in form.category_positions if len(form.levels[form.columns[position]]) <= _MOST_LEVELS
    ]
    if data.kind == "regression":
        loss = "absolute_error" if data.metric.key in {"mae", "mape"} else "squared_error"
        estimator = HistGradientBoostingRegressor(loss=loss)
    else:
        estimator = HistGradientBoostingClassifier()
    estimator.set_params(
        **params,
        categorical_features=native or None,
        early_stopping=data.early is not None,
        n_iter_no_change=_PATIENCE,
        tol=0.0,
        warm_start=True,
        random_state=data.seed,
    )
    held_out: dict[str, Any] = {}
    if data.early is not None:
        held_out = {"X_val": form.matrix(data.early.X), "y_val": data.early.y, "sample_weight_val": data.early.weight}
    rows = form.matrix(data.X)
    empty = np.isnan(rows).all(axis=0)
    if empty.any():
        # scikit-learn cannot cut a column without any number into bins.
        rows = np.where(empty, np.float32(0.0), rows)
    data.deadline.check("starting histogram gradient boosting")
    stopper = Stopper(data.deadline, patience=rounds)
    goal = 0
    with openmp_threads(data.threads):
        while goal < rounds:
            # Short first steps, so that a slow table is noticed early.
            goal = min(rounds, goal + min(_STRETCH, max(1, goal)))
            estimator.set_params(max_iter=goal).fit(rows, data.y, sample_weight=data.weight, **held_out)
            if estimator.n_iter_ < goal or stopper.stop_after(goal):
                break
    if data.early is not None:
        # The first score is that before any tree; trees after the best one are those it waited for in vain.
        estimator._predictors = estimator._predictors[: max(1, int(np.argmax(estimator.validation_score_)))]
    return FittedHistBoosting(estimator, form, data.kind, data.threads, int(estimator.n_iter_), stopper.cut)


def _cost(shape: DataShape) -> float:
    trees = 200 * (shape.n_classes if shape.kind == "multiclass" else 1)
    return trees * (2e-3 + 3e-8 * shape.n_rows * (4 + shape.n_columns))


MODEL = Model(
    key="hist_gradient_boosting",
    title="Histogram gradient boosting",
    family="boosting",
    summary="Scikit-learn's gradient-boosted trees; no extra library.",
    needs=Needs(numeric_only=False, no_missing=False),
    fit=_fit,
    cost=_cost,
    defaults=_defaults,
    space=_space,
    priority=40,
    early_stopping=True,
    open_params=True,
)
