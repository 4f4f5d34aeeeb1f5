"""The plain average of the best few: no weights to overfit, and hard to beat where the past is no sure guide to the future.

Members are taken in the order of their own scores; the number of them that scores best as an average is kept, four at least.
Estimated weights lose to equal ones wherever they are unsure, as under drift (Stock, Watson 2004; Smith, Wallis 2009).
"""

from __future__ import annotations

import numpy as np

from ..plugins import Ensemble, FittedEnsemble
from ..task import Task
from ._quick_scores import QuickLoss
from ._weighted import FittedWeights

_FEWEST = 4
_MOST = 8


def _fit(stack: np.ndarray, y: np.ndarray, task: Task, seed: int) -> FittedEnsemble:
    loss = QuickLoss(y, task)
    order = np.argsort([loss(member) for member in stack], kind="stable")[:_MOST]
    total = np.zeros(stack.shape[1:])
    best_loss, best = np.inf, len(order)
    for size, member in enumerate(order, start=1):
        total += stack[member]
        if size >= min(_FEWEST, len(order)) and (merged := loss(total / size)) < best_loss:
            best_loss, best = merged, size
    weights = np.zeros(len(stack))
    weights[order[:best]] = 1.0
    return FittedWeights.of(weights)


ENSEMBLE = Ensemble(
    key="mean",
    title="Mean",
    summary="Averages the best few members' predictions with equal weights.",
    fit=_fit,
    priority=20,
    members="one_per_learner",
)
