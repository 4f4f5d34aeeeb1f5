"""Half a weighted mean, half a linear stack of the same members: two ways to be wrong that differ. Under log loss, which is what
the stack minimises, it has three quarters.

The mean of probabilities is too careful and moves weight slowly; the stack adds log probabilities, sharpens, and follows the folds
closer than the models that are fitted on all rows later do. What the mean gives no share takes no part. Probabilities get one
temperature at the end, which leaves the ranking of two classes as it is.

Both halves aim at means and chances, so under a metric that asks for something else (medians, labels of rare classes) there are
the weights alone: a stack would turn members back that were fitted for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..plugins import Ensemble, FittedEnsemble
from ..task import Task
from ..temperature import Temperature, fit_temperature
from ._linear import linear_stack
from ._optimised import MEANS_AND_CHANCES, optimised_weights
from ._weighted import FittedWeights

_STACK_SHARE, _STACK_SHARE_OF_LOG_LOSS = 0.5, 0.75
_ROWS_AT_MOST = 20_000
"""For the stack and the temperature."""


@dataclass
class FittedBlend:
    """`weights` are the shares of the weighted half; members of share 0.0 take no part in the stack either."""

    weights: tuple[float, ...] | None
    stack: FittedEnsemble
    stack_share: float
    temperature: Temperature | None = None

    def combine(self, stack: np.ndarray) -> np.ndarray:
        """(n_members, n_rows, n_outputs) → (n_rows, n_outputs)."""
        used = np.flatnonzero(np.asarray(self.weights))
        members = stack if len(used) == len(stack) else stack[used]
        mean, stacked = FittedWeights(self.weights).combine(stack), self.stack.combine(members)
        blended = (1.0 - self.stack_share) * mean + self.stack_share * stacked
        return blended if self.temperature is None else self.temperature.apply(blended)


def _fit(stack: np.ndarray, y: np.ndarray, task: Task, seed: int) -> FittedEnsemble:
    shares = _settled_shares(stack, y, task, seed)
    used = np.flatnonzero(shares)
    if len(used) == 1 or task.metric.key not in MEANS_AND_CHANCES:
        return FittedWeights(tuple(shares.tolist()))
    rows = np.arange(len(y))
    if len(rows) > _ROWS_AT_MOST:
        rows = np.sort(np.random.default_rng(seed).choice(rows, _ROWS_AT_MOST, replace=False))
    part, part_y = _foreseeable(stack[:, rows], y[rows], task)
    stack_share = _STACK_SHARE_OF_LOG_LOSS if task.metric.key == "log_loss" else _STACK_SHARE
    blend = FittedBlend(tuple(shares.tolist()), linear_stack(part[used], part_y, task, seed), stack_share)
    if task.is_classification:
        blend.temperature = fit_temperature(blend.combine(part), part_y)
    return blend


def _foreseeable(stack: np.ndarray, y: np.ndarray, task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Without rows of a class that no member knew, as where a fold lacks a rare one: that they were surprised says nothing of how
    sure they may be of the classes they know, and the final model will know them all."""
    if not task.is_classification:
        return stack, y
    known = (stack[:, np.arange(len(y)), y.astype(np.int64)] > 0.0).any(axis=0)
    return (stack[:, known], y[known]) if known.any() else (stack, y)


def _settled_shares(stack: np.ndarray, y: np.ndarray, task: Task, seed: int) -> np.ndarray:
    """Shares (n_members,) that come out the same when only the members that have one are asked, as for the final model."""
    shares = np.ones(len(stack))
    while True:
        used = np.flatnonzero(shares)
        fitted = np.asarray(optimised_weights(stack[used], y, task, seed).weights)
        shares = np.zeros(len(stack))
        shares[used] = fitted
        if fitted.all():
            return shares


ENSEMBLE = Ensemble(
    key="blend",
    title="Blend of weights and a linear stack",
    summary="Part optimised weights, part linear stack of the same members, with one temperature for probabilities.",
    fit=_fit,
    priority=10,
    aims_at=MEANS_AND_CHANCES,
    averages=False,
)
