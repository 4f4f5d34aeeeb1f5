"""One temperature that makes over- or underconfident probabilities honest, with a shift per class if asked for.

Temperature scaling: Guo et al. 2017; with class shifts: Alexandari et al. 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

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


def fit_temperature(prediction: np.ndarray, y: np.ndarray, shifts: bool = False) -> Temperature:
    """Minimise the log loss of out-of-fold or held-out probabilities (n_rows, n_classes) for the class codes `y` (n_rows,); a class
    that does not occur among them is not shifted."""
    logs, codes = _logs(prediction), y.astype(np.int64)
    n_rows, n_classes = logs.shape
    shifted = np.flatnonzero(np.bincount(codes, minlength=n_classes)) if shifts else np.arange(0)
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
