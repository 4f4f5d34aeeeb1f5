"""Nearest neighbours, weighted by distance: a local view that no other learner here has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pandas as pd

from ..plugins import FittedModel, Model, Needs, ParamDict, TrainingData
from ..shape import DataShape
from ._forests import class_shares

if TYPE_CHECKING:
    import optuna

_FEW, _MANY = 10, 20


@dataclass
class FittedNeighbors:
    """Class probabilities are drawn towards the class frequencies with the weight of one neighbour."""

    estimator: Any
    prior: np.ndarray | None
    threads: int
    rounds: int | None = None
    cut: bool = False

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Probabilities (n_rows, n_classes) or values (n_rows, 1), float64."""
        rows = X.to_numpy(dtype=np.float64)
        with joblib.parallel_config("threading", n_jobs=self.threads if len(rows) > 500 else 1):
            if self.prior is None:
                return np.asarray(self.estimator.predict(rows), dtype=np.float64).reshape(-1, 1)
            shares = np.asarray(self.estimator.predict_proba(rows), dtype=np.float64)
        count = self.estimator.n_neighbors
        return np.asarray((count * shares + self.prior) / (count + 1))


def _defaults(shape: DataShape) -> ParamDict:
    return {"n_neighbors": int(np.clip(shape.n_rows**0.4, 5, 50)), "weights": "distance", "p": 1}


def _variants(shape: DataShape) -> list[ParamDict]:
    """Few neighbours where there is little noise: letters in 26 classes (15,000 rows) log loss 0.47 with 50, 0.29 with 10."""
    return [{"n_neighbors": _FEW}] if int(_defaults(shape)["n_neighbors"] or 0) > _MANY else []


def _space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    return {
        "n_neighbors": trial.suggest_int("n_neighbors", 2, int(np.clip(shape.n_rows // 10, 5, 100)), log=True),
        "weights": trial.suggest_categorical("weights", ["distance", "uniform"]),
        "p": trial.suggest_categorical("p", [1, 2]),
    }


def _fit(data: TrainingData) -> FittedModel:
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    data.deadline.check("starting nearest neighbours")
    params = dict(data.params)
    params["n_neighbors"] = min(int(params["n_neighbors"] or 5), len(data.y))
    kind = KNeighborsRegressor if data.kind == "regression" else KNeighborsClassifier
    estimator = kind(**params).fit(data.X.to_numpy(dtype=np.float64), data.y)
    return FittedNeighbors(estimator, class_shares(data), data.threads)


def _cost(shape: DataShape) -> float:
    """Mostly the prediction of a fold: a quarter of the rows against the others."""
    return 0.01 + 2.5e-10 * float(shape.n_rows) ** 2 * shape.dense_columns


def _applies(shape: DataShape) -> str | None:
    return "neighbour search needs 50,000 rows or fewer" if shape.n_rows > 50_000 else None


MODEL = Model(
    key="knn",
    title="Nearest neighbours",
    family="neighbors",
    summary="Averages the targets of the most similar rows; ignores sample weights.",
    needs=Needs(numeric_only=True, no_missing=True, scaling=True),
    fit=_fit,
    cost=_cost,
    defaults=_defaults,
    variants=_variants,
    space=_space,
    applies=_applies,
    priority=55,
    open_params=True,
)
