"""Binary probabilities are mapped through the best increasing step function (Zadrozny and Elkan 2002)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.isotonic import IsotonicRegression

from ...plugins import Component, FitContext, ParamDict
from ...shape import DataShape

_TIE_BREAK = 1e-3
"""Share of the uncorrected probability kept, so that rows on one step stay ranked."""


@dataclass(frozen=True)
class Isotonic:
    """Probability of class 1 by linear interpolation between knots."""

    knots: np.ndarray
    values: np.ndarray

    def apply(self, prediction: np.ndarray) -> np.ndarray:
        """Correct probabilities (n_rows, 2)."""
        raw = prediction[:, 1]
        chance = (1.0 - _TIE_BREAK) * np.interp(raw, self.knots, self.values) + _TIE_BREAK * raw
        return np.stack([1.0 - chance, chance], axis=1)


def fit(prediction: np.ndarray, y: np.ndarray, params: ParamDict, context: FitContext) -> Isotonic:
    """Fit the steps on rows the learner did not see; no step is surer than these rows can show."""
    regression = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    regression.fit(prediction[:, 1], (y == 1).astype(np.float64))
    surest = 1.0 / (len(y) + 2.0)
    values = np.clip(regression.y_thresholds_, surest, 1.0 - surest)
    return Isotonic(np.asarray(regression.X_thresholds_, dtype=np.float64), np.asarray(values, dtype=np.float64))


def applies(shape: DataShape) -> str | None:
    """Needs many rows: the steps overfit few."""
    return None if shape.n_rows >= 5000 else f"{shape.n_rows} rows are too few; temperature calibration needs less"


COMPONENT = Component(
    key="calibration_isotonic",
    slot="post",
    group="post",
    title="Isotonic calibration",
    summary="Corrects binary probabilities by any increasing curve: for large data whose errors are not a mere over-confidence.",
    tasks=frozenset({"binary"}),
    applies=applies,
    fit_post=fit,
)
