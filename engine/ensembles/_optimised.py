"""Weights that minimise a proper loss: squared error for values, log loss for probabilities, whatever the task's metric: it tells
more of each row than a rank or a label does.

They are the mean over random halves of the rows (subagging, Bühlmann, Yu 2002): members that predict alike share the weight,
where one fit on all rows gives it to whichever of them was lucky there.
"""

from __future__ import annotations

import numpy as np

from ..native_threads import single_blas_thread
from ..plugins import FittedEnsemble
from ..task import Task
from ._nonnegative import non_negative
from ._weighted import FittedWeights

MEANS_AND_CHANCES = frozenset({"roc_auc", "average_precision", "log_loss", "brier", "rmse", "r2"})
"""Metrics that squared error and log loss stand for; others ask for medians, or for labels of rare classes."""
_HALVES = 8
_ROUNDS = 100
_ROWS_AT_MOST = 10_000
_FLOOR = 1e-6


def optimised_weights(stack: np.ndarray, y: np.ndarray, task: Task, seed: int) -> FittedEnsemble:
    """Weights for predictions (n_members, n_rows, n_outputs) of the rows of `y` (n_rows,); small shares are dropped."""
    if len(stack) == 1:
        return FittedWeights((1.0,))
    random = np.random.default_rng(seed)
    total = np.zeros(len(stack))
    with single_blas_thread():
        for _ in range(_HALVES):
            rows = random.choice(len(y), min(max(len(y) // 2, 1), _ROWS_AT_MOST), replace=False)
            part, part_y = stack[:, rows], y[rows]
            total += _least_log_loss(part, part_y) if task.is_classification else _least_squares(part[:, :, 0], part_y)
    return FittedWeights.of(total)


def _least_log_loss(stack: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Mixture weights of greatest likelihood, by expectation maximisation: each round cannot make the loss worse, and the
    weights stay non-negative and sum to 1 by themselves (Dempster, Laird, Rubin 1977). Rounds are few on purpose: the last ones
    only move weight between members that predict alike."""
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
    residuals = values - y
    gram = residuals @ residuals.T / len(y)
    scale = np.trace(gram) / len(gram) or 1.0
    # Minimise wᵀ G w with Σw = 1: a root of G stands for the rows, and costs the same for any number of them.
    eigenvalues, vectors = np.linalg.eigh(gram / scale + 1e-9 * np.eye(len(gram)))
    root = np.sqrt(np.clip(eigenvalues, 0.0, None))[:, None] * vectors.T
    heavy = 1e3
    weights = non_negative(np.vstack([root, heavy * np.ones(len(gram))]), np.append(np.zeros(len(gram)), heavy))
    return np.asarray(weights / weights.sum())
