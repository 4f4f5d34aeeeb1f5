"""Extremely randomised trees (Geurts et al. 2006): fast, hard to overfit, and different enough from boosting to help a blend.

Calibration of `cost`: 5,000 × 19, 16,000 × 8 and 36,000 × 14 rows took 2, 3 and 4 s on one core.
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
    """AutoGluon's zero-shot setting (300 full-depth trees, at most 15,000 leaves), fewer trees on many rows; larger leaves
    for two classes, where ranking profits from smoother probabilities (telco_churn: AUC 0.824 with 3 rows, 0.840 with 16)."""
    return {
        "n_estimators": int(np.clip(2_000_000 / max(shape.n_rows, 1), 100, 300)),
        "max_features": 0.5 if shape.n_columns <= 30 else "sqrt",
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
        "max_features": trial.suggest_categorical("max_features", ["sqrt", 0.3, 0.5, 0.75, 1.0]),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 1, int(np.clip(shape.n_rows // 50, 5, 40)), log=True),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 500, 15_000, log=True),
    }


def _fit(data: TrainingData) -> FittedModel:
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    kind = ExtraTreesRegressor if data.kind == "regression" else ExtraTreesClassifier
    params = dict(data.params)
    n_trees = int(params.pop("n_estimators") or 1)
    return grow_forest(kind(warm_start=True, random_state=data.seed, **params), data, n_trees)


def _cost(shape: DataShape) -> float:
    trees = 300 if shape.n_rows < 6_667 else max(100.0, 2_000_000 / shape.n_rows)
    per_tree = 4e-8 * shape.n_rows * np.log2(shape.n_rows + 2) * (1 + 0.1 * min(shape.n_columns, 60))
    return 0.05 + trees * (1e-3 + float(per_tree))


MODEL = Model(
    key="extra_trees",
    title="Extra trees",
    family="forest",
    summary="Averages trees with random thresholds; robust, and unlike boosting enough to help an ensemble.",
    needs=Needs(numeric_only=True, no_missing=False),
    fit=_fit,
    cost=_cost,
    defaults=_defaults,
    space=_space,
    priority=20,
)
