"""The average of ranks: for ranking metrics, where members agree on the order but not on the scale.

Ranks are no probabilities, so the average is mapped back to the scale of the members' mean: the order is that of the ranks, labels
and probabilities are as frequent as the mean's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..plugins import Ensemble, FittedEnsemble
from ..task import Task
from ._weighted import FittedWeights

_REFERENCE_POINTS = 2_000
_SLOPE = 1e-6
"""Weight of the mean rank in the outcome: it keeps rows apart where the members' mean does not."""


@dataclass
class FittedRankMean:
    """Each member's score is replaced by its place in that member's own out-of-fold distribution.

    `reference` holds quantiles of the positive class per member, so one new row is placed as well as a thousand. `ranks` and
    `probabilities`, both growing, are quantiles of the out-of-fold mean rank and of the members' mean probability.
    """

    reference: tuple[np.ndarray, ...]
    places: tuple[np.ndarray, ...]
    ranks: np.ndarray
    probabilities: np.ndarray
    weights: tuple[float, ...] | None = None

    def combine(self, stack: np.ndarray) -> np.ndarray:
        """(n_members, n_rows, 2) → (n_rows, 2)."""
        rank = _mean_rank(stack, self.reference, self.places)
        positive = (1.0 - _SLOPE) * np.interp(rank, self.ranks, self.probabilities) + _SLOPE * rank
        return np.column_stack([1.0 - positive, positive])


def _mean_rank(stack: np.ndarray, reference: tuple[np.ndarray, ...], places: tuple[np.ndarray, ...]) -> np.ndarray:
    """Mean place (n_rows,), 0…1, of the members' scores in their distributions."""
    ranks = [
        np.interp(member[:, 1], values, known) for member, values, known in zip(stack, reference, places, strict=True)
    ]
    return np.asarray(np.mean(ranks, axis=0))


def _scale(rank: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct mean ranks with the probability of the same quantile, the mean of them where ranks are equal; thinned."""
    values, starts, counts = np.unique(np.sort(rank), return_index=True, return_counts=True)
    means = np.add.reduceat(np.sort(probability), starts) / counts
    return _thinned(values, np.clip(np.maximum.accumulate(means), 0.0, 1.0))


def _distribution(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct reference values with their mid-rank in 0…1, thinned to 2,000 points."""
    values, counts = np.unique(scores, return_counts=True)
    places = (np.cumsum(counts) - counts / 2) / len(scores)
    return _thinned(values, places)


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep 2,000 points of a curve, its ends among them."""
    if len(x) <= _REFERENCE_POINTS:
        return x, y
    kept = np.unique(np.linspace(0, len(x) - 1, _REFERENCE_POINTS).astype(np.int64))
    return x[kept], y[kept]


def _fit(stack: np.ndarray, y: np.ndarray, task: Task, seed: int) -> FittedEnsemble:
    if task.kind != "binary" or task.metric.key not in {"roc_auc", "average_precision"} or len(stack) == 1:
        # Ranks would spoil a metric that reads probabilities: equal weights on the members' own scale.
        return FittedWeights.of(np.ones(len(stack)))
    pairs = [_distribution(member[:, 1]) for member in stack]
    reference, places = tuple(values for values, _ in pairs), tuple(places for _, places in pairs)
    rank = _mean_rank(stack, reference, places)
    return FittedRankMean(reference, places, *_scale(rank, stack[:, :, 1].mean(axis=0, dtype=np.float64)))


ENSEMBLE = Ensemble(
    key="rank_mean",
    title="Rank mean",
    summary="Averages the members' ranks, on the scale of their mean; for ROC AUC and average precision of two classes.",
    fit=_fit,
    priority=40,
    members="one_per_learner",
    tasks=frozenset({"binary"}),
)
