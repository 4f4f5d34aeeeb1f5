"""The level of predictions that were learnt on a bent scale.

A learner of logarithms predicts about the median of a target, and the mean of a skewed one lies above it: totals come out too
low (Duan, "Smearing estimate", JASA 78, 1983). One factor, learnt on rows that were not fitted, brings them back.
"""

from __future__ import annotations

import numpy as np

from .folds import SplitKind
from .shape import DataShape
from .solution import Solution
from .task import Task

_OF_MEANS = frozenset({"rmse", "r2"})


def is_bent(solution: Solution, task: Task, shape: DataShape, kind: SplitKind) -> bool:
    """Whether predictions of a solution may miss the level that the metric asks for.

    Where time orders the rows, later ones differ from earlier ones for other reasons, too, and no factor tells them apart.
    """
    is_learnt_bent = not task.is_classification and solution.block("target") is not None
    return is_learnt_bent and task.metric.key in _OF_MEANS and kind != "time" and shape.target_min >= 0.0


def level_factor(y: np.ndarray, prediction: np.ndarray) -> float:
    """Factor that brings predictions (n_rows,) to the total of the targets (n_rows,), as far as it is told from 1 by these rows
    (James and Stein 1961); 1 where squared errors do not become less by it."""
    total, wanted = float(prediction.sum()), float(y.sum())
    if not (total > 0.0 and wanted > 0.0 and np.isfinite(wanted / total)):
        return 1.0
    # As shares of the total, since squares of very large or small values have no room.
    y, prediction = y / total, prediction / total
    away = wanted / total - 1.0
    variance = len(y) * float(np.var(y - (1.0 + away) * prediction))
    if not variance < away**2:
        return 1.0
    factor = 1.0 + away * (1.0 - variance / away**2)
    return factor if np.square(y - factor * prediction).sum() < np.square(y - prediction).sum() else 1.0
