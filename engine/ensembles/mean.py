"""The plain average: no weights to overfit, and hard to beat with few members."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..plugins import Ensemble, FittedEnsemble
from ..task import Task


@dataclass
class FittedMean:
    """Equal weights."""

    weights: tuple[float, ...] | None

    def combine(self, stack: np.ndarray) -> np.ndarray:
        """(n_members, n_rows, n_outputs) → (n_rows, n_outputs)."""
        return np.asarray(stack.mean(axis=0))


def _fit(stack: np.ndarray, y: np.ndarray, task: Task, seed: int) -> FittedEnsemble:
    return FittedMean((1.0 / len(stack),) * len(stack))


ENSEMBLE = Ensemble(key="mean", title="Mean", summary="Averages the members' predictions with equal weights.", fit=_fit)
