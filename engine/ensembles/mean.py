"""The plain average of the best few: no weights to overfit, and hard to beat where the past is no sure guide to the future.

Members are taken in the order of their own scores; the number of them that scores best as an average is kept, four at least as far
as they are nearly as good as the best. Estimated weights lose to equal ones wherever they are unsure, as under drift (Stock, Watson
2004; Smith, Wallis 2009).
"""

from __future__ import annotations

import numpy as np

from ..plugins import Ensemble, FittedEnsemble
from ..task import Task
from ._quick_scores import QuickLoss
from ._weighted import FittedWeights

_FEWEST = 4
_MOST = 8
_NEARLY = 0.12
"""Of what the best member gains over a constant, what another one may lack to have its share however the average scores."""


def _fit(stack: np.ndarray, y: np.ndarray, task: Task, seed: int) -> FittedEnsemble:
    loss = QuickLoss(y, task)
    losses = np.array([loss(member) for member in stack])
    order = np.argsort(losses, kind="stable")[:_MOST]
    best_alone = losses[order[0]]
    room = loss(np.broadcast_to(_constant(y, task), stack.shape[1:])) - best_alone
    nearly_as_good = int((losses[order] - best_alone <= _NEARLY * max(room, 0.0)).sum())
    fewest = min(_FEWEST, max(nearly_as_good, 1))
    total = np.zeros(stack.shape[1:])
    best_loss, best = np.inf, len(order)
    for size, member in enumerate(order, start=1):
        total += stack[member]
        if size >= fewest and (merged := loss(total / size)) < best_loss:
            best_loss, best = merged, size
    weights = np.zeros(len(stack))
    weights[order[:best]] = 1.0
    return FittedWeights.of(weights)


def _constant(y: np.ndarray, task: Task) -> np.ndarray:
    """What one would predict without any feature (n_outputs,)."""
    if not task.is_classification:
        return np.array([np.mean(y)])
    shares: np.ndarray = np.bincount(y.astype(np.int64), minlength=task.n_outputs) / len(y)
    return shares


ENSEMBLE = Ensemble(
    key="mean",
    title="Mean",
    summary="Averages the best few members' predictions with equal weights.",
    fit=_fit,
    priority=20,
    members="one_per_learner",
)
