"""Probabilities are sharpened or softened by one temperature, with a shift per class if asked for.

Temperature scaling: Guo et al. 2017; with class shifts: Alexandari et al. 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from ...plugins import Component, FitContext, ParamDict
from ...shape import DataShape
from ...task import CLASSIFICATION

if TYPE_CHECKING:
    import optuna

_SMALLEST = 1e-9
_SHIFT_PENALTY = 1.0
"""Strength, in rows, of the pull of the shifts to 0."""


@dataclass(frozen=True)
class Temperature:
    """softmax(sharpness · log p + shift)."""

    sharpness: float
    shift: np.ndarray

    def apply(self, prediction: np.ndarray) -> np.ndarray:
        """Correct probabilities (n_rows, n_classes)."""
        return np.asarray(softmax(self.sharpness * _logs(prediction) + self.shift, axis=1))


def fit(prediction: np.ndarray, y: np.ndarray, params: ParamDict, context: FitContext) -> Temperature:
    """Minimise the log loss on rows the learner did not see; a class that does not occur among them is not shifted."""
    logs, codes = _logs(prediction), y.astype(np.int64)
    n_rows, n_classes = logs.shape
    shifted = np.flatnonzero(np.bincount(codes, minlength=n_classes)) if params["shifts"] else np.arange(0)
    rows = np.arange(n_rows)

    def unpack(free: np.ndarray) -> tuple[float, np.ndarray]:
        shift = np.zeros(n_classes)
        shift[shifted] = free[1:]
        return float(np.exp(free[0])), shift

    def loss(free: np.ndarray) -> tuple[float, np.ndarray]:
        """Mean log loss and its gradient."""
        sharpness, shift = unpack(free)
        log_chances = log_softmax(sharpness * logs + shift, axis=1)
        residual = np.exp(log_chances)
        residual[rows, codes] -= 1.0
        slope = np.concatenate(
            [[sharpness * (residual * logs).sum()], residual.sum(axis=0)[shifted] + _SHIFT_PENALTY * free[1:]]
        )
        total = -log_chances[rows, codes].sum() + 0.5 * _SHIFT_PENALTY * (free[1:] ** 2).sum()
        return float(total / n_rows), slope / n_rows

    limits = [(np.log(0.05), np.log(20.0))] + [(-10.0, 10.0)] * len(shifted)
    best = minimize(loss, np.zeros(1 + len(shifted)), jac=True, method="L-BFGS-B", bounds=limits)
    return Temperature(*unpack(best.x))


def _logs(prediction: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.clip(prediction, _SMALLEST, None)))


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
