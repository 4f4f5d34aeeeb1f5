"""The average of ranks: for ranking metrics, where members agree on the order but not on the scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..plugins import Ensemble, FittedEnsemble
from ..task import Task

_REFERENCE_POINTS = 2_000


@dataclass
class FittedRankMean:
    """Each member's score is replaced by its place in that member's own out-of-fold distribution.

    `reference` holds quantiles of the positive class per member, so one new row is placed as well as a thousand. The result orders
    rows; it is no calibrated probability.
    """

    reference: tuple[np.ndarray, ...]
    places: tuple[np.ndarray, ...]
    weights: tuple[float, ...] | None = None

    def combine(self, stack: np.ndarray) -> np.ndarray:
        """(n_members, n_rows, 2) → (n_rows, 2)."""
        ranks = [
            np.interp(member[:, 1], values, places)
            for member, values, places in zip(stack, self.reference, self.places, strict=True)
        ]
        positive = np.mean(ranks, axis=0)
        return np.column_stack([1.0 - positive, positive])


@dataclass
class FittedPlain:
    """Equal weights on the members' own scale."""

    weights: tuple[float, ...] | None

    def combine(self, stack: np.ndarray) -> np.ndarray:
        """(n_members, n_rows, n_outputs) → (n_rows, n_outputs)."""
        return np.asarray(stack.mean(axis=0))


def _distribution(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct reference values with their mid-rank in 0…1, thinned to 2,000 points."""
    values, counts = np.unique(scores, return_counts=True)
    places = (np.cumsum(counts) - counts / 2) / len(scores)
    if len(values) > _REFERENCE_POINTS:
        kept = np.unique(np.linspace(0, len(values) - 1, _REFERENCE_POINTS).astype(np.int64))
        values, places = values[kept], places[kept]
    return values, places


def _fit(stack: np.ndarray, y: np.ndarray, task: Task, seed: int) -> FittedEnsemble:  # noqa: ARG001
    if task.kind != "binary" or task.metric.key not in {"roc_auc", "average_precision"} or len(stack) == 1:
        # Ranks would spoil a metric that reads probabilities: equal weights on the members' own scale.
        return FittedPlain((1.0 / len(stack),) * len(stack))
    pairs = [_distribution(member[:, 1]) for member in stack]
    return FittedRankMean(tuple(values for values, _ in pairs), tuple(places for _, places in pairs))


ENSEMBLE = Ensemble(
    key="rank_mean",
    title="Rank mean",
    summary="Averages the members' ranks; for ROC AUC and average precision of two classes.",
    fit=_fit,
    tasks=frozenset({"binary"}),
)
