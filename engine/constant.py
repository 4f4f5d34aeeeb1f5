"""The constant that is best for a metric: what one would predict without any feature."""

from __future__ import annotations

import numpy as np

from .task import Metric

_OF_ABSOLUTE_ERRORS = frozenset({"mae", "mape"})


def best_value(y: np.ndarray, metric: Metric, weight: np.ndarray | None = None) -> float:
    """Median of targets (n_rows,) where a metric counts absolute errors, else their mean; by these weights (n_rows,)."""
    if metric.key not in _OF_ABSOLUTE_ERRORS:
        return float(np.average(y, weights=weight))
    order = np.argsort(y, kind="stable")
    share = np.cumsum(np.ones(len(y)) if weight is None else weight[order])
    return float(y[order][np.searchsorted(share, share[-1] / 2)])


def class_shares(y: np.ndarray, n_classes: int, weight: np.ndarray | None = None) -> np.ndarray:
    """Share (n_classes,) of each class code among y (n_rows,)."""
    counts = np.bincount(y.astype(np.int64), weights=weight, minlength=n_classes)
    return np.asarray(counts / counts.sum())
