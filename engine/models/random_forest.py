"""Random forest (Breiman 2001): bagged deep trees; a steady second opinion beside boosting.

Calibration of `cost`: fits of 5,000 × 19, 16,000 × 8 and 36,000 × 14 rows, one core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..plugins import FittedModel, Model, Needs, ParamDict, TrainingData
from ..shape import DataShape
from ._forests import grow_forest

if TYPE_CHECKING:
    import optuna


def _defaults(shape: DataShape) -> ParamDict:
    """AutoGluon's zero-shot setting (300 trees, at most 15,000 leaves), fewer trees on many rows; larger leaves for two
    classes (telco_churn: AUC 0.838 with 5 rows, 0.842 with 20)."""
    return {
        "n_estimators": int(np.clip(2_000_000 / max(shape.n_rows, 1), 100, 300)),
        "max_features": 0.4 if shape.kind == "regression" else "sqrt",
        "min_samples_leaf": _leaf_rows(shape),
        "max_leaf_nodes": 15_000,
    }


def _leaf_rows(shape: DataShape) -> int:
    """Ranking two classes profits from smooth leaves on few, noisy rows, and hardly on many."""
    if shape.kind != "binary":
        return 1
    return int(np.clip(shape.n_rows // 400, 2, 16)) if shape.n_rows < 20_000 else 5


def _space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    return {
        "max_features": trial.suggest_categorical("max_features", ["sqrt", 0.3, 0.4, 0.6, 0.8, 1.0]),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 1, int(np.clip(shape.n_rows // 50, 5, 40)), log=True),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 500, 15_000, log=True),
    }


def _fit(data: TrainingData) -> FittedModel:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind = RandomForestRegressor if data.kind == "regression" else RandomForestClassifier
    params = dict(data.params)
    n_trees = int(params.pop("n_estimators") or 1)
    return grow_forest(kind(warm_start=True, random_state=data.seed, **params), data, n_trees)


def _cost(shape: DataShape) -> float:
    trees = float(np.clip(2_000_000 / max(shape.n_rows, 1), 100, 300))
    considered = 0.4 * shape.n_columns if shape.kind == "regression" else shape.n_columns**0.5
    return 0.05 + trees * (1e-3 + 2.5e-8 * shape.n_rows * float(np.log2(shape.n_rows + 2)) * (1 + considered))


MODEL = Model(
    key="random_forest",
    title="Random forest",
    family="forest",
    summary="Averages deep trees on bootstrap samples; robust with no tuning.",
    needs=Needs(numeric_only=True, no_missing=False),
    fit=_fit,
    cost=_cost,
    defaults=_defaults,
    space=_space,
    priority=35,
)
