"""CatBoost: boosting with oblivious trees and ordered target statistics; the strongest single learner on mixed tables.

The number of rounds is 1,000 and the learning rate follows CatBoost's own automatic choice for that number, read off from its fits
at 1,000 and 50,000 rows (`log rate` is linear in `log rows`). It is written out here, because the automatic choice depends on the
number of rounds and would differ in a refit with fewer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..plugins import FittedModel, Model, Needs, ParamDict, Quicker, TrainingData
from ..shape import DataShape
from ._categories import MatrixForm
from ._pace import bins
from ._rounds import Stopper, planned_rounds

if TYPE_CHECKING:
    import optuna

    from ..task import TaskKind

_LEAST_ROWS_PER_THREAD = 500
_FEW_ROWS = 3_000
_QUICK_ROWS = 10_000
_ONE_HOT_LEVELS = 10
_ROWS_PER_LEAF = 12
_SINGLE, _COMBINED = 1, 4
"""Most categories that one target statistic combines; 4 is CatBoost's default."""
_RATE: dict[TaskKind, tuple[float, float]] = {
    "regression": (-4.062, 0.157),
    "binary": (-5.158, 0.247),
    "multiclass": (-2.364, 0.02),
}
"""Intercept and slope of log learning rate over log rows."""


@dataclass
class FittedCatBoost:
    """A booster with the form of its input."""

    booster: Any
    form: MatrixForm
    kind: str
    threads: int
    rounds: int
    cut: bool

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Probabilities (n_rows, n_classes) or values (n_rows, 1), float64."""
        threads = self.threads if len(X) >= _LEAST_ROWS_PER_THREAD else 1
        wanted = "RawFormulaVal" if self.kind == "regression" else "Probability"
        raw = self.booster.predict(_inputs(self.form, X), prediction_type=wanted, thread_count=threads)
        return np.asarray(raw, dtype=np.float64).reshape(len(X), -1)


def _inputs(form: MatrixForm, X: pd.DataFrame) -> Any:
    """Numbers as float32, category codes as text; −1 stands for missing and unseen levels."""
    from catboost import FeaturesData

    rows = form.matrix(X)
    categories = form.category_positions
    if not categories:
        return rows
    numbers = np.ascontiguousarray(np.delete(rows, categories, axis=1))
    codes = np.nan_to_num(rows[:, categories], nan=-1.0).astype(np.int64)
    return FeaturesData(
        num_feature_data=numbers if numbers.shape[1] else None,
        cat_feature_data=codes.astype("S8").astype(object),
    )


def _defaults(shape: DataShape) -> ParamDict:
    return {
        "iterations": 2000,
        "learning_rate": _rate(shape),
        "depth": 6,
        "l2_leaf_reg": 3.0,
        "random_strength": 1.0,
        "one_hot_max_size": _ONE_HOT_LEVELS,
        "max_ctr_complexity": _COMBINED,
    }


def _rate(shape: DataShape) -> float:
    """CatBoost's own rule for the learning rate, at half of it where few rows hold two classes: +0.0018 ROC AUC on 5,300 rows."""
    intercept, slope = _RATE[shape.kind]
    rate = math.exp(intercept + slope * math.log(max(shape.n_rows, 10)))
    return round(rate * (0.5 if shape.kind == "binary" and shape.n_rows < _QUICK_ROWS else 1.0), 4)


def _variants(shape: DataShape) -> list[ParamDict]:
    """Shallow trees where classes are noisy; for numbers a slow rate on few rows, deep trees on many, and half the rate where there
    is time (1 to 2 % of RMSE on two tables of three)."""
    slow: ParamDict = {"learning_rate": _rate(shape) / 2, "iterations": 4000}
    if shape.kind == "multiclass":
        return [slow]
    if shape.kind == "binary":
        return [{"depth": 5, "learning_rate": 0.06 if shape.n_rows >= _QUICK_ROWS else 0.03}]
    return [{"learning_rate": 0.03}] if shape.n_rows < _FEW_ROWS else [{"depth": 8, "l2_leaf_reg": 5.0}, slow]


def _quicker(shape: DataShape) -> Quicker | None:
    """Target statistics of single categories, not of their combinations: adult 6.6 s instead of 13.5 with the same ROC AUC on new
    rows, diabetes130 (40,000 rows) 6.8 s instead of 19.9 at 0.3 % more log loss. Where combinations are the signal it is far worse
    (a panel of stores and departments: RMSE 11,900 instead of 7,200), so it only stands in."""
    return Quicker({"max_ctr_complexity": _SINGLE}, 0.5) if _has_statistics(shape) else None


def _space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    statistics: ParamDict = {}
    if _has_statistics(shape):
        statistics["max_ctr_complexity"] = trial.suggest_categorical("max_ctr_complexity", [_SINGLE, _COMBINED])
    return {
        **statistics,
        "learning_rate": trial.suggest_float("learning_rate", 0.008, 0.2, log=True),
        "depth": trial.suggest_int("depth", 4, _deepest(shape)),
        "l2_leaf_reg": trial.suggest_float("l2_leaf_reg", 0.1, 30.0, log=True),
        "random_strength": trial.suggest_float("random_strength", 0.0, 4.0),
        "one_hot_max_size": trial.suggest_categorical("one_hot_max_size", [2, 10, 50]),
    }


def _deepest(shape: DataShape) -> int:
    """Depth at which a leaf still has a dozen rows, at least 6. CatBoost keeps what it needed for its deepest trees: on 1,000 rows
    165 MB for 8 levels, 40 MB for 6."""
    return int(np.clip(math.log2(max(shape.n_rows, 1) / _ROWS_PER_LEAF), 6, 8))


def _objective(data: TrainingData) -> str:
    if data.kind == "regression":
        return "MAE" if data.metric.key in {"mae", "mape"} else "RMSE"
    return "Logloss" if data.kind == "binary" else "MultiClass"


def _fit(data: TrainingData) -> FittedModel:
    import catboost

    params = dict(data.params)
    rate = float(params["learning_rate"] or 0.05)
    rounds = planned_rounds(data.rounds, int(params.pop("iterations") or 1), rate, data.early is not None)
    form = MatrixForm.of(data.X)
    objective = _objective(data)
    data.deadline.check("starting CatBoost")
    train = catboost.Pool(_inputs(form, data.X), data.y, weight=data.weight)
    held_out = None
    if data.early is not None:
        held_out = catboost.Pool(_inputs(form, data.early.X), data.early.y, weight=data.early.weight)
    stopper = Stopper(data.deadline, patience=40)
    booster = catboost.CatBoost(
        {
            **params,
            "iterations": rounds,
            "border_count": bins(data.X.shape[1]) - 1,
            "loss_function": objective,
            "use_best_model": False,
            "random_seed": data.seed,
            "thread_count": data.threads,
            "logging_level": "Silent",
            "allow_writing_files": False,
        }
    )
    booster.fit(train, eval_set=held_out, callbacks=[_Watch(stopper, objective)])
    stopper.require_rounds("CatBoost")
    if stopper.rounds < booster.tree_count_:
        booster.shrink(stopper.rounds)
    return FittedCatBoost(booster, form, data.kind, data.threads, stopper.rounds, stopper.cut)


@dataclass
class _Watch:
    """Stop boosting by gain or by time."""

    stopper: Stopper
    objective: str

    def after_iteration(self, info: Any) -> bool:
        """Return whether to go on; CatBoost counts rounds from 1 here."""
        validation = info.metrics.get("validation")
        loss = validation[self.objective][-1] if validation else None
        return not self.stopper.stop_after(info.iteration, loss)


def _has_statistics(shape: DataShape) -> bool:
    """Up to ten levels are one-hot; more need target statistics, by default of combinations of categories too."""
    return shape.max_levels > _ONE_HOT_LEVELS


def _cost(shape: DataShape) -> float:
    """Measured on one core: 16,000 × 8 rows 5 s, 36,000 × 14 rows (8 categories) 27 s, 4,900 × 12 rows of 7 classes 6.5 s."""
    outputs = shape.n_classes if shape.kind == "multiclass" else 1
    statistics = 10 * shape.n_categorical * (1 + shape.max_levels / 1000) if _has_statistics(shape) else 0.0
    return 700 * (1e-3 + 1e-8 * shape.n_rows * outputs * (10 + shape.n_columns + statistics))


def _applies(shape: DataShape) -> str | None:
    if shape.n_classes > 10 and shape.n_rows * shape.n_classes > 500_000:
        return "too slow with this many classes and rows"
    if shape.n_classes > 2 and shape.max_levels > 300 and shape.n_rows > 50_000:
        return "does not converge in reasonable time on several classes with categories of hundreds of levels"
    return None


MODEL = Model(
    key="catboost",
    title="CatBoost",
    family="boosting",
    summary="Gradient boosting made for categories; slower, and often the best single learner.",
    needs=Needs(numeric_only=False, no_missing=False, target_statistics=True),
    fit=_fit,
    cost=_cost,
    defaults=_defaults,
    variants=_variants,
    quicker=_quicker,
    space=_space,
    applies=_applies,
    priority=12,
    early_stopping=True,
    requires=("catboost",),
    open_params=True,
)
