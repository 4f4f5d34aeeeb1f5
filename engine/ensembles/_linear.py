"""A linear second learner on the members' values or log probabilities (Wolpert 1992; Breiman 1996).

Each member has one non-negative coefficient for all classes, so the stack can sharpen or soften a blend but not turn a member's
opinion around; a ridge penalty towards equal shares keeps it steady.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..native_threads import single_blas_thread
from ..plugins import FittedEnsemble
from ..task import Task
from ._nonnegative import non_negative

_LEAST = 1e-4
_PENALTY = 20.0
"""Strength of the pull towards equal shares, in rows."""
_ROWS_AT_MOST = 20_000


@dataclass
class FittedLinearStack:
    """Coefficients per member and one offset per output."""

    coefficients: np.ndarray
    offset: np.ndarray
    regression: bool
    weights: tuple[float, ...] | None = None

    def combine(self, stack: np.ndarray) -> np.ndarray:
        """(n_members, n_rows, n_outputs) → (n_rows, n_outputs)."""
        from scipy.special import softmax

        if self.regression:
            return np.asarray(np.tensordot(self.coefficients, stack, axes=1) + self.offset)
        return np.asarray(softmax(np.tensordot(self.coefficients, _logs(stack), axes=1) + self.offset, axis=1))


def _logs(stack: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.clip(stack, _LEAST, 1.0)))


def linear_stack(stack: np.ndarray, y: np.ndarray, task: Task, seed: int) -> FittedEnsemble:
    """Fit a stack of predictions (n_members, n_rows, n_outputs) of the rows of `y` (n_rows,)."""
    if len(stack) == 1:
        return FittedSingle()
    if len(y) > _ROWS_AT_MOST:
        rows = np.random.default_rng(seed).choice(len(y), _ROWS_AT_MOST, replace=False)
        stack, y = stack[:, rows], y[rows]
    with single_blas_thread():
        return _fit_classes(stack, y) if task.is_classification else _fit_values(stack[:, :, 0], y)


@dataclass
class FittedSingle:
    """One member has nothing to be stacked with."""

    weights: tuple[float, ...] | None = (1.0,)

    def combine(self, stack: np.ndarray) -> np.ndarray:
        """(1, n_rows, n_outputs) → (n_rows, n_outputs)."""
        return np.asarray(stack[0])


def _fit_values(values: np.ndarray, y: np.ndarray) -> FittedLinearStack:
    """Non-negative ridge towards equal shares, on centred values."""
    n_members = len(values)
    centre, y_centre = values.mean(axis=1), float(y.mean())
    inputs, target = (values - centre[:, None]).T, y - y_centre
    prior = np.full(n_members, 1.0 / n_members)
    pull = np.sqrt(_PENALTY * max(float((inputs**2).mean()), 1e-12))
    gram = inputs.T @ inputs + pull**2 * np.eye(n_members)
    right = inputs.T @ target + pull**2 * prior
    root = np.linalg.cholesky(gram).T
    coefficients = non_negative(root, np.linalg.solve(root.T, right))
    return FittedLinearStack(coefficients, np.array([y_centre - float(coefficients @ centre)]), regression=True)


def _fit_classes(stack: np.ndarray, y: np.ndarray) -> FittedLinearStack:
    """Softmax over one coefficient per member and one offset per class, by L-BFGS-B with its bounds."""
    from scipy.optimize import minimize
    from scipy.special import logsumexp

    n_members, n_rows, n_classes = stack.shape
    logs = _logs(stack)
    target = np.eye(n_classes)[y.astype(np.int64)]
    start = np.concatenate([np.full(n_members, 1.0 / n_members), np.zeros(n_classes)])

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        scores = np.tensordot(point[:n_members], logs, axes=1) + point[n_members:]
        log_probability = scores - logsumexp(scores, axis=1, keepdims=True)
        error = np.exp(log_probability) - target
        away = point - start
        value = -(target * log_probability).sum() / n_rows + _PENALTY / n_rows * 0.5 * float(away @ away)
        slope = np.concatenate([np.tensordot(logs, error, axes=2), error.sum(axis=0)]) / n_rows
        return float(value), slope + _PENALTY / n_rows * away

    bounds = [(0.0, None)] * n_members + [(None, None)] * n_classes
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 100})
    return FittedLinearStack(found.x[:n_members], found.x[n_members:], regression=False)
