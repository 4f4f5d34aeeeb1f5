"""One pruned decision tree: the model a person can read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..plugins import FittedModel, Model, Needs, ParamDict, TrainingData
from ..shape import DataShape
from ._forests import FittedForest, class_shares

if TYPE_CHECKING:
    import optuna

_PRIOR_WEIGHT = 0.05
"""A leaf of twenty rows counts as much as one pseudo-row spread over the classes."""


def _defaults(shape: DataShape) -> ParamDict:
    return {"max_depth": 10, "min_samples_leaf": int(np.clip(shape.n_rows // 250, 3, 50))}


def _space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    return {
        "max_depth": trial.suggest_int("max_depth", 2, 16),
        "min_samples_leaf": trial.suggest_int(
            "min_samples_leaf", 2, int(np.clip(shape.n_rows // 20, 5, 200)), log=True
        ),
    }


def _fit(data: TrainingData) -> FittedModel:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    data.deadline.check("starting a decision tree")
    kind = DecisionTreeRegressor if data.kind == "regression" else DecisionTreeClassifier
    rows = data.X.to_numpy(dtype=np.float32)
    tree = kind(random_state=data.seed, **data.params).fit(rows, data.y, sample_weight=data.weight)
    return FittedForest([tree.tree_], class_shares(data), data.threads, cut=False, prior_weight=_PRIOR_WEIGHT)


def _cost(shape: DataShape) -> float:
    return 5e-3 + 2e-8 * shape.n_rows * float(np.log2(shape.n_rows + 2)) * shape.n_columns


MODEL = Model(
    key="decision_tree",
    title="Decision tree",
    family="tree",
    summary="One tree of limited depth; weaker than a forest, but readable.",
    needs=Needs(numeric_only=True, no_missing=False),
    fit=_fit,
    cost=_cost,
    defaults=_defaults,
    space=_space,
    priority=60,
    open_params=True,
)
