"""The average of the best few, by how near each is to the best alone: no weights to overfit, and hard to beat where the past is no
sure guide to the future.

Estimated weights lose to equal ones wherever they are unsure, as under drift (Stock, Watson 2004; Smith, Wallis 2009). So members
that are as good as the best have equal shares; the share falls to nothing for one that is clearly worse. With a bound instead, a
member near it would change the outcome by being, in this run, just within or just beyond it.
"""

from __future__ import annotations

import numpy as np

from ..constant import best_value, class_shares
from ..plugins import Ensemble, FittedEnsemble
from ..quick_scores import QuickLoss
from ..task import Task
from ._weighted import FittedWeights

_MOST = 8
_BEHIND = 0.15
"""Of what the best member gains over a constant, what another one may lack before its share is nothing."""


def _fit(stack: np.ndarray, y: np.ndarray, task: Task, seed: int) -> FittedEnsemble:
    loss = QuickLoss(y, task)
    losses = np.array([loss(member) for member in stack])
    behind = losses - losses.min()
    room = loss(np.broadcast_to(_constant(y, task), stack.shape[1:])) - losses.min()
    # Where the best is no better than a constant, only those that are as good share the outcome.
    shares = np.clip(1.0 - behind / (_BEHIND * room), 0.0, None) if room > 0.0 else (behind <= 0.0).astype(np.float64)
    shares[np.argsort(-shares, kind="stable")[_MOST:]] = 0.0
    return FittedWeights.of(shares)


def _constant(y: np.ndarray, task: Task) -> np.ndarray:
    """What one would predict without any feature (n_outputs,)."""
    if task.is_classification:
        return class_shares(y, task.n_outputs)
    if task.metric.key == "rmsle":
        return np.array([np.expm1(best_value(np.log1p(y), task.metric))])
    # Errors that count in proportion to the value have their middle among the small ones.
    return np.array([best_value(y, task.metric, 1.0 / np.abs(y) if task.metric.key == "mape" else None)])


ENSEMBLE = Ensemble(
    key="mean",
    title="Mean",
    summary="Averages the best few members' predictions, each by how near it is to the best alone.",
    fit=_fit,
    priority=20,
    members="one_per_learner",
)
