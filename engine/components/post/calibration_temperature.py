"""Probabilities are sharpened or softened by one temperature, with a shift per class if asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...plugins import Component, FitContext, ParamDict
from ...shape import DataShape
from ...task import CLASSIFICATION
from ...temperature import Temperature, fit_temperature

if TYPE_CHECKING:
    import optuna


def fit(prediction: np.ndarray, y: np.ndarray, params: ParamDict, context: FitContext) -> Temperature:
    """Minimise the log loss on rows the learner did not see."""
    return fit_temperature(prediction, y, bool(params["shifts"]))


def space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    """With or without class shifts."""
    return {"shifts": trial.suggest_categorical("shifts", [False, True])}


def applies(shape: DataShape) -> str | None:
    """Needs enough rows to hold some out."""
    return None if shape.n_rows >= 300 else f"{shape.n_rows} rows are too few to hold some out for calibration"


COMPONENT = Component(
    key="calibration_temperature",
    slot="post",
    group="post",
    title="Temperature calibration",
    summary="Makes over- or underconfident probabilities honest with one number, ranking unchanged: for log loss and Brier score.",
    defaults={"shifts": False},
    space=space,
    tasks=CLASSIFICATION,
    applies=applies,
    fit_post=fit,
)
