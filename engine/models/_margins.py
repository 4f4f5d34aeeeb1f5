"""From the margins of a support vector machine to probabilities (Platt 1999, with several classes at once)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..plugins import TrainingData
from ._linear_form import Taming


@dataclass
class FittedMargins:
    """A machine with the map from its margins to probabilities, or with the scale of a regression target."""

    taming: Taming
    machine: Any
    calibration: Any
    centre: float = 0.0
    spread: float = 1.0
    rounds: int | None = None
    cut: bool = False

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Probabilities (n_rows, n_classes) or values (n_rows, 1), float64."""
        rows = self.taming.apply(X)
        if self.calibration is None:
            return np.asarray(self.machine.predict(rows) * self.spread + self.centre).reshape(-1, 1)
        return np.asarray(self.calibration.predict_proba(_margins(self.machine, rows)))


def fit_machine(machine: Any, data: TrainingData) -> FittedMargins:
    """Fit a support vector machine on tamed rows.

    For classes a third of the rows, unseen by a first fit, teaches the probabilities; the machine kept is fitted on all rows. Where
    a part lacks a class, all rows teach both.
    """
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression

    taming = Taming.fit(data.X)
    rows = taming.apply(data.X)
    if data.kind == "regression":
        centre, spread = float(data.y.mean()), float(data.y.std()) or 1.0
        _quiet_fit(machine, rows, (data.y - centre) / spread, data.weight)
        return FittedMargins(taming, machine, None, centre, spread)
    order = np.random.default_rng(data.seed).permutation(len(rows))
    held, first = order[: len(rows) // 3], order[len(rows) // 3 :]
    if min(len(np.unique(data.y[held])), len(np.unique(data.y[first]))) < data.n_classes:
        held = first = order
    weight = data.weight
    probe = _quiet_fit(clone(machine), rows[first], data.y[first], None if weight is None else weight[first])
    calibration = LogisticRegression(C=10.0, max_iter=500)
    calibration.fit(_margins(probe, rows[held]), data.y[held], sample_weight=None if weight is None else weight[held])
    data.deadline.check("fitting a support vector machine")
    return FittedMargins(taming, _quiet_fit(machine, rows, data.y, weight), calibration)


def _quiet_fit(machine: Any, rows: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> Any:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # The limit on iterations stands for the clock, which the library does not look at.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return machine.fit(rows, y, sample_weight=weight)


def _margins(machine: Any, rows: np.ndarray) -> np.ndarray:
    return np.asarray(machine.decision_function(rows)).reshape(len(rows), -1)
