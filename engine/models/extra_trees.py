"""Extremely randomised trees (Geurts et al. 2006): fast, hard to overfit, and different enough from boosting to help a blend.

Calibration of `cost`: nine tables from 750 × 20 to 36,000 × 14, one core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..plugins import FittedModel, Model, Needs, ParamDict, TrainingData
from ..shape import DataShape
from ._forests import fit_forest, forest_defaults, grown_trees

if TYPE_CHECKING:
    import optuna


def _defaults(shape: DataShape) -> ParamDict:
    return {**forest_defaults(shape), "max_features": 0.5 if shape.n_columns <= 30 else "sqrt"}


def _space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    return {
        "max_features": trial.suggest_categorical("max_features", ["sqrt", 0.3, 0.5, 0.75, 1.0]),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 500, 15_000, log=True),
    }


def _fit(data: TrainingData) -> FittedModel:
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    return fit_forest(ExtraTreesClassifier, ExtraTreesRegressor, data)


def _cost(shape: DataShape) -> float:
    considered = 0.5 * shape.n_columns if shape.n_columns <= 30 else shape.n_columns**0.5
    return 0.05 + grown_trees(shape) * (
        1.2e-3 + 9e-9 * shape.n_rows * float(np.log2(shape.n_rows + 2)) * (1 + considered)
    )


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
    open_params=True,
)
