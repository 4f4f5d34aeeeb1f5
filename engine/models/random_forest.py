"""Random forest (Breiman 2001): bagged deep trees; a steady second opinion beside boosting.

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
    return {**forest_defaults(shape), "max_features": 0.4 if shape.kind == "regression" else "sqrt"}


def _space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    return {
        "max_features": trial.suggest_categorical("max_features", ["sqrt", 0.3, 0.4, 0.6, 0.8, 1.0]),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 500, 15_000, log=True),
    }


def _fit(data: TrainingData) -> FittedModel:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    return fit_forest(RandomForestClassifier, RandomForestRegressor, data)


def _cost(shape: DataShape) -> float:
    considered = 0.4 * shape.n_columns if shape.kind == "regression" else shape.n_columns**0.5
    per_tree = 1.6e-8 * shape.n_rows * float(np.log2(shape.n_rows + 2)) * (1 + considered)
    return 0.05 + grown_trees(shape) * (1.5e-3 + per_tree)


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
    open_params=True,
)
