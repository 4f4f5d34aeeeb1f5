"""A linear support vector machine (liblinear): cares about the border only, so it errs differently from logistic regression."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..plugins import FittedModel, Model, Needs, ParamDict, TrainingData
from ..shape import DataShape
from ._margins import fit_machine

if TYPE_CHECKING:
    import optuna

_ITERATIONS = 300


def _defaults(shape: DataShape) -> ParamDict:
    return {"C": 0.1}


def _space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    return {"C": trial.suggest_float("C", 1e-4, 10.0, log=True)}


def _fit(data: TrainingData) -> FittedModel:
    from sklearn.svm import LinearSVC, LinearSVR

    data.deadline.check("starting a support vector machine")
    C = float(data.params["C"] or 1.0)
    if data.kind == "regression":
        machine = LinearSVR(C=C, loss="squared_epsilon_insensitive", dual=False, max_iter=_ITERATIONS)
    else:
        machine = LinearSVC(C=C, dual=False, max_iter=_ITERATIONS, random_state=data.seed)
    return fit_machine(machine, data)


def _cost(shape: DataShape) -> float:
    return 0.02 + 4e-7 * shape.n_rows * shape.dense_columns * (shape.n_classes if shape.n_classes > 2 else 1)


def _applies(shape: DataShape) -> str | None:
    return "linear support vector machines need 200,000 rows or fewer" if shape.n_rows > 200_000 else None


MODEL = Model(
    key="svm_linear",
    title="Linear SVM",
    family="svm",
    summary="A linear border of greatest margin, with calibrated probabilities.",
    needs=Needs(numeric_only=True, no_missing=True, scaling=True),
    fit=_fit,
    cost=_cost,
    defaults=_defaults,
    space=_space,
    applies=_applies,
    most_rows=100_000,
    priority=58,
)
