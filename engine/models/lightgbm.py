"""LightGBM: histogram gradient boosting with leaf-wise trees; the best accuracy per second on most tables.

Figures for regression: LGBM-TD, tuned on 71 training tables (Holzmüller, Grinsztajn, Steinwart 2024, "Better by Default",
arXiv 2407.04491); on noisy classes its large, unregularised trees lost to smaller ones with fewer columns.
Categories are native up to `native_levels` levels and plain ordered codes above: native splits on many levels
overfit.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import expit, softmax

from ..levels import NATIVE_LEVELS
from ..plugins import FittedModel, Model, Needs, ParamDict, TrainingData
from ..shape import DataShape
from ._categories import MatrixForm
from ._pace import bins, pace, paced, round_share, rows_of_a_leaf
from ._rounds import Stopper, planned_rounds

if TYPE_CHECKING:
    import optuna

_LEAST_ROWS_PER_THREAD = 500
_TREES_AT_ONCE, _LEAST_ROWS_IN_PARTS = 25, 2_000


@dataclass
class FittedLightGBM:
    """A booster with the form of its input."""

    booster: Any
    form: MatrixForm
    kind: str
    threads: int
    rounds: int
    cut: bool
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """A lock belongs to its process."""
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Probabilities (n_rows, n_classes) or values (n_rows, 1), float64."""
        raw = self._raw(self.form.matrix(X))
        if self.kind == "binary":
            positive = expit(raw)
            return np.column_stack([1.0 - positive, positive])
        return softmax(raw, axis=1) if self.kind == "multiclass" else raw.reshape(len(X), -1)

    def _raw(self, matrix: np.ndarray) -> np.ndarray:
        """Rows (n_rows, n_columns) → sums over the trees, (n_rows,) or (n_rows, n_classes).

        Many rows go through few trees at a time: LightGBM takes each row through all trees, and thousands of trees do not fit into
        a core's cache (2.5 to 5 times the time for 20,000 rows). Each pass reads the rows again, so wide ones go through more.
        """
        rounds = max(1, min(self.rounds, self.booster.current_iteration()))
        threads = self.threads if len(matrix) >= _LEAST_ROWS_PER_THREAD else 1
        step = rounds
        if len(matrix) >= _LEAST_ROWS_IN_PARTS:
            step = max(1, _TREES_AT_ONCE * max(1, matrix.shape[1] // 50) // self.booster.num_model_per_iteration())
        total: np.ndarray | None = None
        # The booster itself keeps which trees are asked for, so that two callers at once would get each other's.
        with self._lock:
            for start in range(0, rounds, step):
                trees = min(step, rounds - start)
                part = np.asarray(
                    self.booster.predict(
                        matrix, raw_score=True, start_iteration=start, num_iteration=trees, num_threads=threads
                    )
                )
                total = part if total is None else np.add(total, part, out=total)
        return np.asarray(total)


_SMALL_TREES: ParamDict = {
    "learning_rate": 0.05, "num_leaves": 12, "min_data_in_leaf": 20,
    "bagging_fraction": 0.9, "feature_fraction": 0.6, "lambda_l2": 3.0,
}  # fmt: skip
_HALF_COLUMNS: ParamDict = {
    "learning_rate": 0.05, "num_leaves": 40, "min_data_in_leaf": 20,
    "bagging_fraction": 0.8, "feature_fraction": 0.5, "lambda_l2": 1.0,
}  # fmt: skip
_LIBRARY: ParamDict = {
    "learning_rate": 0.05, "num_leaves": 31, "min_data_in_leaf": 20,
    "bagging_fraction": 1.0, "feature_fraction": 1.0, "lambda_l2": 0.0,
}  # fmt: skip
_LARGE_TREES: ParamDict = {
    "learning_rate": 0.03, "num_leaves": 128, "min_data_in_leaf": 5,
    "bagging_fraction": 0.9, "feature_fraction": 0.6, "lambda_l2": 1e-5,
}  # fmt: skip
_LGBM_TD: ParamDict = {
    "learning_rate": 0.05, "num_leaves": 100, "min_data_in_leaf": 3,
    "bagging_fraction": 0.7, "feature_fraction": 1.0, "lambda_l2": 1e-5,
}  # fmt: skip
_MANY_ROWS = 20_000
_LEAST_ROWS_PER_LEVELS = 30
"""Rows of the levels that a native split sends to one side. Of 10, 30, 50 and LightGBM's 100 in cross-validation with three seeds,
30 was best for numbers (RMSE of diamonds −0.9 to −1.7 %, house_prices −0.5 to −1.8 %); for classes it hardly matters."""


def _settings(shape: DataShape) -> list[ParamDict]:
    """All settings, the most promising first: small trees rank two noisy classes best until there are many rows, several classes
    want fewer columns per tree, numbers want large trees."""
    if shape.kind == "regression":
        found = [_LGBM_TD, _LARGE_TREES, _LIBRARY, _HALF_COLUMNS]
    elif shape.kind == "multiclass":
        found = [_HALF_COLUMNS, _LARGE_TREES, _SMALL_TREES]
    elif shape.n_rows < _MANY_ROWS:
        found = [_SMALL_TREES, _HALF_COLUMNS, _LIBRARY]
    else:
        found = [_LIBRARY, _SMALL_TREES, _HALF_COLUMNS]
    return [{**one, "min_data_in_leaf": rows_of_a_leaf(int(one["min_data_in_leaf"] or 1), shape)} for one in found]


def _defaults(shape: DataShape) -> ParamDict:
    return {"native_levels": NATIVE_LEVELS, **paced(_settings(shape), shape)[0]}


def _variants(shape: DataShape) -> list[ParamDict]:
    return paced(_settings(shape), shape)[1:]


def _space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.008, 0.15, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 8, 160, log=True),
        "min_data_in_leaf": trial.suggest_int(
            "min_data_in_leaf", 2, int(np.clip(shape.n_rows // 20, 10, 100)), log=True
        ),
        "bagging_fraction": trial.suggest_float("bagging_fraction", 0.5, 1.0),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.4, 1.0),
        "lambda_l2": trial.suggest_float("lambda_l2", 1e-5, 10.0, log=True),
        "native_levels": trial.suggest_categorical("native_levels", [8, 100, 10_000]),
    }


def _objective(data: TrainingData) -> tuple[str, str]:
    """Return the objective and the loss watched on held-out rows."""
    if data.kind == "regression":
        return ("l1", "l1") if data.metric.key in {"mae", "mape"} else ("l2", "l2")
    return ("binary", "binary_logloss") if data.kind == "binary" else ("multiclass", "multi_logloss")


def _fit(data: TrainingData) -> FittedModel:
    import lightgbm

    params = dict(data.params)
    at_most, native_levels = int(params.pop("n_estimators") or 1), int(params.pop("native_levels") or 0)
    rounds = planned_rounds(data.rounds, at_most, float(params["learning_rate"] or 0.1), data.early is not None)
    form = MatrixForm.of(data.X)
    native = [spot for spot in form.category_positions if len(form.levels[form.columns[spot]]) <= native_levels]
    objective, metric = _objective(data)
    settings: dict[str, Any] = {
        **params,
        "objective": objective,
        "metric": metric,
        "bagging_freq": 1,
        "min_sum_hessian_in_leaf": 1e-7,
        "min_data_per_group": _LEAST_ROWS_PER_LEVELS,
        "max_bin": bins(data.X.shape[1]),
        "num_threads": data.threads,
        "seed": data.seed,
        "deterministic": True,
        # Chosen here, because LightGBM's own choice is a race of two timings and changes the sums.
        "force_row_wise": data.X.shape[1] <= 100,
        "force_col_wise": data.X.shape[1] > 100,
        "verbosity": -1,
    }
    if data.kind == "multiclass":
        settings["num_class"] = data.n_classes
    data.deadline.check("starting LightGBM")
    train = lightgbm.Dataset(form.matrix(data.X), data.y, weight=data.weight, categorical_feature=native)
    held_out = []
    if data.early is not None:
        held_out = [train.create_valid(form.matrix(data.early.X), data.early.y, weight=data.early.weight)]
    stopper = Stopper(data.deadline, patience=40)

    def watch(env: Any) -> None:
        """Stop boosting by gain or by time."""
        loss = env.evaluation_result_list[0][2] if env.evaluation_result_list else None
        if stopper.stop_after(env.iteration + 1, loss):
            raise lightgbm.callback.EarlyStopException(env.iteration, env.evaluation_result_list)

    booster = lightgbm.train(settings, train, rounds, valid_sets=held_out, callbacks=[watch])
    stopper.require_rounds("LightGBM")
    booster.free_dataset()
    return FittedLightGBM(booster, form, data.kind, data.threads, stopper.rounds, stopper.cut)


def _cost(shape: DataShape) -> float:
    """Measured on one core: 16,000 × 8 rows 1.8 s (550 rounds), 36,000 × 14 rows of two classes 1.3 s (220 rounds)."""
    trees = (500 if shape.kind == "regression" else 120 * max(1, shape.n_classes - 1)) / pace(shape)
    return trees * (1e-3 + 2.5e-8 * round_share(shape.n_columns) * shape.n_rows * (4 + shape.n_columns))


MODEL = Model(
    key="lightgbm",
    title="LightGBM",
    family="boosting",
    summary="Gradient-boosted trees grown leaf by leaf; the most accuracy per second on most tables.",
    needs=Needs(numeric_only=False, no_missing=False),
    fit=_fit,
    cost=_cost,
    defaults=_defaults,
    variants=_variants,
    space=_space,
    priority=10,
    early_stopping=True,
    requires=("lightgbm",),
    open_params=True,
)
