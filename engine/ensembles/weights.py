"""Weights that minimise a proper loss: squared or absolute error for values, log loss for probabilities."""

from __future__ import annotations

import numpy as np

from ..native_threads import single_blas_thread
from ..plugins import Ensemble, FittedEnsemble
from ..task import Task
from ._weighted import FittedWeights

_ROUNDS = 300
_ROWS_AT_MOST = 20_000
_FLOOR = 1e-6


def _fit(stack: np.ndarray, y: np.ndarray, task: Task, seed: int) -> FittedEnsemble:
    if len(stack) == 1:
        return FittedWeights((1.0,))
    if len(y) > _ROWS_AT_MOST:
        rows = np.random.default_rng(seed).choice(len(y), _ROWS_AT_MOST, replace=False)
        stack, y = stack[:, rows], y[rows]
    with single_blas_thread():
        return FittedWeights.of(
            _least_log_loss(stack, y) if task.is_classification else _least_squares(stack[:, :, 0], y)
        )


def _least_log_loss(stack: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Mixture weights of greatest likelihood, by expectation maximisation: each round cannot make the loss worse, and the
    weights stay non-negative and sum to 1 by themselves (Dempster, Laird, Rubin 1977)."""
    likelihood = np.clip(stack[:, np.arange(len(y)), y.astype(np.int64)], _FLOOR, None)
    weights = np.full(len(stack), 1.0 / len(stack))
    for _ in range(_ROUNDS):
        new = weights * (likelihood @ (1.0 / (weights @ likelihood))) / len(y)
        if np.abs(new - weights).max() < 1e-6:
            return np.asarray(new)
        weights = new
    return weights


def _least_squares(values: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Non-negative least squares; a heavy row asks the weights to sum to 1 (Breiman 1996, "Stacked regressions")."""
    from scipy.optimize import nnls

    residuals = values - y
    gram = residuals @ residuals.T / len(y)
    scale = np.trace(gram) / len(gram) or 1.0
    # Minimise wᵀ G w with Σw = 1: a root of G stands for the rows, and costs the same for any number of them.
    eigenvalues, vectors = np.linalg.eigh(gram / scale + 1e-9 * np.eye(len(gram)))
    root = np.sqrt(np.clip(eigenvalues, 0.0, None))[:, None] * vectors.T
    heavy = 1e3
    weights, _ = nnls(np.vstack([root, heavy * np.ones(len(gram))]), np.append(np.zeros(len(gram)), heavy))
    return np.asarray(weights / weights.sum())


ENSEMBLE = Ensemble(
    key="weights",
    title="Optimised weights",
    summary="Non-negative weights that minimise squared error or log loss out of fold.",
    fit=_fit,
    priority=20,
)
