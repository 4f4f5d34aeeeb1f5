"""XGBoost: depth-wise histogram boosting, a different bias from LightGBM's and so a good partner of it.

Trees of depth 6 with 0.6 of the columns per level; a second setting is XGB-TD for regression (tuned on 71 training tables,
Holzmüller, Grinsztajn, Steinwart 2024, arXiv 2407.04491) and shallow trees for two classes. On noisy two-class tables XGB-TD itself
lost to both. Several classes get deeper trees with a penalty, which wine_quality prefers clearly (log loss 1.03 with XGB-TD).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..levels import NATIVE_LEVELS
from ..plugins import FittedModel, Model, Needs, ParamDict, TrainingData
from ..shape import DataShape
from ._categories import MatrixForm
from ._pace import bins, pace, paced, round_share
from ._rounds import Stopper, planned_rounds

if TYPE_CHECKING:
    import optuna

_LEAST_ROWS_PER_THREAD = 500


@dataclass
class FittedXGBoost:
    """A booster with the form of its input."""

    booster: Any
    form: MatrixForm
    feature_types: list[str]
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
        import xgboost

        threads = self.threads if len(X) >= _LEAST_ROWS_PER_THREAD else 1
        rows = xgboost.DMatrix(
            self.form.matrix(X), feature_types=self.feature_types, enable_categorical=True, nthread=threads
        )
        # Setting the threads makes the booster ready anew, which a second caller must not meet halfway.
        with self._lock:
            self.booster.set_param({"nthread": threads})
            raw = np.asarray(self.booster.predict(rows, iteration_range=(0, self.rounds)), dtype=np.float64)
        if self.kind == "binary":
            return np.column_stack([1.0 - raw, raw])
        values = raw.reshape(len(X), -1)
        return values if self.kind == "regression" else values / values.sum(axis=1, keepdims=True)


_SETS, _SINGLE = 4, NATIVE_LEVELS + 1
"""Below so many levels splits take one at a time: XGBoost's own number, and more than a native category has."""
_MIDDLE: ParamDict = {
    "learning_rate": 0.05, "max_depth": 6, "min_child_weight": 1.0,
    "subsample": 0.8, "colsample_bylevel": 0.6, "reg_lambda": 1.0,
}  # fmt: skip
_SHALLOW: ParamDict = {
    "learning_rate": 0.06, "max_depth": 4, "min_child_weight": 2.0,
    "subsample": 0.9, "colsample_bylevel": 0.5, "reg_lambda": 3.0,
}  # fmt: skip
_XGB_TD: ParamDict = {
    "learning_rate": 0.05, "max_depth": 9, "min_child_weight": 2.0,
    "subsample": 0.7, "colsample_bylevel": 1.0, "reg_lambda": 0.0,
}  # fmt: skip
_SEVERAL_CLASSES: ParamDict = {
    "learning_rate": 0.05, "max_depth": 8, "min_child_weight": 5e-6,
    "subsample": 0.65, "colsample_bylevel": 0.9, "reg_lambda": 1.0,
}  # fmt: skip


def _settings(shape: DataShape) -> list[ParamDict]:
    """All settings, the most promising first; the second one differs most in the depth of its trees."""
    if shape.kind == "multiclass":
        return [_SEVERAL_CLASSES, _MIDDLE]
    return [_MIDDLE, _XGB_TD if shape.kind == "regression" else _SHALLOW]


def _defaults(shape: DataShape) -> ParamDict:
    """Of noisy classes, splits that take one level at a time learn less noise than those that take any set of levels (adult ROC AUC
    +0.0006 to +0.0009 with three seeds, diabetes130 log loss −0.3 %, telco_churn the same); for numbers it is the other way round
    (diamonds RMSE +4 %)."""
    return {
        "native_levels": NATIVE_LEVELS,
        "max_cat_to_onehot": _SETS if shape.kind == "regression" else _SINGLE,
        **paced(_settings(shape), shape)[0],
    }


def _variants(shape: DataShape) -> list[ParamDict]:
    return paced(_settings(shape), shape)[1:]


def _space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.008, 0.2, log=True),
        "max_depth": trial.suggest_int("max_depth", 3, 11),
        "min_child_weight": trial.suggest_float("min_child_weight", 1e-6, 50.0, log=True),
        "subsample": trial.suggest_float("subsample", 0.5, 1.0),
        "colsample_bylevel": trial.suggest_float("colsample_bylevel", 0.4, 1.0),
        "reg_lambda": trial.suggest_float("reg_lambda", 0.0, 10.0),
        "native_levels": trial.suggest_categorical("native_levels", [8, 100, 10_000]),
        "max_cat_to_onehot": trial.suggest_categorical("max_cat_to_onehot", [_SETS, _SINGLE]),
    }


def _objective(data: TrainingData) -> tuple[str, str]:
    """Return the objective and the loss watched on held-out rows."""
    if data.kind == "regression":
        if data.metric.key in {"mae", "mape"}:
            return "reg:absoluteerror", "mae"
        return "reg:squarederror", "rmse"
    return ("binary:logistic", "logloss") if data.kind == "binary" else ("multi:softprob", "mlogloss")


def _fit(data: TrainingData) -> FittedModel:
    import xgboost

    params = dict(data.params)
    at_most, native_levels = int(params.pop("n_estimators") or 1), int(params.pop("native_levels") or 0)
    rounds = planned_rounds(data.rounds, at_most, float(params["learning_rate"] or 0.1), data.early is not None)
    form = MatrixForm.of(data.X)
    feature_types = [
        "c" if name in form.levels and len(form.levels[name]) <= native_levels else "q" for name in form.columns
    ]
    objective, metric = _objective(data)
    settings: dict[str, Any] = {
        **params,
        "objective": objective,
        "eval_metric": metric,
        "tree_method": "hist",
        "nthread": data.threads,
        "seed": data.seed,
        "verbosity": 0,
    }
    if data.kind == "multiclass":
        settings["num_class"] = data.n_classes
    data.deadline.check("starting XGBoost")
    settings["max_bin"] = bins(data.X.shape[1]) + 1
    options: dict[str, Any] = {
        "max_bin": settings["max_bin"],
        "feature_types": feature_types,
        "enable_categorical": True,
        "nthread": data.threads,
    }
    train = xgboost.QuantileDMatrix(form.matrix(data.X), data.y, weight=data.weight, **options)
    held_out = []
    if data.early is not None:
        early = data.early
        rows = xgboost.QuantileDMatrix(form.matrix(early.X), early.y, weight=early.weight, ref=train, **options)
        held_out = [(rows, "held_out")]
    stopper = Stopper(data.deadline, patience=40)

    class Watch(xgboost.callback.TrainingCallback):  # type: ignore[misc]
        """Stop boosting by gain or by time."""

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002
            loss = evals_log["held_out"][metric][-1] if evals_log else None
            return stopper.stop_after(epoch + 1, loss)

    booster = xgboost.train(settings, train, rounds, evals=held_out, callbacks=[Watch()], verbose_eval=False)
    stopper.require_rounds("XGBoost")
    return FittedXGBoost(booster, form, feature_types, data.kind, data.threads, stopper.rounds, stopper.cut)


def _cost(shape: DataShape) -> float:
    """Measured on one core: 16,000 × 8 rows 4.6 s (600 rounds), 36,000 × 14 rows of two classes 1.3 s (120 rounds)."""
    trees = (600 if shape.kind == "regression" else 80 * max(1, shape.n_classes)) / pace(shape)
    return trees * (1e-3 + 2.5e-8 * round_share(shape.n_columns) * shape.n_rows * (4 + shape.n_columns))


MODEL = Model(
    key="xgboost",
    title="XGBoost",
    family="boosting",
    summary="Gradient-boosted trees grown level by level; blends well with LightGBM.",
    needs=Needs(numeric_only=False, no_missing=False),
    fit=_fit,
    cost=_cost,
    defaults=_defaults,
    variants=_variants,
    space=_space,
    priority=15,
    early_stopping=True,
    requires=("xgboost",),
    open_params=True,
)
