"""What linear learners share: tame inputs for the solver, and prediction from coefficients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Taming:
    """Centres every column and divides those whose spread exceeds 1 by it.

    One-hot and scaled columns keep the size a block gave them, so that the penalty means the same; a raw column of millions
    cannot break the solver.
    """

    centre: np.ndarray
    spread: np.ndarray

    @classmethod
    def fit(cls, X: pd.DataFrame) -> tuple[Taming, np.ndarray]:
        """Learn from training rows (n_rows, n_columns); returns them tamed, too, as float64 rows for the solver."""
        # In place on one copy: wide one-hot tables are large, and folds are fitted side by side.
        rows: np.ndarray = X.to_numpy(dtype=np.float64, copy=True)
        centre = rows.mean(axis=0)
        rows -= centre
        spread = np.maximum(np.sqrt(np.einsum("ij,ij->j", rows, rows) / len(rows)), 1.0)
        rows /= spread
        return cls(centre, spread), rows

    def apply(self, X: pd.DataFrame) -> np.ndarray:
        """Frame (n_rows, n_columns) → float64 rows for the solver."""
        tamed: np.ndarray = X.to_numpy(dtype=np.float64, copy=True)
        tamed -= self.centre
        tamed /= self.spread
        return tamed


@dataclass
class FittedLinear:
    """Coefficients `(n_columns, n_scores)`: one score for values and for two classes, else one per class."""

    taming: Taming
    coefficients: np.ndarray
    intercept: np.ndarray
    regression: bool
    cut: bool = False
    rounds: int | None = None

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Probabilities (n_rows, n_classes) or values (n_rows, 1), float64."""
        from scipy.special import expit, softmax

        scores = self.taming.apply(X) @ self.coefficients + self.intercept
        if self.regression:
            return np.asarray(scores)
        if scores.shape[1] == 1:
            return np.hstack([expit(-scores), expit(scores)])
        return np.asarray(softmax(scores, axis=1))
