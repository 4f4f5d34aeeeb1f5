"""A small boosted second learner on the members' predictions: finds where one member is better than another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..native_threads import openmp_threads
from ..plugins import Ensemble, FittedEnsemble
from ..task import Task
from ._meta import meta_features

_SHARE = 0.5
"""Share of the boosted learner in the outcome; the rest is the plain mean, which keeps a small stack from going astray."""
_ROWS_AT_MOST, _ROWS_AT_LEAST = 15_000, 2_000
_ROUNDS_AT_MOST, _ROUNDS_AT_LEAST = 60, 10
_TREES = 240
"""Trees in all, one per class and round: many classes get fewer, longer steps."""
_WORK = 250_000_000
"""Rows times inputs times trees of one fit, about a second."""


@dataclass
class FittedBoostedStack:
    """The boosted learner corrects the plain mean halfway; without one (a single member) the member stands."""

    estimator: Any
    regression: bool
    n_outputs: int
    weights: tuple[float, ...] | None = None

    def combine(self, stack: np.ndarray) -> np.ndarray:
        """(n_members, n_rows, n_outputs) → (n_rows, n_outputs)."""
        mean = np.asarray(stack.mean(axis=0))
        if self.estimator is None:
            return mean
        inputs = meta_features(stack, self.regression)
        with openmp_threads(1):
            if self.regression:
                return np.asarray(mean + _SHARE * self.estimator.predict(inputs).reshape(-1, 1))
            boosted = np.zeros_like(mean)
            boosted[:, self.estimator.classes_.astype(np.int64)] = self.estimator.predict_proba(inputs)
        return (1.0 - _SHARE) * mean + _SHARE * boosted


def _fit(stack: np.ndarray, y: np.ndarray, task: Task, seed: int) -> FittedEnsemble:
    regression = not task.is_classification
    if len(stack) == 1:
        return FittedBoostedStack(None, regression, stack.shape[2], weights=(1.0,))
    trees_per_round = stack.shape[2] if stack.shape[2] > 2 else 1
    rounds = int(np.clip(_TREES // trees_per_round, _ROUNDS_AT_LEAST, _ROUNDS_AT_MOST))
    settings: dict[str, Any] = {
        "max_iter": rounds,
        "learning_rate": 3.6 / rounds,
        "max_leaf_nodes": 6,
        "min_samples_leaf": int(np.clip(len(y) // 50, 5, 100)),
        "l2_regularization": 5.0,
        "early_stopping": False,
        "random_state": seed,
    }
    n_inputs = len(stack) * trees_per_round
    n_rows = int(np.clip(_WORK // (n_inputs * rounds * trees_per_round), _ROWS_AT_LEAST, _ROWS_AT_MOST))
    if len(y) > n_rows:
        rows = np.random.default_rng(seed).choice(len(y), n_rows, replace=False)
        stack, y = stack[:, rows], y[rows]
    inputs = meta_features(stack, regression)
    with openmp_threads(1):
        return FittedBoostedStack(_boost(inputs, stack, y, settings, regression), regression, stack.shape[2])


def _boost(inputs: np.ndarray, stack: np.ndarray, y: np.ndarray, settings: dict[str, Any], regression: bool) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    if regression:
        # Trees cannot extrapolate; on what the mean leaves over they need not.
        return HistGradientBoostingRegressor(**settings).fit(inputs, y - stack.mean(axis=0)[:, 0])
    return HistGradientBoostingClassifier(**settings).fit(inputs, y)


ENSEMBLE = Ensemble(
    key="stack_boosted",
    title="Boosted stack",
    summary="A small boosted model on the members' predictions, averaged with their mean.",
    fit=_fit,
    priority=60,
    members="few",
)
