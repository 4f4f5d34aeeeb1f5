"""Gaussian naive Bayes with tempered evidence: instant, and a floor that every other classifier should pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..plugins import FittedModel, Model, Needs, ParamDict, TrainingData
from ..shape import DataShape

if TYPE_CHECKING:
    import optuna


@dataclass
class FittedBayes:
    """Columns are not independent as the model assumes, so their evidence is raised to a power below 1."""

    estimator: Any
    power: float
    rounds: int | None = None
    cut: bool = False

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Probabilities (n_rows, n_classes), float64."""
        from scipy.special import softmax

        prior = np.log(self.estimator.class_prior_)
        joint = self.estimator.predict_joint_log_proba(X.to_numpy(dtype=np.float64))
        return np.asarray(softmax(prior + self.power * (joint - prior), axis=1))


def _defaults(shape: DataShape) -> ParamDict:
    return {"var_smoothing": 1e-2, "power": round(float(max(shape.n_columns, 1)) ** -0.5, 3)}


def _space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    return {
        "var_smoothing": trial.suggest_float("var_smoothing", 1e-6, 1.0, log=True),
        "power": trial.suggest_float("power", 0.01, 1.0, log=True),
    }


def _fit(data: TrainingData) -> FittedModel:
    from sklearn.naive_bayes import GaussianNB

    data.deadline.check("starting naive Bayes")
    params = data.params
    estimator = GaussianNB(var_smoothing=float(params["var_smoothing"] or 1e-9))
    estimator.fit(data.X.to_numpy(dtype=np.float64), data.y, sample_weight=data.weight)
    return FittedBayes(estimator, float(params["power"] or 1.0))


def _cost(shape: DataShape) -> float:
    return 5e-3 + 2e-8 * shape.n_rows * shape.n_columns


MODEL = Model(
    key="naive_bayes",
    title="Naive Bayes",
    family="bayes",
    summary="Treats columns as independent normal variables; instant.",
    needs=Needs(numeric_only=True, no_missing=True, scaling=True),
    fit=_fit,
    cost=_cost,
    defaults=_defaults,
    space=_space,
    tasks=frozenset({"binary", "multiclass"}),
    priority=65,
)
